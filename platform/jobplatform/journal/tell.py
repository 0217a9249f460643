"""The transition rows that belong to a change: inserted from what the change returned, and from nothing else (P3)."""

from typing import Any, Final

from peewee import CTE, SQL, Select, Value

from jobplatform.models import Transition
from jobplatform.states import Event, Status

NULL: Final = SQL("NULL")


def tell(
    changed: CTE,
    *,
    event: Any,
    before: Any,
    after: Any,
    worker: Any = NULL,
    who: Any = NULL,
    token: Any = NULL,
    detail: Any = NULL,
    request_id: Any = NULL,
) -> CTE:
    """The insert that tells of every row of ``changed``, which has the columns ``id``, ``attempts`` and ``at``.

    ``event``, ``before`` and ``after`` are constants, or columns of ``changed`` where they differ from row to row.
    """
    values = {
        Transition.job_id: changed.c.id,
        Transition.event: _constant(event),
        Transition.from_status: _constant(before),
        Transition.to_status: _constant(after),
        Transition.attempt: changed.c.attempts,
        Transition.worker: worker,
        Transition.who: who,
        Transition.at: changed.c.at,
        Transition.token: token,
        Transition.detail: detail,
        Transition.request_id: request_id,
    }
    rows = Select([changed], list(values.values()))
    return Transition.insert_from(rows, list(values)).returning(Transition.id).cte("told")


def _constant(value: Any) -> Any:
    if value is None:
        return NULL
    return Value(str(value)) if isinstance(value, Event | Status) else value
