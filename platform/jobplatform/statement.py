"""Statements over batches: rendered once, and of one text however many items they get."""

from collections.abc import Sequence
from typing import Any, Final

from peewee import CTE, SQL, Column, NodeList, Select

from jobplatform.prepared import Prepared
from jobplatform.query import Parameter, Query, array

#: A statement takes so many items at the most: while one is put together, no other thread of the process runs.
MOST_ROWS: Final = 500


class Batch:
    """The items of a statement as a table: one array parameter per column, written as Postgres writes arrays.

    As lists, which become array constructors, Postgres would parse and plan each value by itself.

    ``Batch(id="uuid", attempt="integer")`` has the columns ``id`` and ``attempt``, and two of its own: ``n``, the
    item's place, and ``now``, a time for each item from the database's clock and not from the start of its
    transaction (P8).
    """

    def __init__(self, **types: str) -> None:
        self.names = tuple(types)
        self.texts = frozenset(name for name, kind in types.items() if kind in ("text", "json"))
        arrays = ", ".join(f"%s::{kind}[]" for kind in types.values())
        rows = f"unnest({arrays}) WITH ORDINALITY AS u({', '.join(types)}, n)"
        values = [Parameter(name) for name in types]
        self.cte = CTE("batch", NodeList((SQL(f"SELECT *, clock_timestamp() AS now FROM {rows}", values),)))

    def __getattr__(self, column: str) -> Column:
        return Column(self.cte, column)


#: The plan for any number of items compares each with each: from here on it is dearer than a plan of their own.
_FEW_ROWS: Final = 64


class Statement:
    """A query over a batch, which answers every item with one row."""

    def __init__(self, batch: Batch, answer: Select) -> None:
        self._names = batch.names
        self._texts = batch.texts
        self._query = Query(answer.order_by(batch.n))
        self._prepared = Prepared(self._query)

    def execute(self, items: Sequence[tuple[Any, ...]], *, after: str = "") -> list[tuple[Any, ...]]:
        """As `Query.execute`, for items that are tuples in the order of the batch's columns; it answers in theirs.

        More than `MOST_ROWS` items become several statements: let a transaction hold them together.
        """
        answers: list[tuple[Any, ...]] = []
        for start in range(0, len(items), MOST_ROWS):
            some = items[start : start + MOST_ROWS]
            query = self._prepared if len(some) <= _FEW_ROWS else self._query
            named = zip(self._names, zip(*some, strict=True), strict=True)
            arrays = {name: _texts(column) if name in self._texts else array(column) for name, column in named}
            answers += query.execute(arrays, after="" if start else after)
        return answers


def _texts(values: Sequence[str | None]) -> str:
    # Many are equal: types, queues, who.
    written = {value: "NULL" if value is None else _quoted(value) for value in set(values)}
    return f"{{{','.join([written[value] for value in values])}}}"


def _quoted(text: str) -> str:
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'
