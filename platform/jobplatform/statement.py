"""A peewee query over a batch of items, rendered to SQL once and executed many times.

peewee takes a quarter of a millisecond to build even a simple query, which is more than Postgres takes to run it. So
the journal builds each of its statements once, over `Batch` columns, and executes it with the values of the day.
"""

from collections.abc import Sequence
from typing import Any, Final

from peewee import CTE, SQL, Column, Context, Node, NodeList

from jobplatform.models import database

BATCH: Final = "batch"


class _Values:
    """Stands in the parameters of a rendered statement where one column of the batch belongs."""

    def __init__(self, column: str) -> None:
        self.column = column


class Batch:
    """The items of a statement as a table: one array parameter per column.

    ``Batch(id="uuid", attempt="integer")`` renders as
    ``WITH batch AS (SELECT *, clock_timestamp() AS now FROM unnest(%s::uuid[], %s::integer[]) AS u(id, attempt))``.

    ``now`` is one time per item, taken from the database's clock and not from the start of its transaction (P8).
    """

    def __init__(self, **types: str) -> None:
        self.columns = tuple(types)
        arrays = ", ".join(f"%s::{kind}[]" for kind in types.values())
        self.cte = CTE(
            BATCH,
            NodeList(
                (
                    SQL(
                        f"SELECT *, clock_timestamp() AS now FROM unnest({arrays}) AS u({', '.join(types)})",
                        [_Values(column) for column in types],
                    ),
                )
            ),
        )

    def __getattr__(self, column: str) -> Column:
        return Column(self.cte, column)


class Statement:
    """One rendered statement. `execute` takes the batch as a list of tuples in the order of its columns."""

    def __init__(self, query: Node, batch: Batch) -> None:
        self.sql, parameters = Context(**database.get_context_options()).sql(query).query()
        self._parameters: tuple[Any, ...] = tuple(parameters)
        self._columns = batch.columns

    def execute(self, rows: Sequence[tuple[Any, ...]]) -> list[tuple[Any, ...]]:
        """Run it in the calling thread's transaction; the answer is what its outermost SELECT gives."""
        arrays = dict(zip(self._columns, map(list, zip(*rows, strict=True)), strict=True))
        values = [arrays[p.column] if isinstance(p, _Values) else p for p in self._parameters]
        return list(database.execute_sql(self.sql, values).fetchall())
