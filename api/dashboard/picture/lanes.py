"""A job's transitions as lanes: one for each attempt, with what it spent its time on and what befell it."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Final

from api.dashboard.picture.detail import Detail, read_detail
from api.dashboard.picture.duration import between
from jobplatform.queries import EventRow
from jobplatform.states import FINAL, Event, Status


class Kind(StrEnum):
    """What a span of time was spent on. The first four are the statuses of the same names."""

    SCHEDULED = "scheduled"
    QUEUED = "queued"
    RUNNING = "running"
    RETRYING = "retrying"
    #: The worker gave no more sign, and had not been found dead yet.
    SILENT = "silent"
    #: What lies ahead, until the job is due.
    PLANNED = "planned"


#: Nothing is done meanwhile.
IDLE: Final = frozenset({Kind.SCHEDULED, Kind.QUEUED, Kind.RETRYING, Kind.PLANNED})

#: A mark that is no event: the last that was heard of a worker.
DIED: Final = "died"

_WORDS: Final = {
    Kind.SCHEDULED: "was scheduled",
    Kind.QUEUED: "waited",
    Kind.RUNNING: "ran",
    Kind.RETRYING: "backed off",
    Kind.SILENT: "gave no sign",
    Kind.PLANNED: "is due in",
}
_WORDS_NOW: Final = {
    Kind.SCHEDULED: "has been scheduled for",
    Kind.QUEUED: "has waited for",
    Kind.RUNNING: "has been running for",
    Kind.RETRYING: "has backed off for",
}
#: Another attempt follows these.
_ENDS_AN_ATTEMPT: Final = frozenset({Event.RETRY_PLANNED, Event.RESCUED, Event.INTERRUPTED})
_OUTCOMES: Final = _ENDS_AN_ATTEMPT | {Event.COMPLETED, Event.FAILED, Event.CANCELLED}
#: The events that are marked, with a label and a sentence: the others are where one span ends and the next begins.
_MARKS: Final = {
    Event.RETRY_PLANNED: ("failed", "it failed{error}, and another attempt was planned"),
    Event.COMPLETED: ("completed", "it was completed"),
    Event.FAILED: ("failed for good", "it failed for good{error}"),
    Event.RESCUED: ("rescued", "a keeper took it back from its dead worker"),
    Event.INTERRUPTED: ("interrupted", "it was interrupted: its worker was stopping"),
    Event.RESENT: ("resent", "its message was sent again"),
    Event.FENCED: ("refused", "a late outcome ({late}) was refused"),
    Event.CANCEL_REQUESTED: ("asked to stop", "it was asked to stop{by}{because}"),
    Event.CANCELLED: ("cancelled", "it was cancelled{by}{because}"),
    Event.RESUBMITTED: ("resubmitted", "it was resubmitted{by}{because}"),
}


@dataclass(frozen=True, slots=True)
class Span:
    """A time that was spent on one thing. ``live``: it still goes on."""

    kind: Kind
    begins: datetime
    ends: datetime
    live: bool = False

    @property
    def seconds(self) -> float:
        """How long it took."""
        return (self.ends - self.begins).total_seconds()

    @property
    def duration(self) -> str:
        """The same in words."""
        return between(self.begins, self.ends)

    @property
    def words(self) -> str:
        """What was done, and for how long."""
        return f"{(_WORDS_NOW if self.live else _WORDS)[self.kind]} {self.duration}"


@dataclass(frozen=True, slots=True)
class Mark:
    """Something that happened at one time: the event, a word or two for the picture, and a sentence."""

    event: str
    at: datetime
    label: str
    said: str
    #: How the attempt came to its end, which matters more than all else.
    outcome: bool = False


@dataclass(slots=True)
class Lane:
    """An attempt: the waiting before it, its run, and what came of it."""

    attempt: int
    began: bool = False
    worker: str | None = None
    spans: list[Span] = field(default_factory=list)
    marks: list[Mark] = field(default_factory=list)

    @property
    def begins(self) -> datetime:
        """When the first thing of it was on record."""
        return min(one.begins for one in self.spans) if self.spans else self.marks[0].at

    @property
    def outcome(self) -> Mark | None:
        """How it ended; None: it has not."""
        return next((mark for mark in reversed(self.marks) if mark.outcome), None)

    @property
    def words(self) -> str:
        """All of it as a sentence, for who does not see the picture."""
        name = f"Attempt {self.attempt}" if self.began else f"Attempt {self.attempt}, not begun"
        told = [(span.begins, span.words) for span in self.spans]
        told += [(mark.at, mark.said) for mark in self.marks]
        told.sort(key=lambda one: one[0])
        return f"{name}: {'; '.join(words for _, words in told)}."


def lanes(events: Sequence[EventRow], now: datetime, run_at: datetime | None = None) -> list[Lane]:
    """The lanes of a job with these transitions, in order. What has no end yet, ends ``now``.

    ``run_at`` is when a scheduled or retrying job is due.
    """
    life = _Life()
    for event in events:
        life.go_on(event, read_detail(event.detail))
    return life.end(now, run_at)


class _Life:
    def __init__(self) -> None:
        self._lanes: list[Lane] = []
        self._status: Status | None = None
        self._since: datetime | None = None

    def go_on(self, row: EventRow, detail: Detail) -> None:
        event, before, after = Event(row.event), self._status, Status(row.to_status)
        lane = self._lanes[-1] if self._lanes else self._next(1)
        if event is Event.FENCED:
            of_attempt = [one for one in self._lanes if one.began and one.attempt == row.attempt]
            lane = of_attempt[-1] if of_attempt else lane
        if event is Event.RESUBMITTED:
            lane = self._next(row.attempt + 1)
        if after is not before and event is not Event.FENCED:
            self._close(lane, row.at, detail)
            self._status, self._since = after, row.at
        if event is Event.STARTED:
            lane.attempt, lane.began, lane.worker = row.attempt, True, row.worker
        if (mark := _mark(row, event, detail)) is not None:
            lane.marks.append(mark)
        if event in _ENDS_AN_ATTEMPT:
            self._next(row.attempt + 1)

    def end(self, now: datetime, run_at: datetime | None) -> list[Lane]:
        if self._status is not None and self._since is not None and self._status not in FINAL:
            lane = self._lanes[-1]
            now = max(now, self._since)
            lane.spans.append(Span(Kind(self._status), self._since, now, live=True))
            if self._status in (Status.SCHEDULED, Status.RETRYING) and run_at is not None and run_at > now:
                lane.spans.append(Span(Kind.PLANNED, now, run_at))
        return [lane for lane in self._lanes if lane.spans or lane.marks]

    def _next(self, attempt: int) -> Lane:
        lane = Lane(attempt)
        self._lanes.append(lane)
        return lane

    def _close(self, lane: Lane, at: datetime, detail: Detail) -> None:
        if self._status is None or self._since is None or self._status in FINAL:
            return
        begins, kind = self._since, Kind(self._status)
        if kind is Kind.RUNNING and detail.death is not None:
            seen = min(max(detail.death.last_seen_at or begins, begins), at)
            if seen > begins:
                lane.spans.append(Span(kind, begins, seen))
            lane.spans.append(Span(Kind.SILENT, seen, at))
            said = f"its worker was last heard of, and died then or before it was found {between(seen, at)} later"
            lane.marks.append(Mark(DIED, seen, "worker died", said))
            return
        lane.spans.append(Span(kind, begins, at))


def _mark(row: EventRow, event: Event, detail: Detail) -> Mark | None:
    if event not in _MARKS:
        return None
    label, said = _MARKS[event]
    words = said.format(
        by=f" by {row.who}" if row.who else "",
        because=f": {detail.reason.rstrip('.')}" if detail.reason else "",
        error=f": {detail.error.said}" if detail.error else "",
        late=detail.outcome or "unknown",
    )
    return Mark(event, row.at, label, words, outcome=event in _OUTCOMES)
