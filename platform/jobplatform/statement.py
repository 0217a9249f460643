"""A peewee query over a batch of items, rendered to SQL once and executed many times.

peewee takes a quarter of a millisecond to build even a simple query, which is more than Postgres takes to run it. So
the journal builds each of its statements once, over a `Batch`, and executes it with the values of the day.
"""

from collections.abc import Sequence
from typing import Any

from peewee import CTE, SQL, Column, Context, NodeList, Select

from jobplatform.models import database


class _Values:
    """Stands in the parameters of a rendered statement where one column of the batch belongs."""

    def __init__(self, column: str) -> None:
        self.column = column


class Batch:
    """The items of a statement as a table: one array parameter per column.

    ``Batch(id="uuid", attempt="integer")`` has the columns ``id`` and ``attempt``, and two of its own: ``n``, the
    item's place, and ``now``, a time for each item from the database's clock and not from the start of its
    transaction (P8).
    """

    def __init__(self, **types: str) -> None:
        self.names = tuple(types)
        arrays = ", ".join(f"%s::{kind}[]" for kind in types.values())
        rows = f"unnest({arrays}) WITH ORDINALITY AS u({', '.join(types)}, n)"
        values = [_Values(name) for name in types]
        self.cte = CTE("batch", NodeList((SQL(f"SELECT *, clock_timestamp() AS now FROM {rows}", values),)))

    def __getattr__(self, column: str) -> Column:
        return Column(self.cte, column)


class Statement:
    """One rendered statement, which answers every item of its batch with one row."""

    def __init__(self, batch: Batch, answer: Select) -> None:
        self._names = batch.names
        query = answer.order_by(batch.n)
        self.sql, parameters = Context(**database.get_context_options()).sql(query).query()
        self._parameters = tuple(parameters)

    def execute(self, items: Sequence[tuple[Any, ...]], *, after: str = "") -> list[tuple[Any, ...]]:
        """Run it in the calling thread's connection, and answer in the order of the items.

        ``items`` are tuples in the order of the batch's columns. ``after`` is SQL to run before it in the same round
        trip: a ``BEGIN``, or a lock.
        """
        arrays = dict(zip(self._names, map(list, zip(*items, strict=True)), strict=True))
        values = [arrays[p.column] if isinstance(p, _Values) else p for p in self._parameters]
        return list(database.execute_sql(after + self.sql, values).fetchall())
