"""What has happened of late, from the tallies: how many jobs and attempts ended how, and how long they took.

It is as complete as the tallies are (see `journal.tallies`): some seconds old, or as old as `Window.behind` says. Times
of waiting and running are those of the attempts that ended in a step, within `histogram.ERROR`.
"""

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final, NamedTuple

from jobplatform.histogram import histogram, percentile
from jobplatform.queries.snapshot import one_moment, rows
from jobplatform.spans import ALL_TYPES


class Range(NamedTuple):
    """How far back to look, in steps; read from tallies of one span. All in minutes."""

    minutes: int
    step: int
    span: int


#: By the names that people choose them by.
RANGES: Final = {
    "15m": Range(15, 1, 1),
    "1h": Range(60, 1, 1),
    "6h": Range(360, 5, 1),
    "24h": Range(1_440, 15, 15),
    "7d": Range(10_080, 60, 15),
}


@dataclass(slots=True)
class Sums:
    """What ended: jobs (``completed``, ``failed``, ``cancelled``), and attempts after which their jobs went on."""

    completed: int = 0
    failed: int = 0
    cancelled: int = 0
    retry_planned: int = 0
    rescued: int = 0
    interrupted: int = 0
    #: Histograms: for how long jobs had been ready when these attempts began, and how long these ran.
    waits: list[int] = field(default_factory=list)
    runs: list[int] = field(default_factory=list)

    @property
    def finished(self) -> int:
        return self.completed + self.failed + self.cancelled

    def wait(self, share: float) -> float | None:
        """So many seconds did the given share wait at the most; None where nothing was begun."""
        return percentile(self.waits, share)

    def run(self, share: float) -> float | None:
        """So many seconds did the given share run at the most; None where nothing ran to its end."""
        return percentile(self.runs, share)


class Window(NamedTuple):
    """What has happened in a range of time, in its order. The last step is still going on."""

    range: Range
    now: datetime
    #: When each step began, and what ended in it.
    steps: list[tuple[datetime, Sums]]
    #: Seconds since what has happened and is not yet added up.
    behind: float


_COUNTS: Final = ("completed", "failed", "cancelled", "retry_planned", "rescued", "interrupted")
_SUMMED: Final = ", ".join(f"sum({name})::bigint" for name in _COUNTS)

_NOW: Final = """
    SELECT clock_timestamp(), coalesce((
        SELECT greatest(extract(epoch FROM clock_timestamp() - t.at), 0) FROM transitions AS t
        WHERE (t.xid, t.id) > (p.xid, p.id) ORDER BY t.xid, t.id LIMIT 1), 0)::float8
    FROM tally_position AS p
"""
_STEPS: Final = """
    SELECT generate_series(date_bin(%(step)s * interval '1 minute', %(now)s, 'epoch')
                           - (%(minutes)s - %(step)s) * interval '1 minute',
                           %(now)s, %(step)s * interval '1 minute')
"""
#: The tallies in question, each with what it is told under: a step of time, or a name.
_OF_STEPS: Final = """
    SELECT date_bin(%(step)s * interval '1 minute', at, 'epoch') AS of, * FROM tallies
    WHERE span = %(span)s AND at >= %(since)s AND type = %(type)s AND (%(queue)s::text IS NULL OR queue = %(queue)s)
"""
_OF_TYPES: Final = "SELECT type AS of, * FROM tallies WHERE span = %(span)s AND at >= %(since)s AND type <> ''"
_OF_QUEUES: Final = "SELECT queue AS of, * FROM tallies WHERE span = %(span)s AND at >= %(since)s AND type = ''"

_SUMS: Final = f"SELECT of, {_SUMMED} FROM ({{of}}) AS tallied GROUP BY of"
_TIMES: Final = """
    SELECT of, array_agg(place), array_agg(number) FROM (
        SELECT of, (place - 1)::integer AS place, sum(number)::bigint AS number
        FROM ({of}) AS tallied, unnest({times}) WITH ORDINALITY AS t(number, place)
        WHERE number > 0 GROUP BY of, place) AS summed
    GROUP BY of
"""


def window(range: Range, type: str | None = None, queue: str | None = None) -> Window:  # noqa: A002
    """What has happened in the last minutes, of one type or all, in one queue or both."""
    with one_moment():
        ((now, behind),) = rows(_NOW)
        steps = [at for (at,) in rows(_STEPS, {"now": now, "step": range.step, "minutes": range.minutes})]
        asked = {
            "step": range.step,
            "span": range.span,
            "since": steps[0],
            "type": type or ALL_TYPES,
            "queue": queue,
        }
        found = _summed(_OF_STEPS, asked)
    return Window(range, now, [(at, found.get(at) or Sums()) for at in steps], behind)


def by_type(range: Range) -> dict[str, Sums]:  # noqa: A002
    """What has happened in the last minutes of each type of which something ended."""
    return _by(_OF_TYPES, range)


def by_queue(range: Range) -> dict[str, Sums]:  # noqa: A002
    """What has happened in the last minutes of each queue in which something ended."""
    return _by(_OF_QUEUES, range)


def _by(of: str, range: Range) -> dict[str, Sums]:  # noqa: A002
    with one_moment():
        ((now, _),) = rows(_NOW)
        since = rows(_STEPS, {"now": now, "step": range.step, "minutes": range.minutes})[0][0]
        return _summed(of, {"span": range.span, "since": since})


def _summed(of: str, asked: dict[str, Any]) -> dict[Any, Sums]:
    found = {name: Sums(*counts) for name, *counts in rows(_SUMS.format(of=of), asked)}
    for name, places, numbers in rows(_TIMES.format(of=of, times="waits"), asked):
        found[name].waits = histogram(dict(zip(places, numbers, strict=True)))
    for name, places, numbers in rows(_TIMES.format(of=of, times="runs"), asked):
        found[name].runs = histogram(dict(zip(places, numbers, strict=True)))
    return found
