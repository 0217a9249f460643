"""Migrating: many at once, after anybody, and always to the same schema."""

import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from uuid import uuid4

import psycopg2
import pytest

from jobplatform.errors import DatabaseUnavailable
from jobplatform.local.binaries import postgres_bin
from jobplatform.local.postgres import Postgres
from jobplatform.migrate import init_sql, migrate, migrations
from tests.services.journal import read
from tests.services.processes import Processes


@pytest.fixture
def empty_url(postgres_server: Postgres) -> Iterator[str]:
    """A database with nothing in it."""
    name = f"empty_{uuid4().hex}"
    postgres_server.create_database(name)
    yield postgres_server.url(name)
    with closing(psycopg2.connect(postgres_server.url())) as connection:
        connection.autocommit = True
        with connection.cursor() as cursor:
            cursor.execute(f"DROP DATABASE {name} WITH (FORCE)")


def dump(url: str) -> str:
    """The schema and the list of migrations, without what differs from dump to dump."""
    words = ["--no-owner", "--no-comments", "--restrict-key=same"]
    schema = _pg_dump(url, "--schema-only", *words)
    return schema + str(read(url, "SELECT version FROM schema_migrations ORDER BY version"))


def _pg_dump(url: str, *words: str) -> str:
    done = subprocess.run([postgres_bin() / "pg_dump", *words, url], capture_output=True, text=True, check=True)
    return done.stdout


def test_init_sql_equals_the_sum_of_the_migrations(empty_url: str, database_url: str) -> None:
    for file in migrations().values():
        read(empty_url, file.read_text("utf-8"))

    assert dump(empty_url) == dump(database_url)
    assert "CREATE TABLE public.jobs" in dump(database_url)


def test_an_empty_database_gets_the_whole_schema_and_a_full_one_nothing(empty_url: str) -> None:
    assert migrate(empty_url) == list(migrations())
    before = dump(empty_url)

    assert migrate(empty_url) == []
    assert dump(empty_url) == before


def test_a_database_that_ran_the_file_by_itself_is_up_to_date(empty_url: str) -> None:
    """As the Postgres container does, which runs what lies in its init folder."""
    read(empty_url, init_sql().read_text("utf-8"))

    assert migrate(empty_url) == []


def test_many_processes_may_migrate_at_once(empty_url: str, processes: Processes) -> None:
    command = (sys.executable, "-m", "jobplatform", "migrate")
    several = [processes.start(*command, environment={"DATABASE_URL": empty_url}) for _ in range(4)]

    assert [process.wait() for process in several] == [0, 0, 0, 0], [process.output for process in several]

    assert read(empty_url, "SELECT count(*) FROM schema_migrations") == [(len(migrations()),)]


def test_without_postgres_it_says_so_in_one_line(free_port: int) -> None:
    with pytest.raises(DatabaseUnavailable, match="Postgres does not answer") as raised:
        migrate(f"postgresql://127.0.0.1:{free_port}/jobs")

    assert "\n" not in str(raised.value)


def test_the_migrations_are_numbered_without_a_gap() -> None:
    assert list(migrations()) == list(range(1, len(migrations()) + 1))
