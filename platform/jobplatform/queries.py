"""Everything that is read, one function a question, in the calling thread's connection."""

from collections import defaultdict
from collections.abc import Sequence
from datetime import datetime
from typing import NamedTuple

from peewee import JOIN, SQL, Case, fn

from jobplatform.models import Job, SchemaMigration, Transition, Worker, database
from jobplatform.statement import Parameter, Query


class JobRow(NamedTuple):
    """A job as it stands. ``payload``, ``result``, ``error`` and ``progress`` are JSON texts; times are in UTC."""

    id: str
    type: str
    status: str
    priority: str
    queue: str
    attempts: int
    payload: str
    result: str | None
    error: str | None
    progress: str | None
    created_at: datetime
    updated_at: datetime
    started_at: datetime | None
    finished_at: datetime | None
    run_at: datetime | None
    tags: list[str]
    unique_key: str | None
    cancel_requested: bool


class EventRow(NamedTuple):
    """One transition of a job. ``detail`` is JSON text."""

    id: int
    event: str
    from_status: str | None
    to_status: str
    attempt: int
    at: datetime
    #: Which worker: ``host:pid#number``.
    worker: str | None
    who: str | None
    detail: str | None
    request_id: str | None


_IDS = fn.any(SQL("%s::uuid[]", [Parameter("ids")]))

_JOBS = Query(
    Job.select(
        Job.id.cast("text"),
        Job.type,
        Job.status,
        Job.priority,
        Job.queue,
        Job.attempts,
        Job.payload.cast("text"),
        Job.result.cast("text"),
        Job.error.cast("text"),
        Job.progress.cast("text"),
        Job.created_at,
        Job.updated_at,
        Job.started_at,
        Job.finished_at,
        Job.run_at,
        Job.tags,
        Job.unique_key,
        Job.cancel_requested,
    ).where(Job.id == _IDS)
)

#: ``host:pid#number``. Nothing where there is none: format() makes a text of nothing, too.
_WORKER = Case(None, [(Worker.id.is_null(False), fn.format("%s:%s#%s", Worker.host, Worker.pid, Worker.id))], None)

_EVENTS = Query(
    Transition.select(
        Transition.job_id.cast("text"),
        Transition.id,
        Transition.event,
        Transition.from_status,
        Transition.to_status,
        Transition.attempt,
        Transition.at,
        _WORKER,
        Transition.who,
        Transition.detail.cast("text"),
        Transition.request_id,
    )
    .join(Worker, JOIN.LEFT_OUTER, on=(Worker.id == Transition.worker))
    .where(Transition.job_id == _IDS)
    .order_by(Transition.id)
)


def jobs(ids: Sequence[str]) -> dict[str, JobRow]:
    """The jobs with these ids, those that exist."""
    return {row[0]: JobRow(*row) for row in _JOBS.execute({"ids": list(ids)})}


def events(ids: Sequence[str]) -> dict[str, list[EventRow]]:
    """The transitions of these jobs, each job's in their order. A job that exists has at least one."""
    by_job: dict[str, list[EventRow]] = defaultdict(list)
    for job_id, *event in _EVENTS.execute({"ids": list(ids)}):
        by_job[job_id].append(EventRow(*event))
    return by_job


def results(ids: Sequence[str]) -> list[tuple[str, str, str | None]]:
    """Of these jobs, those that exist: id, status, and result as JSON text."""
    rows = Job.select(Job.id.cast("text"), Job.status, Job.result.cast("text"))
    return list(rows.where(Job.id == fn.any(SQL("%s::uuid[]", [list(ids)]))).tuples().execute(database))


def schema_version() -> int | None:
    """The newest migration that the database contains."""
    version: int | None = SchemaMigration.select(fn.max(SchemaMigration.version)).scalar()
    return version
