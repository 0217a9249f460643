"""Jobs in brief, as a list shows them: without payloads and results, which may be long."""

from collections.abc import Sequence
from datetime import datetime
from typing import Final, NamedTuple

from peewee import SQL

from jobplatform.models import Job
from jobplatform.prepared import Prepared
from jobplatform.queries.filter import JobFilter
from jobplatform.queries.job import IDS
from jobplatform.queries.snapshot import one_moment
from jobplatform.queries.walk import IN_ORDER, Position, walk
from jobplatform.query import Query, array

#: So many characters of an error are read: its kind, type and message come first.
_MOST_OF_ERROR: Final = 2_000


class Brief(NamedTuple):
    """A job in brief. ``progress`` is JSON text, and ``error`` the beginning of one; times are in UTC."""

    id: str
    type: str
    status: str
    priority: str
    attempts: int
    error: str | None
    progress: str | None
    created_at: datetime
    dispatched_at: datetime | None
    resends: int
    started_at: datetime | None
    finished_at: datetime | None
    run_at: datetime | None
    tags: list[str]
    cancel_requested: bool


class Found(NamedTuple):
    """Jobs in brief, and behind which one the list goes on; None: it is at its end."""

    jobs: list[Brief]
    next: Position | None


_BRIEF: Final = Prepared(
    Query(
        Job.select(
            Job.id.cast("text"),
            Job.type,
            Job.status,
            Job.priority,
            Job.attempts,
            SQL(f"left(t1.error::text, {_MOST_OF_ERROR})"),
            Job.progress.cast("text"),
            Job.created_at,
            Job.dispatched_at,
            Job.resends,
            Job.started_at,
            Job.finished_at,
            Job.run_at,
            Job.tags,
            Job.cancel_requested,
        ).where(Job.id == IDS)
    )
)


def brief_page(which: JobFilter, newest_first: bool, after: Position | None, limit: int) -> Found:
    """Up to ``limit`` jobs that fit, in the order of their acceptance, all as they stand at one moment.

    There may be fewer, or none, though it has a ``next``: the jobs that fit are rare.
    """
    with one_moment(*IN_ORDER):
        walked = walk(which, newest_first=newest_first, after=after, limit=limit)
        return Found(in_brief([job.at.id for job in walked.found]), walked.next)


def in_brief(ids: Sequence[str]) -> list[Brief]:
    """The jobs with these ids, in their order, those that exist."""
    by_id = {row[0]: Brief(*row) for row in _BRIEF.execute({"ids": array(ids)})}
    return [by_id[id] for id in ids if id in by_id]  # noqa: A001


def newer(which: JobFilter, than: Position, most: int) -> tuple[int, bool]:
    """How many jobs that fit were accepted after this one; and whether there may be more: it counts up to ``most``."""
    with one_moment(*IN_ORDER):
        walked = walk(which, newest_first=False, after=than, limit=most)
    return len(walked.found), walked.next is not None
