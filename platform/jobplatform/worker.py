"""What `dramatiq jobplatform.worker` imports: the broker, and every module that ACTORS names."""

from jobplatform.registry import load_actors
from jobplatform.settings import settings

load_actors(settings().actors)
