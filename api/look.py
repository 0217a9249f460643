"""One look at what has happened, for all who watch: a question or three, and what was found as bytes."""

import time
from collections.abc import Iterable, Mapping
from typing import Final, NamedTuple

from api.server_sent import progress_event, transition_event
from jobplatform.queries import feed as queries
from jobplatform.queries.feed import FeedRow, Position, ProgressRow, Snapshot

#: A look finds so many transitions at the most. What is left, the next one finds.
MOST: Final = 2_000

#: So many transitions are made into bytes in one piece, which takes a quarter of a millisecond. Then the thread rests
#: for so many seconds: the interpreter would take it off only after five milliseconds, in which no request goes on.
_PIECE: Final = 25
_REST: Final = 0.0001


class Look(NamedTuple):
    """What to look for."""

    #: Whether somebody wants to know what can be seen.
    snapshot: bool
    #: Of all transitions, those behind this place.
    after: Position | None = None
    #: Of some jobs, those behind these ids.
    of_jobs: Mapping[str, int] = {}
    #: Whether progress is asked for: of all running jobs, or of those jobs.
    progress: bool = False
    progress_of_all: bool = False


class Told(NamedTuple):
    """A transition, and what a stream says of it."""

    row: FeedRow
    event: bytes


class ToldProgress(NamedTuple):
    """A word of progress, and what a stream says of it."""

    row: ProgressRow
    event: bytes


class Seen(NamedTuple):
    """What a look has found."""

    look: Look
    snapshot: Snapshot | None
    told: list[Told]
    #: All that was told as one piece.
    whole: bytes
    of_jobs: list[Told]
    progress: list[ToldProgress]

    @property
    def full(self) -> bool:
        """Whether there may be more."""
        return len(self.told) == MOST or len(self.of_jobs) == MOST


def look(wanted: Look) -> Seen:
    """Look. The snapshot comes first: what it does not show is found by this look or a later one."""
    snapshot = queries.snapshot() if wanted.snapshot else None
    told = tell(queries.page(wanted.after, MOST)) if wanted.after is not None else []
    of_jobs = tell(queries.of_jobs(wanted.of_jobs, MOST)) if wanted.of_jobs else []
    progress = queries.progress(None if wanted.progress_of_all else wanted.of_jobs) if wanted.progress else []
    return Seen(
        wanted,
        snapshot,
        told,
        b"".join(event for _, event in told),
        of_jobs,
        [ToldProgress(row, progress_event(row)) for row in progress],
    )


def tell(rows: Iterable[FeedRow]) -> list[Told]:
    """Transitions with what a stream says of them. Not for the event loop: this rests now and then."""
    told = []
    for number, row in enumerate(rows, 1):
        told.append(Told(row, transition_event(row)))
        if number % _PIECE == 0:
            time.sleep(_REST)
    return told
