"""What is on record after a run, as the examiner needs it: read once, from Postgres directly."""

from collections import defaultdict
from dataclasses import dataclass
from datetime import datetime
from typing import Any, NamedTuple

from jobplatform.torture.sessions import query


class Row(NamedTuple):
    """A job."""

    job_id: str
    type: str
    status: str
    attempts: int
    crashes: int
    payload: dict[str, Any]
    result: Any
    error: dict[str, Any] | None
    on_crash: str


class Step(NamedTuple):
    """A transition. ``at`` is seconds since 1970."""

    job_id: str
    event: str
    before: str | None
    after: str
    attempt: int
    worker: int | None
    at: float


class Worker(NamedTuple):
    """A worker process, as it was on record. Times are seconds since 1970."""

    id: int
    pid: int
    started_at: float
    ended_at: float | None
    died: bool


@dataclass(frozen=True)
class Record:
    """All of it."""

    jobs: dict[str, Row]
    histories: dict[str, list[Step]]
    workers: dict[int, Worker]


def read_record(url: str) -> Record:
    """Read everything."""
    jobs = [
        Row(*row)
        for row in query(
            url, "SELECT id::text, type, status, attempts, crashes, payload, result, error, on_crash FROM jobs"
        )
    ]
    histories: dict[str, list[Step]] = defaultdict(list)
    for job_id, event, before, after, attempt, worker, at in query(
        url, "SELECT job_id::text, event, from_status, to_status, attempt, worker, at FROM transitions ORDER BY id"
    ):
        step = Step(job_id, event, before, after, attempt, worker, _seconds(at))
        histories[step.job_id].append(step)
    workers = [
        Worker(number, pid, _seconds(started), None if ended is None else _seconds(ended), died)
        for number, pid, started, ended, died in query(url, "SELECT id, pid, started_at, ended_at, died FROM workers")
    ]
    return Record({job.job_id: job for job in jobs}, dict(histories), {worker.id: worker for worker in workers})


def _seconds(at: datetime) -> float:
    return at.timestamp()
