"""The workers on record, and what they run."""

from collections import defaultdict
from datetime import datetime
from typing import Final, NamedTuple

from jobplatform.queries.snapshot import one_moment, rows

#: A worker without a beat for so many seconds is silent.
SILENT_AFTER: Final = 10

_MOST_LIVE: Final = 1_000
_MOST_ENDED: Final = 100
_MOST_RUNNING: Final = 5_000


class RunningRow(NamedTuple):
    """An attempt that a worker runs. ``progress`` is JSON text."""

    job_id: str
    type: str
    attempt: int
    started_at: datetime
    progress: str | None


class WorkerRow(NamedTuple):
    """A worker process. ``status``: alive, stopping, silent, ended or died. Memory is bytes."""

    id: int
    host: str
    pid: int
    version: str
    queues: list[str]
    types: list[str]
    threads: int
    started_at: datetime
    last_seen_at: datetime
    stopping_at: datetime | None
    ended_at: datetime | None
    memory: int | None
    peak_memory: int | None
    status: str
    running: list[RunningRow]


class Force(NamedTuple):
    """All workers of one status: how many, their threads, how many of these run a job, and their memory in bytes."""

    status: str
    workers: int
    slots: int
    busy: int
    memory: int


_WORKERS: Final = f"""
    SELECT id, host, pid, version, queues, types, threads, started_at, last_seen_at, stopping_at, ended_at, memory,
           peak_memory,
           CASE WHEN died THEN 'died' WHEN ended_at IS NOT NULL THEN 'ended'
                WHEN last_seen_at < clock_timestamp() - interval '{SILENT_AFTER} s' THEN 'silent'
                WHEN stopping_at IS NOT NULL THEN 'stopping' ELSE 'alive' END AS status
    FROM workers
"""
_LIVE: Final = f"{_WORKERS} WHERE ended_at IS NULL ORDER BY id LIMIT {_MOST_LIVE}"
#: Those that ended last are among those that started last, but for very old ones.
_ENDED: Final = f"""
    SELECT * FROM ({_WORKERS} WHERE ended_at IS NOT NULL ORDER BY id DESC LIMIT {10 * _MOST_ENDED}) AS recent
    ORDER BY ended_at DESC LIMIT {_MOST_ENDED}
"""
_RUNNING: Final = f"""
    SELECT worker, id::text, type, attempts, started_at, progress::text FROM jobs
    WHERE status = 'running' AND worker = ANY(%s) ORDER BY worker, started_at LIMIT {_MOST_RUNNING}
"""

_FORCES: Final = f"""
    SELECT status, count(*), sum(threads)::bigint, sum(busy)::bigint, coalesce(sum(memory), 0)::bigint
    FROM ({_WORKERS} WHERE ended_at IS NULL) AS live CROSS JOIN LATERAL (
        SELECT count(*) AS busy FROM jobs WHERE jobs.status = 'running' AND jobs.worker = live.id) AS held
    GROUP BY status
"""


def workers(with_ended: bool) -> list[WorkerRow]:
    """The workers that are not known to have ended; if wanted, also those that ended last, the latest first."""
    with one_moment():
        live = rows(_LIVE)
        running = defaultdict(list)
        for worker, *attempt in rows(_RUNNING, [[row[0] for row in live]]):
            running[worker].append(RunningRow(*attempt))
        ended = rows(_ENDED) if with_ended else []
    with_jobs = [(*row, running[row[0]]) for row in live] + [(*row, []) for row in ended]
    return [WorkerRow._make(row) for row in with_jobs]


def forces() -> list[Force]:
    """The same workers, those of each status together, however many they are; no status that none has."""
    return [Force._make(row) for row in rows(_FORCES)]
