"""The transitions of single jobs."""

from collections import defaultdict
from collections.abc import Sequence
from datetime import datetime
from typing import NamedTuple

from peewee import JOIN, Case, fn

from jobplatform.models import Transition, Worker
from jobplatform.prepared import Prepared
from jobplatform.queries.job import IDS
from jobplatform.query import Query, array


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


#: ``host:pid#number``. Nothing where there is none: format() makes a text of nothing, too.
WORKER_NAME = Case(None, [(Worker.id.is_null(False), fn.format("%s:%s#%s", Worker.host, Worker.pid, Worker.id))], None)

_EVENTS = Prepared(
    Query(
        Transition.select(
            Transition.job_id.cast("text"),
            Transition.id,
            Transition.event,
            Transition.from_status,
            Transition.to_status,
            Transition.attempt,
            Transition.at,
            WORKER_NAME,
            Transition.who,
            Transition.detail.cast("text"),
            Transition.request_id,
        )
        .join(Worker, JOIN.LEFT_OUTER, on=(Worker.id == Transition.worker))
        .where(Transition.job_id == IDS)
        .order_by(Transition.id)
    )
)


def events(ids: Sequence[str]) -> dict[str, list[EventRow]]:
    """The transitions of these jobs, each job's in their order. A job that exists has at least one."""
    by_job: dict[str, list[EventRow]] = defaultdict(list)
    for job_id, *event in _EVENTS.execute({"ids": array(ids)}):
        by_job[job_id].append(EventRow(*event))
    return by_job
