"""The live feed: however many streams a process serves, one look a tick at what has happened, told to all.

It begins with the first watcher and rests while there is none. Looks, and the making of the bytes, run in a thread of
the feed's own; the event loop only hands them round.
"""

import asyncio
import logging
from collections import defaultdict
from collections.abc import Awaitable, Callable
from typing import Final

from api.errors import RETRY_AFTER
from api.findings import Findings
from api.look import Look, Seen, Told, ToldProgress, look
from api.pace import Pace
from api.places import Places
from api.problems import UNAVAILABLE, Problem
from api.timeline import Known, Timeline, still_matters, unknown
from api.watcher import Watcher
from jobplatform.errors import DatabaseUnavailable
from jobplatform.inquiries import Inquiries
from jobplatform.queries.feed import ProgressRow, Snapshot
from jobplatform.states import FINAL

#: The pauses between two looks, in seconds.
QUICK: Final = 0.025
SLOW: Final = 0.25
#: So many watchers are told at once. Before the next ones, whatever else the event loop has to do has its turn, for so
#: many times as long as that took, but no more seconds than this; and all are told within so many.
_AT_ONCE: Final = 4
_TURNS: Final = 60
_LONGEST_TURN: Final = 0.04
_LONGEST: Final = 1.0
#: Seconds between two questions for progress, between two heart-beats, and between two looks for who needs one.
_PROGRESS_EVERY: Final = 0.5
_CHECK_EVERY: Final = 1.0
HEARTBEAT: Final = 15.0

_log: Final = logging.getLogger("api")


def live_feed(closing: asyncio.Event, places: Places) -> "Feed":
    """The feed of this process, with a thread and a connection of its own."""
    thread = Findings(Inquiries(threads=1))
    return Feed(lambda wanted: thread.ask(look, wanted), closing, places)


