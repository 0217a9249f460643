"""Brings a database's schema up to date: seeds/init.sql where there is none, else the numbered migrations it lacks."""

from importlib.resources import files
from importlib.resources.abc import Traversable
from typing import Any, Final

import psycopg2
import psycopg2.extensions

from jobplatform.errors import DatabaseUnavailable, PlatformError

#: The key of the advisory lock under which one process at a time migrates.
_LOCK: Final = 7_320_145


class MigrationFailed(PlatformError):
    """A migration could not be applied."""


def migrate(url: str) -> list[int]:
    """Apply what the database at ``url`` lacks, and return the numbers applied. Many processes may do so at once.

    Each migration is one transaction: what fails leaves the schema as the migration before it made it.

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
        return _apply(connection)
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


def _run(connection: psycopg2.extensions.connection, sql: str) -> list[tuple[Any, ...]]:
    with connection.cursor() as cursor:
        cursor.execute(sql)
        return cursor.fetchall() if cursor.description else []
