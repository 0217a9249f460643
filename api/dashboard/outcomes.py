"""What has ended, step by step, as the overview's chart and its table have it."""

from collections.abc import Mapping
from datetime import datetime
from functools import cached_property
from typing import Any, Final, NamedTuple
from urllib.parse import urlencode

from jobplatform.queries.tallies import Sums, Window

#: Shares of the attempts, by the names of their percentiles.
SHARES: Final = {"p50": 0.5, "p95": 0.95, "p99": 0.99}


class Outcome(NamedTuple):
    """One part of the stack."""

    name: str
    #: Whose colour and picture it has.
    status: str
    #: What it counts.
    meaning: str
    total: int
    #: The list of the jobs that it counts, as well as it can be asked for.
    address: str


#: The lowest part of the stack first: name, the status whose colour it has, events, meaning.
_OUTCOMES: Final = (
    ("completed", "completed", ("completed",), "jobs whose work is done"),
    ("retried", "retrying", ("retry_planned",), "attempts that failed, with another one to come"),
    ("taken back", "queued", ("rescued", "interrupted"), "attempts cut short by the death or the end of a worker"),
    ("cancelled", "cancelled", ("cancelled",), "jobs that were called off"),
    ("failed", "failed", ("failed",), "jobs that failed for good"),
)


class Outcomes:
    """A window as it is drawn, worked out once however often it is shown."""

    def __init__(self, window: Window, filter: Mapping[str, str | None]) -> None:  # noqa: A002
        """``filter`` has the ``type`` and the ``priority`` to which the window was narrowed."""
        self._steps = window.steps
        self._range = window.range
        self._since = window.steps[0][0]
        self._filter = filter
        #: As `Window.behind`.
        self.behind = window.behind

    @cached_property
    def outcomes(self) -> list[Outcome]:
        """The parts of the stack."""
        return [
            Outcome(name, status, meaning, sum(self._numbers(events)), self._address(status))
            for name, status, events, meaning in _OUTCOMES
        ]

    @cached_property
    def ended(self) -> int:
        """How much there is to be drawn."""
        return sum(outcome.total for outcome in self.outcomes)

    @cached_property
    def whole(self) -> dict[str, dict[str, float | None]]:
        """Percentiles of the whole window: of the waits and the runs."""
        together = Sums()
        together.waits = _together([sums.waits for _, sums in self._steps])
        together.runs = _together([sums.runs for _, sums in self._steps])
        return {
            "wait": {name: together.wait(share) for name, share in SHARES.items()},
            "run": {name: together.run(share) for name, share in SHARES.items()},
        }

    @cached_property
    def drawn(self) -> dict[str, Any]:
        """What the page's script draws. Times are seconds; numbers of the stack are those of a whole step."""
        return {
            "step": self._range.step * 60,
            "at": [int(at.timestamp()) for at, _ in self._steps],
            "ends": [
                {"name": name, "status": status, "numbers": self._numbers(events), "address": self._address(status)}
                for name, status, events, _ in _OUTCOMES
            ],
            "wait": {name: [_rounded(sums.wait(share)) for _, sums in self._steps] for name, share in SHARES.items()},
            "run": {name: [_rounded(sums.run(share)) for _, sums in self._steps] for name, share in SHARES.items()},
        }

    @cached_property
    def table(self) -> list[tuple[datetime, list[int], list[float | None]]]:
        """The same for those who would rather read: the newest step first, without those in which nothing ended."""
        rows = [
            (
                at,
                [sum(getattr(sums, event) for event in events) for _, _, events, _ in _OUTCOMES],
                [*(sums.wait(share) for share in SHARES.values()), *(sums.run(share) for share in SHARES.values())],
            )
            for at, sums in reversed(self._steps)
        ]
        return [row for row in rows if any(row[1])]

    def _numbers(self, events: tuple[str, ...]) -> list[int]:
        return [sum(getattr(sums, event) for event in events) for _, sums in self._steps]

    def _address(self, status: str) -> str:
        # Those that have gone on are no longer where they were then: they are shown where they wait now.
        final = status in ("completed", "cancelled", "failed")
        since = {"finishedAfter": self._since.strftime("%Y-%m-%dT%H:%M:%SZ")} if final else {}
        words = {"status": status, **self._filter, **since}
        return f"/ui/jobs?{urlencode({name: value for name, value in words.items() if value})}"


def _together(histograms: list[list[int]]) -> list[int]:
    longest = max(map(len, histograms), default=0)
    return [sum(counts[place] for counts in histograms if place < len(counts)) for place in range(longest)]


def _rounded(seconds: float | None) -> float | None:
    return None if seconds is None else float(f"{seconds:.3g}")
