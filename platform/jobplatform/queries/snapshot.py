"""Several queries that see the database at one moment."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from jobplatform.models import database, roll_back


@contextmanager
def one_moment(*settings: str) -> Iterator[None]:
    """What is read in the block, in the calling thread's connection, is read at one moment. Nothing can be written.

    The settings of Postgres, such as ``statement_timeout = '1s'``, hold in the block only.
    """
    database.execute_sql("BEGIN ISOLATION LEVEL REPEATABLE READ, READ ONLY;" + settled(*settings))
    try:
        yield
        database.execute_sql("COMMIT")
    except BaseException:
        roll_back()
        raise


def settled(*settings: str) -> str:
    """The SQL that has these settings hold until the transaction ends."""
    return "".join(f"SET LOCAL {setting};" for setting in settings)


def rows(sql: str, values: Any = None) -> list[tuple[Any, ...]]:
    """What a query finds, in the calling thread's connection."""
    return list(database.execute_sql(sql, values).fetchall())
