"""Single jobs, as they stand."""

from collections.abc import Sequence
from datetime import datetime
from typing import NamedTuple

from peewee import SQL, fn

from jobplatform.models import Job, database
from jobplatform.prepared import Prepared
from jobplatform.query import Parameter, Query, array


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


#: The ids that a query is asked for.
IDS = fn.any(SQL("%s::uuid[]", [Parameter("ids")]))

_JOBS = Prepared(
    Query(
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
        ).where(Job.id == IDS)
    )
)


def jobs(ids: Sequence[str]) -> dict[str, JobRow]:
    """The jobs with these ids, those that exist."""
    return {row[0]: JobRow(*row) for row in _JOBS.execute({"ids": array(ids)})}


def results(ids: Sequence[str]) -> list[tuple[str, str, str | None]]:
    """Of these jobs, those that exist: id, status, and result as JSON text."""
    rows = Job.select(Job.id.cast("text"), Job.status, Job.result.cast("text"))
    return list(rows.where(Job.id == fn.any(SQL("%s::uuid[]", [list(ids)]))).tuples().execute(database))
