"""Tallies: what has happened, added up as it happens, by span of time, type and queue.

Exactly once for each transition: they are walked in the order of (transaction, id), which is complete below the oldest
transaction that still runs, and how far the walk has come is committed with the sums. What the tallies do not say:

- What happened in the last seconds, nor anything newer than the oldest transaction that still writes, in any database
  of the server. It is added when that one has ended, to the spans in which it happened.
- Of jobs that somebody has deleted before their transitions were added up: nothing.
- Durations count where the attempt ended, not where it began. One of `rescued` or `interrupted` has a wait, but no run,
  as nobody knows when it really ended. If its worker died and there is no next attempt (`failed`, `cancelled`), the run
  lasts until that was found out.
- What is older than `KEPT` when its turn comes, as after an upgrade: then it is passed over.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Final, NamedTuple

from jobplatform.histogram import histogram, range_in_sql
from jobplatform.models import database
from jobplatform.query import array
from jobplatform.spans import ALL_TYPES, KEPT
from jobplatform.states import FINAL, Event

#: A bite takes so many transitions at the most: some ten milliseconds.
BITE: Final = 10_000
#: So long, in seconds, each statement of a bite may take: meanwhile its keeper does nothing else.
LONGEST: Final = 5.0
#: Seconds from when nothing was left until anybody looks again, however many keepers there are.
PAUSE: Final = 4.0

#: How a job or an attempt ends; each has a column of its name.
ENDS: Final = (
    Event.COMPLETED,
    Event.FAILED,
    Event.CANCELLED,
    Event.RETRY_PLANNED,
    Event.RESCUED,
    Event.INTERRUPTED,
)
#: Ends of attempts of which nobody knows how long they ran.
_CUT_SHORT: Final = (Event.RESCUED, Event.INTERRUPTED)


class Cell(NamedTuple):
    """So many ends of one kind, in one minute, whose attempts had waited and run about as long.

    ``minute`` counts from 1970. ``wait`` and ``run`` are ranges of a histogram; None: there is no such duration.
    """

    type: str
    queue: str
    minute: int
    event: str
    wait: int | None
    run: int | None
    number: int


class Key(NamedTuple):
    """Where something is added."""

    span: int
    type: str
    at: datetime
    queue: str


@dataclass(slots=True)
class Sums:
    """What is added there."""

    ends: Counter[str] = field(default_factory=Counter)
    waits: Counter[int] = field(default_factory=Counter)
    runs: Counter[int] = field(default_factory=Counter)


def add_up(most: int = BITE, pause: float = PAUSE) -> bool:
    """Add a bite of what has happened since the last one, in one transaction. Whether there may be more at once.

    Nothing is done while another keeper adds up, or if one found nothing left less than ``pause`` seconds ago.
    """
    with database.atomic():
        taken = _rows(_TAKE, {"pause": pause, "longest": int(LONGEST * 1000)})
        if not taken:
            return False
        ((xid, transition, now),) = taken
        ends = _rows(_END, {"xid": xid, "id": transition, "most": most})
        if not ends:
            return False  # another keeper was here a moment ago
        ((last_xid, last, more),) = ends
        bite = {"xid": xid, "id": transition, "last_xid": last_xid, "last": last, "since": now - max(KEPT.values())}
        cells = [Cell(*row) for row in _rows(_BITE, bite)]
        if cells:
            database.execute_sql(_ADD, _columns(summed(cells, now)))
        database.execute_sql(_MOVE, {"xid": last_xid, "id": last, "more": more})
        return bool(more)


def summed(cells: Iterable[Cell], now: datetime) -> dict[Key, Sums]:
    """The sums that cells make in all spans to which they belong, and which are still kept."""
    sums: dict[Key, Sums] = defaultdict(Sums)
    for cell in cells:
        for span, kept in KEPT.items():
            at = datetime.fromtimestamp(cell.minute // span * span * 60, UTC)
            if at < now - kept:
                continue
            for kind in (cell.type, ALL_TYPES):
                to = sums[Key(span, kind, at, cell.queue)]
                to.ends[cell.event] += cell.number
                if cell.wait is not None:
                    to.waits[cell.wait] += cell.number
                if cell.run is not None:
                    to.runs[cell.run] += cell.number
    return sums


def forget_tallies(most: int) -> int:
    """Delete so many tallies that are no longer kept, of each span, at the most. Returns how many."""
    values = [(span, kept, most) for span, kept in KEPT.items()]
    return sum(database.execute_sql(_FORGET, value).rowcount for value in values)


def _columns(sums: dict[Key, Sums]) -> list[Any]:
    rows = [
        (
            *key,
            *(to.ends[event] for event in ENDS),
            array(histogram(to.waits)),
            array(histogram(to.runs)),
        )
        for key, to in sums.items()
    ]
    return [list(column) for column in zip(*rows, strict=True)]


def _rows(sql: str, values: dict[str, Any]) -> list[tuple[Any, ...]]:
    return list(database.execute_sql(sql, values).fetchall())


def _listed(words: Iterable[str]) -> str:
    return ", ".join(f"'{word}'" for word in words)


# Looked at first, and locked only where there is something to do: an idle keeper writes nothing. Postgres cannot tell
# how many transitions a bite has, above all where many were written by one transaction: it is told to use the indexes.
_TAKE: Final = """
    SET LOCAL enable_seqscan = off; SET LOCAL statement_timeout = %(longest)s;
    SELECT p.xid::text, p.id, clock_timestamp() FROM tally_position AS p
    WHERE NOT (p.tallied_at > clock_timestamp() - %(pause)s * interval '1 second' AND p.tallied_at < clock_timestamp())
      AND (SELECT true FROM transitions AS t
           WHERE (t.xid, t.id) > (p.xid, p.id) AND t.xid < pg_snapshot_xmin(pg_current_snapshot())
           ORDER BY t.xid, t.id LIMIT 1)
    FOR UPDATE OF p SKIP LOCKED
