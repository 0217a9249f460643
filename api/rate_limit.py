"""How many requests somebody may send: counted in Redis, so that all processes count together.

Redis may be away: then everybody is let in, and nobody waits for it longer than `PATIENCE`.
"""

import asyncio
import logging
import math
import time
from typing import Any, Final

#: How long a request waits for Redis, and how long Redis is left alone after it failed, in seconds.
PATIENCE: Final = 0.05
PAUSE: Final = 1.0
#: How many questions are with Redis at once, from one process.
_CONNECTIONS: Final = 16
_UNITS: Final = {"second": 1, "minute": 60, "hour": 3_600, "day": 86_400}

_log: Final = logging.getLogger("api")


class RateLimit:
    """A limit such as ``100/second``: over any such time, by a sliding count of this and the last one."""

    def __init__(self, limit: str, redis_url: str) -> None:
        # Imported by who sets a limit: it takes a sixth of a second.
        from limits import parse
        from limits.aio.storage import RedisStorage
        from limits.aio.strategies import SlidingWindowCounterRateLimiter
        from redis.asyncio import BlockingConnectionPool
        from redis.asyncio.retry import Retry
        from redis.backoff import NoBackoff

        count, _, unit = limit.partition("/")
        self._text = f"{count} requests per {unit}"
        self._policy = f'"default";q={count};w={_UNITS[unit]}'
        self._item = parse(limit)
        pool = BlockingConnectionPool.from_url(
            redis_url,
            max_connections=_CONNECTIONS,
            timeout=PATIENCE,
            socket_timeout=PATIENCE,
            socket_connect_timeout=PATIENCE,
            retry=Retry(NoBackoff(), 0),
        )
        # Whatever the address here, the pool decides.
        options: dict[str, Any] = {"connection_pool": pool}
        storage = RedisStorage("async+redis://", implementation="redispy", key_prefix="jobplatform:limits", **options)
        self._pool = pool
        self._limiter = SlidingWindowCounterRateLimiter(storage)
        self._resting_until = 0.0
        self._away = False

    def __str__(self) -> str:
        return self._text

    async def hit(self, who: str) -> dict[str, str] | None:
        """Count one request. None if it may be served, else the headers that say when to come back."""
        if time.monotonic() < self._resting_until:
            return None
        try:
            async with asyncio.timeout(PATIENCE):
                if await self._limiter.hit(self._item, who):
                    self._is_back()
                    return None
                stats = await self._limiter.get_window_stats(self._item, who)
        except Exception as error:  # whatever a client library raises: a limit that cannot be counted is none
            self._is_away(error)
            return None
        seconds = max(1, math.ceil(stats.reset_time - time.time()))
        return {
            "Retry-After": str(seconds),
            "RateLimit-Policy": self._policy,
            "RateLimit": f'"default";r={max(0, stats.remaining)};t={seconds}',
        }

    async def close(self) -> None:
        """Close the connections."""
        await self._pool.aclose()

    def _is_away(self, error: Exception) -> None:
        self._resting_until = time.monotonic() + PAUSE
        if not self._away:
            self._away = True
            _log.warning("Redis does not count requests (%s): all are let in until it does.", type(error).__name__)

    def _is_back(self) -> None:
        if self._away:
            self._away = False
            _log.warning("Redis counts requests again.")
