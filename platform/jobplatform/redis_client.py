"""Clients for Redis: a patient one for workers, a quick one for whoever must not wait.

redis-py's defaults differ by how a client is made, from no retry to ten. Every client is made here.
"""

from typing import Final

import redis
from redis.backoff import ExponentialWithJitterBackoff, NoBackoff
from redis.retry import Retry

#: Seconds. A patient client's must be longer than any command blocks on the server.
_PATIENCE: Final = 5.0
_QUICK: Final = 0.5

#: Ids of deliveries and processes may be no text: anybody can write to Redis.
_ESCAPED: Final = "surrogateescape"


def patient_client(url: str) -> "redis.Redis":
    """For a worker's consumers: it bridges short outages."""
    return redis.Redis.from_url(
        url,
        socket_timeout=_PATIENCE,
        socket_connect_timeout=_PATIENCE,
        retry=Retry(ExponentialWithJitterBackoff(base=0.05, cap=1.0), 3),
        encoding_errors=_ESCAPED,
    )


def quick_client(url: str) -> "redis.Redis":
    """For sending hints: it fails within a second, as the keeper sends what was not sent (P26)."""
    return redis.Redis.from_url(
        url,
        socket_timeout=_QUICK,
        socket_connect_timeout=_QUICK,
        retry=Retry(NoBackoff(), 0),
        encoding_errors=_ESCAPED,
    )
