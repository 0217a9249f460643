"""How far the order of all transitions was told, and the last of them, for clients that know nearly as many."""

from collections import deque
from collections.abc import Sequence
from typing import Final

from api.look import Told
from jobplatform.queries.feed import Position, Snapshot

#: So many transitions that were told are kept.
KEPT: Final = 5_000

#: What a client knows already: all up to a place, or all that could be seen at a moment.
Known = Position | Snapshot


class Timeline:
    """Where the feed is."""

    def __init__(self) -> None:
        #: Behind this place everything is still to be told. None: nobody is told anything.
        self.position: Position | None = None
        self._floor: Position | None = None
        self._kept: deque[Told] = deque()

    def begin(self, snapshot: Snapshot) -> None:
        """Tell from here on what the snapshot does not show, and perhaps some that it does."""
        self.position = self._floor = Position(snapshot.xmin, 0)

    def go_on(self, told: Sequence[Told]) -> None:
        """These were told, the next ones in the order."""
        if told:
            self.position = told[-1].row.position
        self._kept.extend(told)
        while len(self._kept) > KEPT:
            self._floor = self._kept.popleft().row.position

    def end(self) -> None:
        """Tell nobody anything."""
        self.position = self._floor = None
        self._kept.clear()

    def missed(self, known: Known) -> list[Told] | None:
        """What was told and is not known. None: what is missing was told too long ago to be kept."""
        if isinstance(known, Position) and (self._floor is None or known < self._floor):
            return None
        return unknown(known, self._kept)


def unknown(known: Known | None, told: Sequence[Told]) -> list[Told]:
    """Those of the transitions that are not known."""
    if isinstance(known, Snapshot):
        return [one for one in told if not known.shows(one.row.xid)]
    return list(told) if known is None else [one for one in told if one.row.position > known]


def still_matters(known: Known, last: Told) -> Known | None:
    """What is known; None when it tells no more about the transitions behind the last one."""
    if isinstance(known, Snapshot):
        return known if last.row.xid < known.xmax else None
    return known if last.row.position < known else None
