"""All transitions in the order in which streams tell them, and what else is live: of some jobs, and their progress.

Ids do not commit in order. But below the oldest transaction that still runs nothing is added any more, so there the
order of (transaction, id) is complete, and stays as it is.
"""

from collections.abc import Collection, Iterator, Mapping
from datetime import datetime
from typing import Any, NamedTuple

from peewee import JOIN, SQL, Select, Tuple, fn

from jobplatform.models import Job, Transition, Worker, database
from jobplatform.queries.transitions import WORKER_NAME
from jobplatform.query import Parameter, Query
from jobplatform.statement import Batch
from jobplatform.states import Status


class Position(NamedTuple):
    """A place in the order of all transitions: behind the one with this transaction and id."""

    xid: int
    id: int


class Snapshot(NamedTuple):
    """Which transactions could be seen at a moment."""

    xmin: int
    xmax: int
    running: frozenset[int]
    #: The id of the last transition, in the order, that no running transaction can add one before. 0: there is none.
    newest: int

    def shows(self, xid: int) -> bool:
        """Whether what the transaction wrote could be seen."""
        return xid < self.xmin or (xid < self.xmax and xid not in self.running)


class FeedRow(NamedTuple):
    """One transition. ``detail`` is JSON text; ``worker`` is ``host:pid#number``."""

    xid: int
    id: int
    job_id: str
    type: str | None
    event: str
    from_status: str | None
    to_status: str
    attempt: int
    at: datetime
    worker: str | None
    who: str | None
    detail: str | None
    request_id: str | None

    @property
    def position(self) -> Position:
        return Position(self.xid, self.id)


class ProgressRow(NamedTuple):
    """How far a running attempt has come. ``progress`` is JSON text."""

    job_id: str
    attempt: int
    progress: str


def snapshot() -> Snapshot:
    """What can be seen now."""
    text, newest = database.execute_sql(_SNAPSHOT).fetchone()
    xmin, xmax, running = text.split(":")
    return Snapshot(int(xmin), int(xmax), frozenset(map(int, filter(None, running.split(",")))), newest or 0)


def position_of(transition_id: int) -> Position | None:
    """The place behind a transition; None where there is no such transition."""
    rows = _POSITION.execute({"id": transition_id})
    return Position(int(rows[0][0]), transition_id) if rows else None


def page(after: Position, most: int) -> Iterator[FeedRow]:
    """The transitions behind a place, in the order, up to the oldest transaction that still runs.

    They are there when this returns, and made into rows one by one.
    """
    return _rows(_PAGE.rows({"xid": str(after.xid), "id": after.id, "most": most}))


def of_jobs(after: Mapping[str, int], most: int) -> Iterator[FeedRow]:
    """The transitions of some jobs behind the last known id of each, in the order of their ids; as ``page`` gives them.

    A job's row is locked while its transitions are written: of one job, ids do commit in order.
    """
    return _rows(_OF_JOBS.rows({"id": list(after), "after": list(after.values()), "most": most}))


def progress(job_ids: Collection[str] | None) -> list[ProgressRow]:
    """What the running attempts say of their progress: those of these jobs, or of all."""
    ids = None if job_ids is None else list(job_ids)
    return [ProgressRow(*row) for row in _PROGRESS.execute({"ids": ids})]


def _rows(found: Iterator[tuple[Any, ...]]) -> Iterator[FeedRow]:
    return (FeedRow(int(xid), *rest) for xid, *rest in found)


_SNAPSHOT = """
    SELECT pg_current_snapshot()::text, (
        SELECT id FROM transitions WHERE xid < pg_snapshot_xmin(pg_current_snapshot())
        ORDER BY xid DESC, id DESC LIMIT 1
    )
"""
_POSITION = Query(Transition.select(Transition.xid.cast("text")).where(Transition.id == SQL("%s", [Parameter("id")])))

_STABLE = Transition.xid < fn.pg_snapshot_xmin(fn.pg_current_snapshot())
_BEHIND = Tuple(Transition.xid, Transition.id) > Tuple(
    SQL("%s::xid8", [Parameter("xid")]), SQL("%s::bigint", [Parameter("id")])
)


def _page_query() -> Query:
    # The limit comes before the joins, so that no plan joins more than it needs.
    some = (
        Transition.select()
        .where(_BEHIND, _STABLE)
        .order_by(Transition.xid, Transition.id)
        .limit(SQL("%s", [Parameter("most")]))
        .cte("some")
    )
    rows = (
        Select([some], _columns(some.c))
        .join(Worker, JOIN.LEFT_OUTER, on=(Worker.id == some.c.worker))
        .join(Job, JOIN.LEFT_OUTER, on=(Job.id == some.c.job_id))
        .order_by(some.c.xid, some.c.id)
    )
    return Query(rows.with_cte(some))


def _of_jobs_query() -> Query:
    known = Batch(id="uuid", after="bigint")
    rows = (
        Select([known.cte], _columns(Transition))
        .join(Transition, on=((Transition.job_id == known.id) & (Transition.id > known.after)))
        .join(Worker, JOIN.LEFT_OUTER, on=(Worker.id == Transition.worker))
        .join(Job, JOIN.LEFT_OUTER, on=(Job.id == Transition.job_id))
        .order_by(Transition.id)
        .limit(SQL("%s", [Parameter("most")]))
    )
    return Query(rows.with_cte(known.cte))


def _columns(transition: type[Transition]) -> list[object]:
    return [
        transition.xid.cast("text"),
        transition.id,
        transition.job_id.cast("text"),
        Job.type,
        transition.event,
        transition.from_status,
        transition.to_status,
        transition.attempt,
        transition.at,
        WORKER_NAME,
        transition.who,
        transition.detail.cast("text"),
        transition.request_id,
    ]


_PAGE = _page_query()
_OF_JOBS = _of_jobs_query()
_PROGRESS = Query(
    Job.select(Job.id.cast("text"), Job.attempts, Job.progress.cast("text")).where(
        Job.status == Status.RUNNING,
        Job.progress.is_null(False),
        SQL("(%s::uuid[] IS NULL OR id = ANY(%s::uuid[]))", [Parameter("ids"), Parameter("ids")]),
    )
)
