"""Queries that each connection prepares once: to plan a statement of the journal takes Postgres longer than to run it.

The plan is made for any values (`plan_cache_mode`, see `models`), so it must be good for all of them: it suits queries
that find a few rows by an index, and no others.
"""

import time
from collections.abc import Mapping
from itertools import count
from typing import Any, Final
from weakref import WeakKeyDictionary

from psycopg2.extensions import AsIs

from jobplatform.models import database
from jobplatform.query import Parameter, Query

#: Seconds. A plan fits the tables as they were when it was made, and an empty one may grow fast.
_PLANS_LAST: Final = 1.0

_numbers: Final = count(1)


class _Memory:
    """What a connection has prepared."""

    def __init__(self) -> None:
        self.names: set[str] = set()
        self.plans_until = time.monotonic() + _PLANS_LAST


_memories: Final[WeakKeyDictionary[Any, _Memory]] = WeakKeyDictionary()


class Prepared:
    """A query with a name, under which a connection knows it."""

    def __init__(self, query: Query) -> None:
        self._query = query
        self._name = f"query_{next(_numbers)}"
        self._parameters = [p.name for p in query.parameters if isinstance(p, Parameter)]
        self._call = f"EXECUTE {self._name} ({', '.join(['%s'] * len(self._parameters))})"

    def execute(self, values: Mapping[str, Any], *, after: str = "") -> list[tuple[Any, ...]]:
        """As `Query.execute`."""
        given = [values[name] for name in self._parameters]
        return list(database.execute_sql(self._ready() + after + self._call, given).fetchall())

    def call(self, values: Mapping[str, Any]) -> str:
        """The SQL that executes it, for the ``after`` of another. The values are text in which nothing is quoted."""
        given = tuple(f"'{values[name]}'" for name in self._parameters)
        return f"{self._ready()}{self._call % given};"

    def _ready(self) -> str:
        """Prepare it in the calling thread's connection, if that is new to it. Returns what to run before it."""
        connection = database.connection()
        if (memory := _memories.get(connection)) is None:
            memory = _memories[connection] = _Memory()
        if self._name not in memory.names:
            numbers = count(1)
            places = [AsIs(f"${next(numbers)}") if isinstance(p, Parameter) else p for p in self._query.parameters]
            database.execute_sql(f"PREPARE {self._name} AS {self._query.sql}", places)
            memory.names.add(self._name)
        if time.monotonic() < memory.plans_until:
            return ""
        memory.plans_until = time.monotonic() + _PLANS_LAST
        return "DISCARD PLANS;"
