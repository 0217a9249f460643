"""peewee queries that are rendered to SQL once and executed many times.

peewee takes a quarter of a millisecond to build even a simple query, which is more than Postgres takes to run it. So
what runs often is built once, with a `Parameter` in the place of each value, and executed with the values of the day.
"""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final

from peewee import Context, Select

from jobplatform.models import database

#: To be put before a query that takes the first rows in the order of an index: then Postgres sorts only where no index
#: has the order. What it believes of the rows dates from the last ANALYZE. If none waited then, and 100,000 do now, any
#: index by the status is as good to it as the one in order, and each look would go through all of them.
IN_ORDER: Final = "SET LOCAL enable_sort = off;"


class Parameter:
    """Stands in a query where a value belongs."""

    def __init__(self, name: str) -> None:
        self.name = name


class Query:
    """A query, rendered."""

    def __init__(self, query: Select) -> None:
        sql, parameters = Context(**database.get_context_options()).sql(query).query()
        self.sql: str = sql
        #: In the order of their places: values, and a `Parameter` where one belongs.
        self.parameters: tuple[Any, ...] = tuple(parameters)

    def execute(self, values: Mapping[str, Any], *, after: str = "") -> list[tuple[Any, ...]]:
        """Run it in the calling thread's connection, with these values by their parameters' names.

        ``after`` is SQL to run before it in the same round trip: a ``BEGIN``, or a lock.
        """
        return list(self.rows(values, after=after))

    def rows(self, values: Mapping[str, Any], *, after: str = "") -> Iterator[tuple[Any, ...]]:
        """As ``execute``; but each row's values are only made when it is asked for."""
        given = [values[p.name] if isinstance(p, Parameter) else p for p in self.parameters]
        rows: Iterator[tuple[Any, ...]] = iter(database.execute_sql(after + self.sql, given))
        return rows


def array(values: Iterable[Any]) -> str:
    """Numbers, ids or times as Postgres writes an array: there is nothing in them that must be quoted."""
    written = ["NULL" if value is None else f'"{value}"' for value in values]
    return f"{{{','.join(written)}}}"
