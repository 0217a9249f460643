"""Brings a database's schema up to date: seeds/init.sql where there is none, else the numbered migrations it lacks."""

from importlib.resources import files
from importlib.resources.abc import Traversable
from typing import Any, Final

import psycopg2
import psycopg2.extensions

from jobplatform.errors import DatabaseUnavailable, PlatformError

#: The key of the advisory lock under which one process at a time migrates.
_LOCK: Final = 7_320_145

# What can be seen and was written here, was written before the next transaction, which the snapshot names.
_RESTORED: Final = "xid >= pg_snapshot_xmax(pg_current_snapshot())"
_IS_RESTORED: Final = f"SELECT {_RESTORED} FROM transitions ORDER BY xid DESC, id DESC LIMIT 1"
#: 3 is the first transaction of any cluster.
_ADOPT: Final = f"""
    UPDATE transitions SET xid = '3'
    WHERE xid > '3' AND id <= (SELECT max(id) FROM transitions WHERE {_RESTORED})
"""
#: The tallies came along, and hold all of it but what happened in the last seconds before the dump.
_TALLIED: Final = """
    UPDATE tally_position SET xid = '3', id = (SELECT max(id) FROM transitions WHERE xid = '3')
    WHERE xid > '3'
"""


class MigrationFailed(PlatformError):
    """A migration could not be applied."""


def migrate(url: str) -> list[int]:
    """Apply what the database at ``url`` lacks, and return the numbers applied. Many processes may do so at once.

    Each migration is one transaction: what fails leaves the schema as the migration before it made it. A history that
    was restored from a dump of another cluster is made to fit this one.

    Raises:
        DatabaseUnavailable: Postgres is not there.
        MigrationFailed: Postgres refused one.
    """
    try:
        connection = psycopg2.connect(url, connect_timeout=5, application_name="jobplatform migrate")
    except psycopg2.OperationalError as error:
        raise DatabaseUnavailable(f"Postgres does not answer: {' '.join(str(error).split())}") from None
    try:
        connection.autocommit = True  # the files bring their own BEGIN and COMMIT
        _run(connection, f"SELECT pg_advisory_lock({_LOCK})")
        applied = _apply(connection)
        _adopt(connection)
        return applied
    except psycopg2.Error as error:
        raise MigrationFailed(f"The schema cannot be brought up to date: {' '.join(str(error).split())}") from error
    finally:
        connection.close()  # which frees the lock


def migrations() -> dict[int, Traversable]:
    """The numbered migrations, in their order."""
    found = (file for file in (files("seeds") / "migrations").iterdir() if file.name.endswith(".sql"))
    return dict(sorted((int(file.name.partition("_")[0]), file) for file in found))


def init_sql() -> Traversable:
    """The whole schema as one file."""
    return files("seeds") / "init.sql"


def _apply(connection: psycopg2.extensions.connection) -> list[int]:
    if not _run(connection, "SELECT to_regclass('schema_migrations') IS NOT NULL")[0][0]:
        _run(connection, init_sql().read_text("utf-8"))
        return [row[0] for row in _run(connection, "SELECT version FROM schema_migrations ORDER BY version")]
    present = {row[0] for row in _run(connection, "SELECT version FROM schema_migrations")}
    missing = {number: file for number, file in migrations().items() if number not in present}
    for file in missing.values():
        _run(connection, file.read_text("utf-8"))
    return list(missing)


def _adopt(connection: psycopg2.extensions.connection) -> None:
    """Let what was written elsewhere count as written by this cluster's first transaction.

    It is known by transactions that this cluster has not had yet: counts would take what they wrote for news at each
    look, and streams would not tell it before this cluster had come as far. What came with it, up to the last such
    transition, is as old, whatever its transaction. Among themselves all these stay in the order of their ids.
    """
    if _run(connection, _IS_RESTORED) == [(True,)]:
        _run(connection, f"BEGIN; {_ADOPT}; {_TALLIED}; COMMIT")


def _run(connection: psycopg2.extensions.connection, sql: str) -> list[tuple[Any, ...]]:
    with connection.cursor() as cursor:
        cursor.execute(sql)
        return cursor.fetchall() if cursor.description else []
