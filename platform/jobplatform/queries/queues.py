"""The queues: how long their jobs wait, whether they are paused, and who serves them."""

from datetime import datetime
from typing import Final, NamedTuple

from jobplatform.queries.snapshot import one_moment, rows
from jobplatform.queries.workers import SILENT_AFTER
from jobplatform.query import IN_ORDER
from jobplatform.states import QUEUES

#: The rate is that of the last minute, or of the last so many transitions if these take less.
_RATE_SECONDS: Final = 60
_RATE_TRANSITIONS: Final = 3_000


class QueueRow(NamedTuple):
    """A queue. Times in seconds; None where nothing waits, or nothing was started of late."""

    name: str
    oldest_waiting: float | None
    latency: float | None
    paused_at: datetime | None
    paused_by: str | None
    pause_reason: str | None
    workers: int
    slots: int


class Rate(NamedTuple):
    """What was started of a queue of late."""

    #: Jobs a minute.
    per_minute: float
    #: Between a job's being ready and its start, in seconds: the median.
    latency: float | None


_QUEUES: Final = f"""
    {IN_ORDER}
    SELECT q.name,
        (SELECT greatest(extract(epoch FROM clock_timestamp() - j.dispatched_at), 0)::float8 FROM jobs AS j
         WHERE j.status = 'queued' AND j.queue = q.name ORDER BY j.dispatched_at LIMIT 1),
        p.paused_at, p.who, p.reason, w.workers, w.slots
    FROM unnest(%s::text[]) WITH ORDINALITY AS q(name, place)
    LEFT JOIN paused_queues AS p ON p.queue = q.name
    CROSS JOIN LATERAL (
        SELECT count(*) AS workers, coalesce(sum(threads), 0) AS slots FROM workers
        WHERE ended_at IS NULL AND stopping_at IS NULL AND q.name = ANY(queues)
          AND last_seen_at >= clock_timestamp() - interval '{SILENT_AFTER} s'
    ) AS w
    ORDER BY q.place
"""

_RATES: Final = f"""
    WITH recent AS MATERIALIZED (
        SELECT job_id, event, at FROM transitions ORDER BY id DESC LIMIT {_RATE_TRANSITIONS}
    ), span AS (
        SELECT CASE WHEN count(*) < {_RATE_TRANSITIONS} THEN {_RATE_SECONDS}
                    ELSE least(extract(epoch FROM clock_timestamp() - min(at)), {_RATE_SECONDS}) END AS seconds
        FROM recent
    )
    SELECT j.queue, (count(*) * 60.0 / greatest((SELECT seconds FROM span), 0.001))::float8,
           (percentile_cont(0.5) WITHIN GROUP (ORDER BY extract(epoch FROM r.at - j.dispatched_at))
            FILTER (WHERE j.started_at = r.at AND j.dispatched_at <= r.at))::float8
    FROM recent AS r CROSS JOIN LATERAL (
        SELECT queue, started_at, dispatched_at FROM jobs WHERE id = r.job_id OFFSET 0) AS j
    WHERE r.event = 'started' AND r.at > clock_timestamp() - interval '{_RATE_SECONDS} s'
    GROUP BY j.queue
"""


def queues() -> list[QueueRow]:
    """All queues, the one that goes first first."""
    with one_moment():
        started = rates()
        found = rows(_QUEUES, [list(QUEUES)])
    return [
        QueueRow(name, oldest, started[name].latency if name in started else None, *rest)
        for name, oldest, *rest in found
    ]


def rates() -> dict[str, Rate]:
    """How fast jobs of each queue are being started; a queue of which none was is left out."""
    return {queue: Rate(*rate) for queue, *rate in rows(_RATES)}
