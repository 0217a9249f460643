"""The scale of a picture of time: what lies where, in per cent of its width.

It is true to the clock, except where long idle times are folded: these are drawn short, and the picture says so.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import pairwise
from typing import Final

from api.dashboard.picture.duration import words
from api.dashboard.picture.lanes import IDLE, Kind, Lane

#: No more folds than these: each hides how long something took.
MOST_FOLDS: Final = 4
#: How wide a fold is, in per cent.
FOLD_WIDTH: Final = 8.0
#: An idle time is folded that takes more than this of the width, whatever else there is to see.
_TOO_MUCH: Final = 0.8
#: And one that takes more than the second of these, while all runs together have less than the first.
_RUNS_TOO_SMALL: Final = 0.004
_STILL_MUCH: Final = 0.3

_MOST_TICKS: Final = 8
_STEPS: Final = (
    *(unit * digit for unit in (0.001, 0.01, 0.1) for digit in (1, 2, 5)),
    *(1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1_800),
    *(3_600 * hours for hours in (1, 2, 3, 6, 12)),
    *(86_400 * days for days in (1, 2, 7, 14, 30, 90, 365)),
)


@dataclass(frozen=True, slots=True)
class Stretch:
    """A part of the scale: its ends in seconds since the beginning, and in per cent."""

    begins: float
    ends: float
    left: float
    right: float
    folded: bool

    @property
    def seconds(self) -> float:
        """How long it is."""
        return self.ends - self.begins

    @property
    def duration(self) -> str:
        """The same in words."""
        return words(self.seconds)

    @property
    def middle(self) -> float:
        """Its middle, in per cent."""
        return (self.left + self.right) / 2


@dataclass(frozen=True, slots=True)
class Tick:
    """A place on the scale that has a name: the time since the beginning, or since the last fold (``+``)."""

    place: float
    label: str


@dataclass(frozen=True, slots=True)
class Scale:
    """From times to places."""

    origin: datetime
    stretches: Sequence[Stretch]
    ticks: Sequence[Tick]

    @property
    def folds(self) -> list[Stretch]:
        """The stretches that are drawn shorter than they were."""
        return [stretch for stretch in self.stretches if stretch.folded]

    def place(self, at: datetime) -> float:
        """Where a time is, in per cent of the width."""
        seconds = (at - self.origin).total_seconds()
        for stretch in self.stretches:
            if seconds <= stretch.ends:
                break
        share = (seconds - stretch.begins) / stretch.seconds if stretch.seconds else 0.0
        return round(stretch.left + (stretch.right - stretch.left) * min(max(share, 0.0), 1.0), 3)


def scale(drawn: Sequence[Lane]) -> Scale:
    """The scale for these lanes, of which there is at least one."""
    origin = min(lane.begins for lane in drawn)
    pieces = _pieces(drawn, origin)
    folded = _folded(pieces)
    stretches = _stretches(pieces, folded)
    return Scale(origin, stretches, _ticks(stretches))


@dataclass(frozen=True, slots=True)
class _Piece:
    begins: float
    ends: float
    idle: bool
    running: bool

    @property
    def seconds(self) -> float:
        return self.ends - self.begins


def _pieces(drawn: Sequence[Lane], origin: datetime) -> list[_Piece]:
    """The time between each thing that is drawn and the next one."""

    def seconds(at: datetime) -> float:
        return (at - origin) / timedelta(seconds=1)

    spans = [
        (seconds(span.begins), seconds(span.ends), span.kind) for lane in drawn for span in lane.spans if span.seconds
    ]
    marks = [seconds(mark.at) for lane in drawn for mark in lane.marks]
    ends = sorted({0.0, *marks, *(end for begins, ends, _ in spans for end in (begins, ends))})
    pieces = []
    for begins, until in pairwise(ends):
        kinds = {kind for since, to, kind in spans if since <= begins and until <= to}
        pieces.append(_Piece(begins, until, kinds <= IDLE, Kind.RUNNING in kinds))
    return pieces or [_Piece(0.0, 0.001, idle=False, running=False)]


def _folded(pieces: Sequence[_Piece]) -> set[_Piece]:
    folded = _fold(pieces, set(), lambda longest, _, whole: longest > _TOO_MUCH * whole)
    more = _fold(
        pieces, folded, lambda longest, running, whole: _vanish(running, whole) and longest > _STILL_MUCH * whole
    )
    shown = [piece for piece in pieces if piece not in more]
    # Folds that do not help the runs would only hide how long the rest took.
    return folded if _vanish(_running(shown), _sum(shown)) else more


def _fold(pieces: Sequence[_Piece], folded: set[_Piece], wanted: Callable[[float, float, float], bool]) -> set[_Piece]:
    """With these, fold the longest idle time as long as that is wanted."""
    while len(folded) < MOST_FOLDS:
        shown = [piece for piece in pieces if piece not in folded]
        longest = max((piece for piece in shown if piece.idle), key=lambda piece: piece.seconds, default=None)
        if longest is None or len(shown) < 2 or not wanted(longest.seconds, _running(shown), _sum(shown)):
            break
        folded = folded | {longest}
    return folded


def _vanish(running: float, whole: float) -> bool:
    return 0 < running < _RUNS_TOO_SMALL * whole


def _running(pieces: Iterable[_Piece]) -> float:
    return _sum(piece for piece in pieces if piece.running)


def _sum(pieces: Iterable[_Piece]) -> float:
    return sum(piece.seconds for piece in pieces)


def _stretches(pieces: Sequence[_Piece], folded: set[_Piece]) -> list[Stretch]:
    width = 100.0 - FOLD_WIDTH * len(folded)
    whole = _sum(piece for piece in pieces if piece not in folded)
    stretches: list[Stretch] = []
    begins, left = pieces[0].begins, 0.0
    for piece, following in zip(pieces, [*pieces[1:], None], strict=True):
        is_folded = piece in folded
        # Pieces that are true to the clock are one stretch, up to the next fold.
        if not is_folded and following is not None and following not in folded:
            continue
        right = left + (FOLD_WIDTH if is_folded else width * (piece.ends - begins) / whole)
        stretches.append(Stretch(begins, piece.ends, left, right, is_folded))
        begins, left = piece.ends, right
    return stretches


def _ticks(stretches: Sequence[Stretch]) -> list[Tick]:
    true = [stretch for stretch in stretches if not stretch.folded]
    shown = sum(stretch.seconds for stretch in true)
    step = next((step for step in _STEPS if shown / step <= _MOST_TICKS), _STEPS[-1])
    ticks = []
    for stretch in true:
        per_second = (stretch.right - stretch.left) / stretch.seconds
        for number in range(int(stretch.seconds / step + 1e-9) + 1):
            if number == 0 and stretch.begins:
                continue  # the fold's own label stands there
            place = stretch.left + number * step * per_second
            label = words(number * step) if number else "0"
            ticks.append(Tick(round(place, 3), f"+{label}" if stretch.begins else label))
            if len(ticks) > 4 * _MOST_TICKS:
                return ticks
    return ticks
