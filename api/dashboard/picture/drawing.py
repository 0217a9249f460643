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
WIDTHS: Final = (0, 300, 400, 500, 650, 800, 1_000, 1_250)
#: The least width of a span, in per cent: the shortest can be seen, too.
LEAST_WIDTH: Final = 0.5

#: About how wide a letter is, and what lies around a label, in pixels.
_LETTER: Final = 6.6
_AROUND: Final = 10.0

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
    shown_from = room(_width(span.duration), clear)
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
    placed: list[tuple[float, float, float]] = []
    labels: dict[int, Label] = {}
    # Where there is not room for all labels, how it ended matters most.
    for number, mark in sorted(enumerate(marks), key=lambda one: (not one[1].outcome, one[0])):
        place, width = to.place(mark.at), _width(mark.label)
        anchor, low, high = _anchored(place, width)
        rooms = [_apart((place, low, high), other) for other in placed]
        shown_from = None if None in rooms else max((at for at in rooms if at is not None), default=0)
        if shown_from is not None:
            placed.append((place, low, high))
        labels[number] = Label(mark.label, place, anchor, shown_from)
    return [
        DrawnMark(mark.event, labels[n].place, labels[n], mark.said[0].upper() + mark.said[1:], mark.at, mark.outcome)
        for n, mark in enumerate(marks)
    ]


def _anchored(place: float, width: float) -> tuple[str, float, float]:
    """How a label is anchored such that it stays within the picture, and how far it goes from there, in pixels."""
    if place < 20:
        return "start", 0.0, width
    if place > 80:
        return "end", -width, 0.0
    return "middle", -width / 2, width / 2


def _apart(one: tuple[float, float, float], other: tuple[float, float, float]) -> int | None:
    """From which width on two labels do not touch."""
    (place, low, _), (before, _, high) = (one, other) if one[0] >= other[0] else (other, one)
    return 0 if high <= low else room(high - low, place - before)


def _axis(to: Scale) -> tuple[list[tuple[Tick, Label]], list[tuple[Stretch, Label]]]:
    """The labels above the lanes: those of folds first, then every second tick, then the others, as room allows."""
    placed: list[tuple[float, float, float]] = []

    def label(text: str, place: float, anchored: tuple[str, float, float]) -> Label:
        anchor, low, high = anchored
        rooms = [_apart((place, low, high), other) for other in placed]
        shown_from = None if None in rooms else max((at for at in rooms if at is not None), default=0)
        if shown_from is not None:
            placed.append((place, low, high))
        return Label(text, place, anchor, shown_from)

    folds = [(fold, label(fold.duration, fold.middle, _at_the_edge(fold.middle, fold.duration))) for fold in to.folds]
    ticks = [
        (number, tick, label(tick.label, tick.place, _at_the_edge(tick.place, tick.label)))
        for number, tick in sorted(enumerate(to.ticks), key=lambda one: (one[0] % 2, one[0]))
    ]
    return [(tick, of_tick) for _, tick, of_tick in sorted(ticks, key=lambda one: one[0])], folds


def _at_the_edge(place: float, text: str) -> tuple[str, float, float]:
    width = _width(text)
    if place < 1:
        return "start", 0.0, width
    if place > 94:
        return "end", -width, 0.0
    return "middle", -width / 2, width / 2


def _width(text: str) -> float:
    return len(text) * _LETTER + _AROUND
