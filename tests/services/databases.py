"""Databases of one test each, copied from a migrated template."""

from collections.abc import Iterator
from contextlib import closing, contextmanager
from uuid import uuid4

import psycopg2

from jobplatform.local.postgres import Postgres
from jobplatform.migrate import migrate

_TEMPLATE = "migrated"


def make_template(server: Postgres) -> None:
    """Create the database that all others are copies of."""
    server.create_database(_TEMPLATE)
    migrate(server.url(_TEMPLATE))


@contextmanager
def fresh_database(server: Postgres) -> Iterator[str]:
    """The address of a new migrated database, which is dropped afterwards, whoever is still connected."""
    name = f"test_{uuid4().hex}"
    _run(server, f"CREATE DATABASE {name} TEMPLATE {_TEMPLATE}")
    try:
        yield server.url(name)
    finally:
        server.start()  # a test may have taken it away
        _run(server, f"DROP DATABASE {name} WITH (FORCE)")


def _run(server: Postgres, statement: str) -> None:
    with closing(psycopg2.connect(server.url())) as connection:
        connection.autocommit = True
        with connection.cursor() as cursor:
            cursor.execute(statement)
