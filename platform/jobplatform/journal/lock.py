"""Locking the rows that a statement is to change."""

from collections.abc import Sequence
from typing import Final
from uuid import UUID

from peewee import SQL, Value, fn

from jobplatform.journal.item import Item
from jobplatform.models import Job
from jobplatform.prepared import Prepared
from jobplatform.query import Parameter, Query

#: Several writers may hold overlapping batches: whoever locks in this order cannot deadlock (P7).
_LOCK: Final = Prepared(
    Query(
        Job.select(Value(1))
        .where(Job.id == fn.any(SQL("%s::uuid[]", [Parameter("ids")])))
        .order_by(Job.id)
        .for_update()
    )
)


def lock(items: Sequence[Item]) -> str:
    """The SQL that locks the rows of the jobs that these items change; empty where they change none."""
    ids = {str(UUID(item.locks)) for item in items if item.locks is not None}  # they become part of the SQL
    return _LOCK.call({"ids": "{" + ",".join(sorted(ids)) + "}"}) if ids else ""
