"""Migrating: many at once, after anybody, and always to the same schema."""

import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from uuid import uuid4

import psycopg2
import pytest

from jobplatform.errors import DatabaseUnavailable
from jobplatform.journal import add_up
from jobplatform.local.binaries import postgres_bin
from jobplatform.local.postgres import Postgres
from jobplatform.migrate import _IS_RESTORED, init_sql, migrate, migrations
from jobplatform.queries import feed
from jobplatform.queries.counts import Counts, Kind
from jobplatform.queries.feed import Position
from tests.services.journal import claimed_job, connected, new_job, open_jobs, queued_job, read, settle
from tests.services.processes import Processes

_A_LIFE = """
    INSERT INTO jobs (id, type, status, priority, queue, attempts, payload, created_at, updated_at, dispatched_at,
                      started_at, finished_at)
    VALUES (gen_random_uuid(), 'PROBE', 'completed', 'high', 'high', 1, '{}', now(), now(), now(), now(), now());
    INSERT INTO transitions (job_id, event, from_status, to_status, attempt, at)
    SELECT id, event, before, after, attempt, now()
    FROM jobs, (VALUES ('enqueued', NULL, 'queued', 0), ('started', 'queued', 'running', 1),
                       ('completed', 'running', 'completed', 1)) AS life(event, before, after, attempt)
"""


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


@pytest.mark.parametrize("version", list(migrations())[:-1])
def test_an_older_database_is_brought_up_to_date_with_what_it_holds(empty_url: str, version: int) -> None:
    for number, file in migrations().items():
        if number <= version:
            read(empty_url, file.read_text("utf-8"))
    read(empty_url, _A_LIFE)

    assert migrate(empty_url) == list(migrations())[version:]

    assert read(empty_url, "SELECT status, attempts FROM jobs") == [("completed", 1)]
    assert read(empty_url, "SELECT event FROM transitions ORDER BY id") == [("enqueued",), ("started",), ("completed",)]
    assert read(empty_url, "SELECT conname FROM pg_constraint WHERE NOT convalidated") == []


def test_many_processes_may_migrate_at_once(empty_url: str, processes: Processes) -> None:
    command = (sys.executable, "-m", "jobplatform", "migrate")
    several = [processes.start(*command, environment={"DATABASE_URL": empty_url}) for _ in range(4)]

    assert [process.wait() for process in several] == [0, 0, 0, 0], [process.output for process in several]

    assert read(empty_url, "SELECT count(*) FROM schema_migrations") == [(len(migrations()),)]


def test_a_history_from_another_cluster_is_counted_and_told_like_any_other(empty_url: str) -> None:
    """Its transactions lie beyond those of this cluster; a stream tells only what precedes all that still run."""
    migrate(empty_url)
    with connected(empty_url):
        restored = [queued_job() for _ in range(3)]  # the first one by a transaction that this cluster has had, too
        read(empty_url, "UPDATE transitions SET xid = (10000000000 + id)::text::xid8 WHERE id > 1")
        own = queued_job()
        before = dict(read(empty_url, "SELECT job_id::text, xid::text FROM transitions"))

        assert migrate(empty_url) == []

        counts = Counts()
        for _ in range(3):
            counts.read()
        assert counts.read() == {Kind("PROBE", "default", "queued"): 4}
        after = dict(read(empty_url, "SELECT job_id::text, xid::text FROM transitions"))
        assert {after[job_id] for job_id in restored} == {"3"}
        assert after[own] == before[own]
        assert [row.job_id for row in feed.page(Position(0, 0), 10)] == [*restored, own]


def test_tallies_from_another_cluster_go_on_with_what_happens_here(empty_url: str) -> None:
    migrate(empty_url)
    with connected(empty_url):
        settle(claimed_job())
        add_up(pause=0)
        read(
            empty_url,
            "UPDATE transitions SET xid = (10000000000 + id)::text::xid8;"
            "UPDATE tally_position SET xid = (10000000000 + id)::text::xid8",
        )

        assert migrate(empty_url) == []
        settle(claimed_job())
        add_up(pause=0)

        assert read(empty_url, "SELECT sum(completed) FROM tallies WHERE type = '' GROUP BY span") == [(2,), (2,)]


def test_where_nothing_was_restored_a_look_at_the_end_of_an_index_is_all(empty_url: str) -> None:
    migrate(empty_url)
    with connected(empty_url):
        open_jobs(*(new_job() for _ in range(100)))
        before = read(empty_url, "SELECT id, ctid, xmin::text FROM transitions ORDER BY id")
        plan = str(read(empty_url, f"EXPLAIN {_IS_RESTORED}"))

        migrate(empty_url)

        assert "Backward using transitions_in_order" in plan
        assert "Sort" not in plan
        assert read(empty_url, "SELECT id, ctid, xmin::text FROM transitions ORDER BY id") == before


def test_without_postgres_it_says_so_in_one_line(free_port: int) -> None:
    with pytest.raises(DatabaseUnavailable, match="Postgres does not answer") as raised:
        migrate(f"postgresql://127.0.0.1:{free_port}/jobs")

    assert "\n" not in str(raised.value)


def test_the_migrations_are_numbered_without_a_gap() -> None:
    assert list(migrations()) == list(range(1, len(migrations()) + 1))
