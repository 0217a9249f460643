"""What `dramatiq jobplatform.worker` imports: the broker, and every module that ACTORS names."""

import gc

from jobplatform.registry import load_actors
from jobplatform.settings import settings

load_actors(settings().actors)

# What is loaded stays to the end. To look it all over, as the collector does now and then, stops all threads for some
# 50 ms.
gc.collect()
gc.freeze()
