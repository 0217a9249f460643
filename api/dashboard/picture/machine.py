"""The statuses and the legal arrows between them as a picture laid out by hand, with the way that one job took.

What is drawn is compared with the machine itself (jobplatform/states.py) by a test.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from jobplatform.queries import EventRow
from jobplatform.states import Event, Status

#: The picture's own size, by which all places are given.
WIDTH: Final = 820
HEIGHT: Final = 382
NODE_WIDTH: Final = 104
NODE_HEIGHT: Final = 34

TIMES: Final = "\N{MULTIPLICATION SIGN}"

#: The centres of the statuses.
_NODES: Final = {
    Status.SCHEDULED: (130, 70),
    Status.QUEUED: (290, 160),
    Status.RUNNING: (550, 160),
    Status.RETRYING: (420, 250),
    Status.COMPLETED: (740, 160),
    Status.FAILED: (740, 70),
    Status.CANCELLED: (420, 350),
}
#: The place from which jobs come.
START: Final = (130, 160)


@dataclass(frozen=True, slots=True)
class Arrow:
    """A legal step: its line, and where its label stands."""

    event: Event
    before: Status | None
    after: Status
    path: str
    label: tuple[int, int]
    anchor: str = "middle"


#: Those that change the status. `fenced` does not, whatever the status is, and is only counted.
ARROWS: Final = (
    Arrow(Event.ENQUEUED, None, Status.QUEUED, "M138 160 H234", (188, 152)),
    Arrow(Event.SCHEDULED, None, Status.SCHEDULED, "M130 152 V91", (136, 126), "start"),
    Arrow(Event.RELEASED, Status.SCHEDULED, Status.QUEUED, "M182 70 H244 Q272 70 272 98 V139", (264, 100), "end"),
    Arrow(Event.STARTED, Status.QUEUED, Status.RUNNING, "M342 160 H494", (420, 152)),
    Arrow(Event.RESCUED, Status.RUNNING, Status.QUEUED, "M536 143 C510 100 340 100 312 139", (420, 104)),
    Arrow(Event.INTERRUPTED, Status.RUNNING, Status.QUEUED, "M552 143 C530 54 322 54 296 139", (420, 70)),
    Arrow(Event.RETRY_PLANNED, Status.RUNNING, Status.RETRYING, "M536 177 Q528 250 476 250", (518, 216), "end"),
    Arrow(Event.RELEASED, Status.RETRYING, Status.QUEUED, "M368 250 Q316 250 308 181", (324, 200), "start"),
    Arrow(Event.COMPLETED, Status.RUNNING, Status.COMPLETED, "M602 160 H684", (643, 152)),
    Arrow(Event.FAILED, Status.RUNNING, Status.FAILED, "M580 143 Q592 70 684 70", (636, 64)),
    Arrow(
        Event.RESUBMITTED, Status.FAILED, Status.QUEUED, "M740 53 Q740 22 706 22 H316 Q282 22 282 56 V139", (510, 16)
    ),
    Arrow(
        Event.CANCELLED,
        Status.SCHEDULED,
        Status.CANCELLED,
        "M78 70 H62 Q34 70 34 98 V322 Q34 358 70 358 H364",
        (40, 240),
        "start",
    ),
    Arrow(Event.CANCELLED, Status.QUEUED, Status.CANCELLED, "M290 177 Q290 336 364 342", (309, 290), "start"),
    Arrow(Event.RESUBMITTED, Status.CANCELLED, Status.QUEUED, "M368 350 Q270 340 270 181", (262, 280), "end"),
    Arrow(Event.CANCELLED, Status.RETRYING, Status.CANCELLED, "M420 267 V329", (426, 302), "start"),
    Arrow(Event.CANCELLED, Status.RUNNING, Status.CANCELLED, "M580 177 Q594 350 476 350", (578, 290), "start"),
    Arrow(Event.RESENT, Status.QUEUED, Status.QUEUED, "M244 172 C206 176 206 212 256 181", (206, 208)),
    Arrow(Event.CANCEL_REQUESTED, Status.RUNNING, Status.RUNNING, "M590 177 C610 216 650 200 606 172", (640, 212)),
)


@dataclass(frozen=True, slots=True)
class DrawnArrow:
    """An arrow, how often the job took it, and what it is called."""

    arrow: Arrow
    times: int

    @property
    def label(self) -> str:
        """Its event, and how often, if it was more than once."""
        name = self.arrow.event.replace("_", " ")
        return f"{name} {TIMES}{self.times}" if self.times > 1 else name


@dataclass(frozen=True, slots=True)
class DrawnStatus:
    """A status, and what the job has to do with it."""

    status: Status
    centre: tuple[int, int]
    times: int
    present: bool


@dataclass(frozen=True, slots=True)
class Machine:
    """The picture."""

    statuses: Sequence[DrawnStatus]
    #: Those that were taken come last: they lie above the others.
    arrows: Sequence[DrawnArrow]
    #: So many late outcomes were refused.
    fenced: int
    #: The way in words.
    way: Sequence[str]
    start: tuple[int, int] = START
    width: int = WIDTH
    height: int = HEIGHT
    node_width: int = NODE_WIDTH
    node_height: int = NODE_HEIGHT


def machine(events: Sequence[EventRow], present: str) -> Machine:
    """The picture of a job that has this history, and is in this status now."""
    taken = Counter((event.event, event.from_status, event.to_status) for event in events)
    visits = Counter(event.to_status for event in events if event.from_status != event.to_status)
    arrows = [DrawnArrow(arrow, taken[arrow.event, arrow.before, arrow.after]) for arrow in ARROWS]
    return Machine(
        [DrawnStatus(status, centre, visits[status], status == present) for status, centre in _NODES.items()],
        sorted(arrows, key=lambda arrow: arrow.times > 0),
        sum(event.event == Event.FENCED for event in events),
        [f"{event.event.replace('_', ' ')}: {event.to_status}" for event in events],
    )
