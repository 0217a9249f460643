"""Locking the rows that a statement is to change."""

from collections.abc import Sequence
from typing import Final
from uuid import UUID

from jobplatform.journal.item import Item

#: Several writers may hold overlapping batches: whoever locks in this order cannot deadlock (P7).
_LOCK: Final = "SELECT 1 FROM jobs WHERE id = ANY('{%s}'::uuid[]) ORDER BY id FOR UPDATE;"


def lock(items: Sequence[Item]) -> str:
    """The SQL that locks the rows of the jobs that these items change; empty where they change none."""
    ids = {str(UUID(item.locks)) for item in items if item.locks is not None}  # they become part of the SQL
    return _LOCK % ",".join(sorted(ids)) if ids else ""