class Feed:
    """Tells watchers of all transitions, or of those of one job, and of progress."""

    def __init__(
        self,
        ask: Callable[[Look], Awaitable[Seen]],
        closing: asyncio.Event,
        places: Places,
        *,
        heartbeat: float = HEARTBEAT,
    ) -> None:
        """``ask`` has a look in the feed's thread. When ``closing`` is set, all streams end."""
        self._ask = ask
        self._closing = closing
        self._places = places
        self._heartbeat = heartbeat
        self._pace = Pace(QUICK, SLOW)
        self._timeline = Timeline()
        #: Everybody, and whether it is for the transitions of all jobs.
        self._watchers: dict[Watcher, bool] = {}
        #: Who is told of all transitions, and what it knows that is still to be told.
        self._of_all: dict[Watcher, Known | None] = {}
        #: Who is told of a job's, and up to which id it knows them.
        self._of_job: dict[str, dict[Watcher, int]] = defaultdict(dict)
        self._beginning: list[asyncio.Future[Snapshot]] = []
        self._progress: dict[str, ProgressRow] = {}
        self._progress_at = float("-inf")
        self._runs: asyncio.Task[None] | None = None
        self._well = True

    @property
    def watchers(self) -> int:
        """How many streams there are."""
        return len(self._watchers)

    def watcher(self, *, of_all: bool) -> Watcher:
        """A new watcher, which is told nothing yet.

        Raises:
            Problem: there are too many (503).
        """
        if self._places.full:
            detail = "This process serves as many streams and waiting clients as it can."
            raise Problem(UNAVAILABLE, detail, headers={"Retry-After": "5"})
        watcher = Watcher(self.forget)
        if self._closing.is_set():
            watcher.end()
            return watcher
        self._watchers[watcher] = of_all
        self._places.take(watcher)
        if self._runs is None or self._runs.done():
            self._runs = asyncio.get_running_loop().create_task(self._run())
        return watcher

    def forget(self, watcher: Watcher) -> None:
        """Tell it nothing more."""
        self._watchers.pop(watcher, None)
        self._places.give_back(watcher)
        self._of_all.pop(watcher, None)
        for job_id in [job_id for job_id, watching in self._of_job.items() if watcher in watching]:
            del self._of_job[job_id][watcher]
            if not self._of_job[job_id]:
                del self._of_job[job_id]

    async def begin(self) -> Snapshot:
        """What can be seen now: what it does not show, the feed is still to tell.

        Raises:
            DatabaseUnavailable: Postgres does not answer.
            Problem: the API is stopping (503).
        """
        if self._closing.is_set():
            raise _stopping()
        began: asyncio.Future[Snapshot] = asyncio.get_running_loop().create_future()
        self._beginning.append(began)
        self._pace.hurry()
        return await began

    def join(self, watcher: Watcher, known: Known) -> bool:
        """Tell it of every transition that it does not know. False: it has to read some by itself before."""
        missed = self._timeline.missed(known)
        if missed is None:
            return False
        if watcher in self._watchers:
            self._of_all[watcher] = known
            if missed:
                watcher.put(b"".join(told.event for told in missed))
        return True

    def join_job(self, watcher: Watcher, job_id: str, known: int) -> None:
        """Tell it of every transition of a job behind the one with this id, until the job is final."""
        if watcher in self._watchers:
            self._of_job[job_id][watcher] = known
            self._progress.pop(job_id, None)  # is told again: this one has not heard it
            self._pace.hurry()

    async def _run(self) -> None:
        closing = asyncio.ensure_future(self._end_with_the_app())
        checks = asyncio.ensure_future(self._check())
        try:
            while self._watchers:
                self._pace.begin()
                seen = await self._look()
                self._pace.looked()
                news = seen is not None and await self._tell(seen)
                await self._pace.rest(news=news, behind=seen is not None and seen.full)
        finally:
            checks.cancel()
            closing.cancel()
            self._end_all()
            self._timeline.end()
            self._progress.clear()
            _fail(self._beginning, _stopping() if self._closing.is_set() else DatabaseUnavailable())

    async def _look(self) -> Seen | None:
        """Look once. Nothing while Postgres does not answer: the streams stay, and go on when it is back."""
        beginning, self._beginning = self._beginning, []
        if not any(self._watchers.values()):
            self._timeline.end()  # nobody is told of all: there is no need to read it all
        try:
            seen = await self._ask(self._wanted(snapshot=bool(beginning)))
        except Exception as error:
            _fail(beginning, error)
            if not isinstance(error, DatabaseUnavailable):
                raise
            if self._well:
                _log.warning("The streams stand still: %s", error)
            self._well = False
            return None
        if not self._well:
            _log.warning("The streams go on.")
        self._well = True
        if seen.snapshot is not None:
            if self._timeline.position is None:
                self._timeline.begin(seen.snapshot)
            for began in beginning:
                if not began.done():
                    began.set_result(seen.snapshot)
        return seen

    def _wanted(self, *, snapshot: bool) -> Look:
        now = asyncio.get_running_loop().time()
        progress = bool(self._of_all or self._of_job) and now - self._progress_at >= _PROGRESS_EVERY
        if progress:
            self._progress_at = now
        return Look(
            snapshot=snapshot,
            after=self._timeline.position,
            of_jobs={job_id: min(watching.values()) for job_id, watching in self._of_job.items()},
            progress=progress,
            progress_of_all=bool(self._of_all),
        )

    async def _tell(self, seen: Seen) -> bool:
        """Hand round what was seen, to a few at a time. Whether there was anything."""
        loop = asyncio.get_running_loop()
        pieces = list(self._pieces(seen).items())
        final = self._at_the_end(seen)
        groups = range(0, len(pieces), _AT_ONCE)
        longest = min(_LONGEST_TURN, _LONGEST / max(1, len(groups)))
        took = 0.0
        for first in groups:
            await asyncio.sleep(min(_TURNS * took, longest))
            began = loop.time()
            for watcher, piece in pieces[first : first + _AT_ONCE]:
                watcher.put(piece)
                if watcher in final:
                    watcher.end()
            await asyncio.sleep(0)  # they send it
            took = loop.time() - began
        return bool(pieces)

    def _pieces(self, seen: Seen) -> dict[Watcher, bytes]:
        """What each watcher is told. Who joins later finds the same among what is kept."""
        moved = self._moved(seen)
        progress = b"".join(told.event for told in moved)
        whole = seen.whole + progress
        pieces: dict[Watcher, bytes] = defaultdict(bytes)
        if seen.told:
            self._timeline.go_on(seen.told)
        for watcher, known in self._of_all.items():
            if known is not None and seen.told:
                pieces[watcher] = b"".join(one.event for one in unknown(known, seen.told)) + progress
                self._of_all[watcher] = still_matters(known, seen.told[-1])
            elif whole:
                pieces[watcher] = whole  # the same object for all
        for one in seen.of_jobs:
            self._add(pieces, one, seen.look.of_jobs[one.row.job_id])
        for told in moved:
            for watcher in self._of_job.get(told.row.job_id, ()):
                pieces[watcher] += told.event
        return pieces

    def _add(self, pieces: dict[Watcher, bytes], told: Told, asked: int) -> None:
        """Tell of a job's transition, who is to know."""
        for watcher, known in self._of_job.get(told.row.job_id, {}).items():
            # Who knows less than was asked for came meanwhile: the next look is for it, too.
            if asked <= known < told.row.id:
                pieces[watcher] += told.event
                self._of_job[told.row.job_id][watcher] = told.row.id

    def _at_the_end(self, seen: Seen) -> set[Watcher]:
        """Who has been told how its job came to its end."""
        last = {told.row.job_id: told.row for told in seen.of_jobs}
        return {
            watcher
            for job_id, row in last.items()
            if row.to_status in FINAL
            for watcher, known in self._of_job.get(job_id, {}).items()
            if known == row.id
        }

    def _moved(self, seen: Seen) -> list[ToldProgress]:
        """The progress that was not told yet."""
        if not seen.look.progress:
            return []
        before, self._progress = self._progress, {told.row.job_id: told.row for told in seen.progress}
        return [told for told in seen.progress if before.get(told.row.job_id) != told.row]

    async def _check(self) -> None:
        while True:
            await asyncio.sleep(min(_CHECK_EVERY, self._heartbeat))
            for watcher in list(self._watchers):
                watcher.check(self._heartbeat)

    async def _end_with_the_app(self) -> None:
        await self._closing.wait()
        self._end_all()

    def _end_all(self) -> None:
        for watcher in list(self._watchers):
            watcher.let_go()


def _fail(beginning: list["asyncio.Future[Snapshot]"], error: Exception) -> None:
    for began in beginning:
        if not began.done():
            began.set_exception(error)


def _stopping() -> Problem:
    return Problem(UNAVAILABLE, "The API is stopping.", headers=RETRY_AFTER)
