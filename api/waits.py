"""Waiting for the end of jobs: however many clients wait, one short query a tick looks at all their jobs."""

import asyncio
from collections import defaultdict
from collections.abc import Awaitable, Callable, Collection
from typing import Final

from jobplatform.errors import DatabaseUnavailable
from jobplatform.states import FINAL

#: The pause between two looks, in seconds: short while jobs end and clients come, longer while nothing happens.
QUICK: Final = 0.02
SLOW: Final = 0.25
#: A pause lasts so many times as long as the look before it took, however much happens.
_SHARE: Final = 10


class Waits:
    """The clients of this process that wait for the end of a job."""

    def __init__(self, ask: Callable[[Collection[str]], Awaitable[dict[str, str]]], closing: asyncio.Event) -> None:
        """``ask`` gives the statuses of those of the jobs that exist. When ``closing`` is set, nobody waits on."""
        self._ask = ask
        self._closing = closing
        self._waiting: dict[str, set[asyncio.Future[None]]] = defaultdict(set)
        self._joined = asyncio.Event()
        self._looking: asyncio.Task[None] | None = None

    async def until_final(self, job_id: str, seconds: float) -> None:
        """Return when the job is final, when there is no such job, when the time is up, or when the app closes.

        Raises:
            DatabaseUnavailable: Postgres does not answer.
        """
        if self._closing.is_set():
            return
        loop = asyncio.get_running_loop()
        ended: asyncio.Future[None] = loop.create_future()
        timer = loop.call_later(seconds, _end, ended)
        self._waiting[job_id].add(ended)
        self._joined.set()
        if self._looking is None or self._looking.done():
            self._looking = loop.create_task(self._look_on())
        try:
            await ended
        finally:
            timer.cancel()
            self._forget(job_id, ended)

    async def _look_on(self) -> None:
        loop = asyncio.get_running_loop()
        closing = loop.create_task(self._closing.wait())
        pause = QUICK
        try:
            while self._waiting and not closing.done():
                self._joined.clear()
                began = loop.time()
                ended = await self._look()
                least = max(QUICK, _SHARE * (loop.time() - began))
                pause = max(least, QUICK if ended else min(1.5 * pause, SLOW))
                if await self._rest(closing, pause):
                    pause = least
                    await asyncio.wait({closing}, timeout=max(0.0, began + least - loop.time()))
        finally:
            closing.cancel()
            for ended in [future for futures in self._waiting.values() for future in futures]:
                _end(ended)

    async def _look(self) -> bool:
        """Tell whose job has ended, or does not exist. Whether there was one."""
        ids = list(self._waiting)
        try:
            found = await self._ask(ids)
        except DatabaseUnavailable as error:
            for future in [future for futures in self._waiting.values() for future in futures if not future.done()]:
                future.set_exception(error)
            return False
        over = [job_id for job_id in ids if found.get(job_id) in FINAL or job_id not in found]
        for job_id in over:
            for future in self._waiting.get(job_id, ()):
                _end(future)
        return bool(over)

    async def _rest(self, closing: "asyncio.Task[bool]", seconds: float) -> bool:
        """Wait for so long, or until somebody joins, which is answered with True."""
        joined = asyncio.ensure_future(self._joined.wait())
        try:
            await asyncio.wait({closing, joined}, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
            return joined.done()
        finally:
            joined.cancel()

    def _forget(self, job_id: str, ended: "asyncio.Future[None]") -> None:
        self._waiting[job_id].discard(ended)
        if not self._waiting[job_id]:
            del self._waiting[job_id]


def _end(ended: "asyncio.Future[None]") -> None:
    if not ended.done():
        ended.set_result(None)
