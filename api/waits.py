"""Waiting for the end of jobs: however many clients wait, one short query a tick looks at all their jobs."""

import asyncio
from collections import defaultdict
from collections.abc import Awaitable, Callable, Collection
from typing import Final

from api.pace import Pace
from api.places import Places
from jobplatform.errors import DatabaseUnavailable
from jobplatform.states import FINAL

#: The longest that a client may wait, in seconds.
MAX_WAIT: Final = 30.0
#: The pauses between two looks, in seconds.
QUICK: Final = 0.02
SLOW: Final = 0.25


class Waits:
    """The clients of this process that wait for the end of a job."""

    def __init__(
        self, ask: Callable[[Collection[str]], Awaitable[dict[str, str]]], closing: asyncio.Event, places: Places
    ) -> None:
        """``ask`` gives the statuses of those of the jobs that exist. When ``closing`` is set, nobody waits on."""
        self._ask = ask
        self._closing = closing
        self._places = places
        self._pace = Pace(QUICK, SLOW)
        self._waiting: dict[str, set[asyncio.Future[None]]] = defaultdict(set)
        self._looking: asyncio.Task[None] | None = None

    def longest(self) -> float:
        """How long one more client may wait, in seconds: not at all where too many stay, or the app closes."""
        return 0.0 if self._places.full or self._closing.is_set() else MAX_WAIT

    async def until_final(self, job_id: str, seconds: float) -> None:
        """Return when the job is final, when there is no such job, when the time is up, or when the app closes.

        Raises:
            DatabaseUnavailable: Postgres does not answer.
        """
        loop = asyncio.get_running_loop()
        ended: asyncio.Future[None] = loop.create_future()
        timer = loop.call_later(seconds, _end, ended)
        self._waiting[job_id].add(ended)
        self._places.take(ended)
        self._pace.hurry()
        if self._looking is None or self._looking.done():
            self._looking = loop.create_task(self._look_on())
        try:
            await ended
        finally:
            timer.cancel()
            self._forget(job_id, ended)

    async def _look_on(self) -> None:
        closing = asyncio.ensure_future(self._end_with_the_app())
        try:
            while self._waiting:
                self._pace.begin()
                news = await self._look()
                self._pace.looked()
                await self._pace.rest(news=news)
        finally:
            closing.cancel()
            self._end_all()  # who is still there, should a look have failed in a way of its own

    async def _look(self) -> bool:
        """Tell whose job has ended, or does not exist. Whether there was one."""
        ids = list(self._waiting)
        try:
            found = await self._ask(ids)
        except DatabaseUnavailable as error:
            for future in self._all():
                future.set_exception(error)
            return False
        over = [job_id for job_id in ids if found.get(job_id) in FINAL or job_id not in found]
        for job_id in over:
            for future in self._waiting.get(job_id, ()):
                _end(future)
        return bool(over)

    async def _end_with_the_app(self) -> None:
        await self._closing.wait()
        self._end_all()

    def _end_all(self) -> None:
        for future in self._all():
            _end(future)

    def _all(self) -> list["asyncio.Future[None]"]:
        return [future for futures in self._waiting.values() for future in futures if not future.done()]

    def _forget(self, job_id: str, ended: "asyncio.Future[None]") -> None:
        self._places.give_back(ended)
        self._waiting[job_id].discard(ended)
        if not self._waiting[job_id]:
            del self._waiting[job_id]


def _end(ended: "asyncio.Future[None]") -> None:
    if not ended.done():
        ended.set_result(None)