"""

#: The last transition of the bite, and whether there is more behind it.
_END: Final = """
    (SELECT t.xid::text, t.id, true FROM transitions AS t
     WHERE (t.xid, t.id) > (%(xid)s::xid8, %(id)s::bigint) AND t.xid < pg_snapshot_xmin(pg_current_snapshot())
     ORDER BY t.xid, t.id LIMIT 1 OFFSET %(most)s - 1)
    UNION ALL
    (SELECT t.xid::text, t.id, false FROM transitions AS t
     WHERE (t.xid, t.id) > (%(xid)s::xid8, %(id)s::bigint) AND t.xid < pg_snapshot_xmin(pg_current_snapshot())
     ORDER BY t.xid DESC, t.id DESC LIMIT 1)
    LIMIT 1
"""

#: Of most attempts the row of the job still tells when it was ready and when it began. Where it may not, the
#: transitions do, with another look for each. ``OFFSET 0`` keeps the levels apart: what is looked up is looked up once.
_BITE: Final = f"""
    SELECT type, queue, minute, event, {range_in_sql("wait")}, {range_in_sql("run")}, count(*) FROM (
        SELECT type, queue, event, floor(date_part('epoch', at) / 60)::integer AS minute,
            date_part('epoch', began - ready) * 1000 AS wait,
            CASE WHEN event NOT IN ({_listed(_CUT_SHORT)}) THEN date_part('epoch', at - began) * 1000 END AS run
        FROM (
            SELECT j.type, j.queue, e.at, e.event,
                CASE WHEN e.from_status <> 'running' THEN NULL
                     WHEN j.attempts = e.attempt THEN j.started_at
                     ELSE (SELECT s.at FROM transitions AS s
                           WHERE s.job_id = e.job_id AND s.attempt = e.attempt AND s.event = 'started') END AS began,
                CASE WHEN e.from_status <> 'running' THEN NULL
                     WHEN e.attempt = 1 AND j.attempts = 1 AND j.dispatched_at = j.created_at THEN j.dispatched_at
                     ELSE (SELECT q.at FROM transitions AS q
                           WHERE q.job_id = e.job_id AND q.id < e.id
                             AND q.to_status = 'queued' AND q.from_status IS DISTINCT FROM 'queued'
                           ORDER BY q.id DESC LIMIT 1) END AS ready
            FROM transitions AS e CROSS JOIN LATERAL (
                SELECT type, queue, attempts, created_at, dispatched_at, started_at
                FROM jobs WHERE id = e.job_id OFFSET 0) AS j
            WHERE (e.xid, e.id) > (%(xid)s::xid8, %(id)s::bigint)
              AND (e.xid, e.id) <= (%(last_xid)s::xid8, %(last)s::bigint) AND e.at >= %(since)s
              AND e.from_status <> e.to_status
              AND (e.from_status = 'running' OR e.to_status IN ({_listed(sorted(FINAL))}))
            OFFSET 0) AS ended
        OFFSET 0) AS ranged
    GROUP BY 1, 2, 3, 4, 5, 6
"""

_COUNTS: Final = ", ".join(ENDS)
_ADD: Final = f"""
    INSERT INTO tallies AS t (span, type, at, queue, {_COUNTS}, waits, runs)
    SELECT span, type, at, queue, {_COUNTS}, waits::integer[], runs::integer[]
    FROM unnest(%s::integer[], %s::text[], %s::timestamptz[], %s::text[], {"%s::integer[], " * len(ENDS)}
                %s::text[], %s::text[])
        AS u(span, type, at, queue, {_COUNTS}, waits, runs)
    ON CONFLICT (span, type, at, queue) DO UPDATE SET
        {", ".join(f"{name} = t.{name} + excluded.{name}" for name in ENDS)},
        {
    ", ".join(
        f"{name} = ARRAY(SELECT coalesce(a, 0) + coalesce(b, 0) FROM unnest(t.{name}, excluded.{name})"
        " WITH ORDINALITY AS u(a, b, n) ORDER BY n)"
        for name in ("waits", "runs")
    )
}
"""

_MOVE: Final = """
    UPDATE tally_position SET xid = %(xid)s::xid8, id = %(id)s,
        tallied_at = CASE WHEN %(more)s THEN tallied_at ELSE clock_timestamp() END
"""

_FORGET: Final = """
    DELETE FROM tallies WHERE ctid = ANY(ARRAY(
        SELECT ctid FROM tallies WHERE span = %s AND at < clock_timestamp() - %s LIMIT %s))
"""
