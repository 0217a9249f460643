"""The transitions of a job as a table tells them: each with why it happened, and how long after the one before."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from api.dashboard.comparison import laid_out
from api.dashboard.picture.detail import Detail, Error, read_detail
from jobplatform.queries import EventRow
from jobplatform.states import Event

#: So many characters of a detail are shown.
MOST_DETAIL: Final = 4_000


@dataclass(frozen=True, slots=True)
class Told:
    """A transition, and what a person wants to know of it."""

    row: EventRow
    #: Seconds since the one before.
    after: float | None
    why: str
    error: Error | None
    #: The number of its worker.
    worker: str | None

    @property
    def detail(self) -> str | None:
        """All of its detail, unless it is long."""
        return laid_out(self.row.detail[:MOST_DETAIL]) if self.row.detail else None

    @property
    def cut(self) -> bool:
        """Whether its detail is longer than what is shown."""
        return len(self.row.detail or "") > MOST_DETAIL


def transitions(events: Sequence[EventRow]) -> list[Told]:
    """A job's transitions, in their order."""
    told = []
    for before, row in zip([None, *events[:-1]], events, strict=True):
        detail = read_detail(row.detail)
        after = None if before is None else (row.at - before.at).total_seconds()
        number = row.worker.rpartition("#")[2] if row.worker else None
        told.append(Told(row, after, _why(row, detail), detail.error, number))
    return told


def errors(told: Sequence[Told]) -> list[Told]:
    """Those that tell of an error, the last one first."""
    return [one for one in reversed(told) if one.error is not None]


def _why(row: EventRow, detail: Detail) -> str:
    if detail.reason:
        return detail.reason
    if detail.error:
        return detail.error.said
    if detail.death:
        at = f" on {detail.death.host}" if detail.death.host else ""
        return f"Its worker{at} died." if row.event == Event.RESCUED else f"Its worker{at} was gone."
    if detail.resends:
        return f"Its message may have been lost, the {_ordinal(detail.resends)} time."
    if detail.outcome:
        return f"It came late with {detail.outcome}, and was refused."
    return ""


def _ordinal(number: int) -> str:
    return {1: "first", 2: "second", 3: "third"}.get(number, f"{number}th")
