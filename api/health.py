"""``GET /health`` and ``GET /ready``: whether the process serves, and whether what it stands on does."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, Final, Literal

import falcon.asgi
import msgspec
from msgspec import UNSET, UnsetType

from api.errors import in_general
from api.reply import NO_STORE, reply
from api.request import Request
from jobplatform.errors import DatabaseUnavailable

#: How long a dependency may take to answer, and for how long its answer is good, in seconds.
PATIENCE: Final = 1.0
FRESH: Final = 1.0


class HealthView(msgspec.Struct):
    """The process serves."""

    status: Literal["ok"]


class Check(msgspec.Struct):
    """Whether a dependency is there."""

    status: Literal["ok", "unavailable"]
    detail: str | UnsetType = UNSET


class Checks(msgspec.Struct):
    """Each dependency."""

    postgres: Check
    redis: Check


class Readiness(msgspec.Struct):
    """Whether the platform can accept jobs."""

    status: Literal["ok", "degraded", "unavailable"]
    checks: Checks


_HEALTHY: Final = msgspec.json.encode(HealthView("ok"))


class Health:
    """The process itself."""

    async def on_get(self, _req: Request, resp: falcon.asgi.Response) -> None:
        """Say that the process serves. Touches nothing else."""
        reply(resp, _HEALTHY, NO_STORE)

    on_head = on_get


class Ready:
    """The process and what it needs.

    Postgres decides the status. Without Redis jobs are accepted all the same, and run when it is back (rule R1): that
    is a degraded platform, and no reason to send its clients away.
    """

    def __init__(self, ask_postgres: Callable[[], Awaitable[Any]], ask_redis: Callable[[], Any]) -> None:
        """``ask_redis`` may block: it runs in a thread."""
        self.postgres = Probe(ask_postgres)
        #: For others that want to know, too.
        self.redis = Probe(lambda: asyncio.to_thread(ask_redis))

    async def on_get(self, _req: Request, resp: falcon.asgi.Response) -> None:
        """Name each dependency with its state."""
        postgres, redis = await asyncio.gather(self.postgres.look(), self.redis.look())
        checks = Checks(_check(postgres), _check(redis))
        readiness = Readiness("unavailable" if postgres else "degraded" if redis else "ok", checks)
        if postgres:
            resp.status = falcon.HTTP_503
            resp.set_header("Retry-After", "2")
        reply(resp, msgspec.json.encode(readiness), NO_STORE)

    on_head = on_get


class Probe:
    """Asks a dependency whether it is there: one question at a time, and none while the last answer is fresh."""

    def __init__(self, ask: Callable[[], Awaitable[Any]]) -> None:
        self._ask = ask
        self._question: asyncio.Future[str | None] | None = None
        self._asked_at = 0.0

    async def look(self) -> str | None:
        """None if it is there, else what is wrong, in a few words. Takes `PATIENCE` seconds at most."""
        now = asyncio.get_running_loop().time()
        if self._question is None or (self._question.done() and now - self._asked_at > FRESH):
            self._question = asyncio.ensure_future(self._answer())
            self._asked_at = now
        await asyncio.wait({self._question}, timeout=PATIENCE)
        return self._question.result() if self._question.done() else "It does not answer."

    async def _answer(self) -> str | None:
        try:
            await self._ask()
        except DatabaseUnavailable as error:
            return in_general(error)
        except Exception as error:  # whatever a client library raises: this is the place that must not fail
            return f"It does not answer ({type(error).__name__})."
        return None


def _check(wrong: str | None) -> Check:
    return Check("ok") if wrong is None else Check("unavailable", wrong)
