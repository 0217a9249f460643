"""Lanes as they are drawn: every span, mark and label with its place in per cent, and how much room a label needs.

The width of the picture is that of the window, which the server does not know. So each label says from which width on
there is room for it, and the style sheet shows it from there on.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from api.dashboard.picture.lanes import Kind, Lane, Mark, Span
from api.dashboard.picture.scale import Scale, Stretch, Tick, scale

#: No more lanes than these are drawn, the last ones.
MOST_LANES: Final = 40
#: Widths of the picture, in pixels, from which on labels can be shown: the style sheet knows the same.
WIDTHS: Final = (0, 300, 400, 500, 600, 700, 800, 900, 1_000, 1_250)
#: The least width of a span, in per cent: the shortest can be seen, too.
LEAST_WIDTH: Final = 0.5

#: About how wide a letter is, and what lies around a label, in pixels.
_LETTER: Final = 6.6
_AROUND: Final = 10.0
#: A label may begin so many pixels before its place, where a sign stands, and may go as far beyond the edges.
_SIGN: Final = 8.0
_NEVER: Final = 1_000_000
#: So near to an edge, in per cent, even the label of a tick may stand beside its place.
_AT_THE_EDGE: Final = 6.0

_FACTS: Final = {
    Kind.SCHEDULED: "scheduled",
    Kind.QUEUED: "waited",
    Kind.RUNNING: "ran",
    Kind.RETRYING: "backed off",
    Kind.SILENT: "no sign",
    Kind.PLANNED: "due in",
}


@dataclass(frozen=True, slots=True)
class Label:
    """A text, the place of its anchor, and from which width on it is shown; None: never."""

    text: str
    place: float
    anchor: str
    shown_from: int | None


@dataclass(frozen=True, slots=True)
class DrawnSpan:
    """A bar."""

    kind: Kind
    left: float
    width: float
    live: bool
    label: Label
    title: str
    begins: datetime
    ends: datetime


@dataclass(frozen=True, slots=True)
class DrawnMark:
    """A sign on the bar, with its label below."""

    event: str
    place: float
    label: Label
    title: str
    at: datetime
    outcome: bool


@dataclass(frozen=True, slots=True)
class DrawnLane:
    """A lane."""

    lane: Lane
    spans: Sequence[DrawnSpan]
    marks: Sequence[DrawnMark]
    #: Where the lines from the lane above and to the one below are.
    enters: float | None
    leaves: float | None

    @property
    def facts(self) -> list[tuple[Kind, str, str]]:
        """What took how long: the kind, a word for it and the duration, in order."""
        return [(span.kind, _FACTS[span.kind], span.duration) for span in self.lane.spans]


@dataclass(frozen=True, slots=True)
class Drawing:
    """The whole picture."""

    lanes: Sequence[DrawnLane]
    ticks: Sequence[tuple[Tick, Label]]
    folds: Sequence[tuple[Stretch, Label]]
    #: Where the present is, if the job has not ended.
    now: float | None
    #: So many attempts came before those that are drawn.
    left_out: int
    begins: datetime

    @property
    def kinds(self) -> list[Kind]:
        """What the bars of it mean: these are in it."""
        found = {span.kind for drawn in self.lanes for span in drawn.spans}
        return [kind for kind in Kind if kind in found]


def drawing(lanes: Sequence[Lane]) -> Drawing:
    """How to draw these lanes, of which there is at least one."""
    shown = lanes[-MOST_LANES:]
    to = scale(shown)
    live = [span for lane in shown for span in lane.spans if span.live]
    return Drawing(
        [_lane(lane, above, below, to) for above, lane, below in _with_neighbours(shown)],
        *_axis(to),
        to.place(live[0].ends) if live else None,
        len(lanes) - len(shown),
        to.origin,
    )


def room(pixels: float, share: float) -> int | None:
    """From which width on so many pixels fit into a share of it, given in per cent; None: never."""
    if pixels <= 0:
        return 0
    needed = pixels / (share / 100) if share > 0 else float("inf")
    return next((width for width in WIDTHS if needed <= (width or 240)), None)


def _with_neighbours(lanes: Sequence[Lane]) -> Iterable[tuple[Lane | None, Lane, Lane | None]]:
    return zip([None, *lanes[:-1]], lanes, [*lanes[1:], None], strict=True)


def _lane(lane: Lane, above: Lane | None, below: Lane | None, to: Scale) -> DrawnLane:
    return DrawnLane(
        lane,
        [_span(span, to) for span in lane.spans],
        _marks(lane.marks, to),
        to.place(lane.begins) if above is not None and _follows(above, lane) else None,
        to.place(below.begins) if below is not None and _follows(lane, below) else None,
    )


def _follows(lane: Lane, following: Lane) -> bool:
    """Whether the second lane begins where the first one ends, not in some time to come."""
    return lane.outcome is not None and lane.outcome.at == following.begins


def _span(span: Span, to: Scale) -> DrawnSpan:
    left, right = to.place(span.begins), to.place(span.ends)
    width = max(right - left, LEAST_WIDTH)
    left = min(left, 100 - width)
    # A label over a fold could not be read, so it stands in the longest part beside.
    clear_left, clear_right = max(_clear(left, right, to.folds), key=lambda part: part[1] - part[0])
    clear = clear_right - clear_left
    shown_from = room(_width(span.duration) + 2 * _SIGN, clear)  # at its end a sign may stand
    label = Label(span.duration, round((clear_left + clear_right) / 2, 3), "middle", shown_from)
    return DrawnSpan(span.kind, left, round(width, 3), span.live, label, _title(span), span.begins, span.ends)


def _title(span: Span) -> str:
    return span.words[0].upper() + span.words[1:]


def _clear(left: float, right: float, folds: Iterable[Stretch]) -> list[tuple[float, float]]:
    parts = []
    for fold in folds:
        if fold.right <= left or fold.left >= right:
            continue
        parts.append((left, max(fold.left, left)))
        left = min(fold.right, right)
    return [*parts, (left, right)]


def _marks(marks: Sequence[Mark], to: Scale) -> list[DrawnMark]:
    room_for = _Row()
    labels: dict[int, Label] = {}
    # Where there is not room for all labels, how it ended matters most.
    for number, mark in sorted(enumerate(marks), key=lambda one: (not one[1].outcome, one[0])):
        # The outcome leaves the room before it to what led to it.
        first = "start" if mark.outcome and len(marks) > 1 else "middle"
        labels[number] = room_for.label(mark.label, to.place(mark.at), first)
    return [
        DrawnMark(mark.event, labels[n].place, labels[n], mark.said[0].upper() + mark.said[1:], mark.at, mark.outcome)
        for n, mark in enumerate(marks)
    ]


def _axis(to: Scale) -> tuple[list[tuple[Tick, Label]], list[tuple[Stretch, Label]]]:
    """The labels above the lanes: those of folds first, then every second tick, then the others, as room allows."""
    room_for = _Row()
    folds = [(fold, room_for.label(fold.duration, fold.middle, centred=True)) for fold in to.folds]
    by_weight = sorted(enumerate(to.ticks), key=lambda one: (one[0] % 2, one[0]))
    ticks = {number: (tick, room_for.label(tick.label, tick.place, centred=True)) for number, tick in by_weight}
    return [ticks[number] for number in sorted(ticks)], folds


class _Row:
    """Labels in one line, which must neither touch each other nor leave the picture."""

    def __init__(self) -> None:
        #: The place of each, and how far it goes to the left and right of that, in pixels.
        self._placed: list[tuple[float, float, float]] = []

    def label(self, text: str, place: float, first: str = "middle", *, centred: bool = False) -> Label:
        """A label at a place: anchored as comes ``first``, or else as it finds room sooner."""
        width = _width(text)
        sides = {"middle": (-width / 2, width / 2), "start": (-_SIGN, width), "end": (-width, _SIGN)}
        if centred and _AT_THE_EDGE < place < 100 - _AT_THE_EDGE:
            sides = {"middle": sides["middle"]}
        found = [(side, self._room((place, *ends))) for side, ends in sides.items()]
        anchor, shown_from = min(found, key=lambda one: (_NEVER if one[1] is None else one[1], one[0] != first))
        if shown_from is not None:
            self._placed.append((place, *sides[anchor]))
        return Label(text, place, anchor, shown_from)

    def _room(self, one: tuple[float, float, float]) -> int | None:
        place, left, right = one
        rooms = [_apart(one, other) for other in self._placed]
        rooms += [room(-left - _SIGN, place), room(right - _SIGN, 100 - place)]
        return None if None in rooms else max(at for at in rooms if at is not None)


def _apart(one: tuple[float, float, float], other: tuple[float, float, float]) -> int | None:
    """From which width on two labels do not touch."""
    (place, left, _), (before, _, right) = (one, other) if one[0] >= other[0] else (other, one)
    return 0 if right <= left else room(right - left, place - before)


def _width(text: str) -> float:
    return len(text) * _LETTER + _AROUND
