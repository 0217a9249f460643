"""The tables: equal to the models, as strict as the machine, and indexed for each of the journal's statements."""

import itertools
import sys
from collections.abc import Callable, Iterator
from contextlib import closing
from datetime import UTC, datetime
from typing import Any

import psycopg2
import pytest
from playhouse.postgres_ext import ArrayField

from jobplatform import journal
from jobplatform.journal import actions, cancel, claim, notes, queues, resubmit, settle
from jobplatform.models import MODELS, database
from jobplatform.statement import Statement
from jobplatform.states import FINAL, TRANSITIONS, Event, Status
from tests.services.journal import SUSPECT_FROM, WORKER, read

STATEMENTS = {
    "settle": settle.STATEMENT,
    "fence": settle.FENCE,
    "cancel": cancel.STATEMENT,
    "resubmit": resubmit.STATEMENT,
    "claim": claim.STATEMENT,
    "progress": notes.PROGRESS,
    "log": notes.LOG,
    "open": sys.modules["jobplatform.journal.open"].STATEMENT,
    "find": sys.modules["jobplatform.journal.open"].FIND,
    "pause": queues.PAUSE,
    "resume": queues.RESUME,
    "action": actions.RECORD,
}

#: peewee's name of a field's type → Postgres' name of the column's.
_TYPES = {
    "UUID": "uuid",
    "TEXT": "text",
    "INT": "integer",
    "BIGINT": "bigint",
    "BIGAUTO": "bigint",
    "BOOL": "boolean",
    "JSON": "json",
    "XID8": "xid8",
    "TIMESTAMPTZ": "timestamp with time zone",
}


def columns_of(model: Any) -> dict[str, tuple[str, bool]]:
    """Name → type, nullable; as the model has it."""
    return {
        field.column_name: ("ARRAY" if isinstance(field, ArrayField) else _TYPES[field.field_type], field.null)
        for field in model._meta.sorted_fields
    }


@pytest.mark.parametrize("model", MODELS, ids=lambda model: model._meta.table_name)
def test_the_models_equal_the_schema(journal_url: str, model: Any) -> None:
    in_database = {
        name: (kind, nullable == "YES")
        for name, kind, nullable in read(
            journal_url,
            "SELECT column_name, data_type, is_nullable FROM information_schema.columns"
            " WHERE table_schema = 'public' AND table_name = %s",
            [model._meta.table_name],
        )
    }

    assert columns_of(model) == in_database


def test_every_table_has_a_model(journal_url: str) -> None:
    tables = read(journal_url, "SELECT table_name FROM information_schema.tables WHERE table_schema = 'public'")

    assert {name for (name,) in tables} == {model._meta.table_name for model in MODELS}


@pytest.fixture
def scratch(journal_url: str) -> Iterator[Any]:
    """A cursor whose every change is taken back."""
    with closing(psycopg2.connect(journal_url)) as connection, connection.cursor() as cursor:
        yield cursor
        connection.rollback()


def accepted(cursor: Any, sql: str, values: Any) -> bool:
    """Whether the database takes this row, which it does not keep."""
    cursor.execute("SAVEPOINT before")
    try:
        cursor.execute(sql, values)
    except psycopg2.errors.CheckViolation:
        return False
    finally:
        cursor.execute("ROLLBACK TO before")
    return True


def test_the_database_accepts_exactly_the_transitions_of_the_machine(scratch: Any) -> None:
    insert = (
        "INSERT INTO transitions (job_id, event, from_status, to_status, attempt, at)"
        " VALUES (gen_random_uuid(), %s, %s, %s, 1, now())"
    )
    for event in Event:
        pairs = {
            (before, after)
            for before, after in itertools.product((None, *Status), Status)
            if accepted(scratch, insert, (event, before, after))
        }
        assert pairs == TRANSITIONS[event], event
    assert not accepted(scratch, insert, ("invented", "queued", "running"))


_SOUND: dict[Status, dict[str, Any]] = {
    Status.SCHEDULED: {"run_at": datetime.now(UTC)},
    Status.QUEUED: {"dispatched_at": datetime.now(UTC)},
    Status.RUNNING: {"attempts": 1, "started_at": datetime.now(UTC), "worker": 1, "token": "0" * 32},
    Status.RETRYING: {"attempts": 1, "started_at": datetime.now(UTC), "run_at": datetime.now(UTC)},
    Status.COMPLETED: {"attempts": 1, "started_at": datetime.now(UTC), "finished_at": datetime.now(UTC)},
    Status.FAILED: {
        "attempts": 1, "started_at": datetime.now(UTC), "finished_at": datetime.now(UTC), "error": "{}"
    },
    Status.CANCELLED: {"finished_at": datetime.now(UTC)},
}  # fmt: skip


def job_accepted(cursor: Any, status: str, **given: Any) -> bool:
    row = {
        "id": "0" * 32, "type": "PROBE", "status": status, "priority": "high", "queue": "high", "payload": "{}",
        "created_at": datetime.now(UTC), "updated_at": datetime.now(UTC), **given,
    }  # fmt: skip
    return accepted(
        cursor, f"INSERT INTO jobs ({', '.join(row)}) VALUES ({', '.join(['%s'] * len(row))})", list(row.values())
    )


@pytest.mark.parametrize("status", Status)
def test_a_job_row_must_be_what_its_status_says(scratch: Any, status: Status) -> None:
    sound = _SOUND[status]

    assert job_accepted(scratch, status, **sound)
    for column in sound:
        assert not job_accepted(scratch, status, **{k: v for k, v in sound.items() if k != column}), f"without {column}"
    assert not job_accepted(scratch, "invented", **sound)
    if status not in FINAL:
        assert not job_accepted(scratch, status, **sound, finished_at=datetime.now(UTC))
    if status is not Status.RUNNING:
        assert not job_accepted(scratch, status, **sound, worker=1, token="0" * 32)
    if status is not Status.COMPLETED:
        assert not job_accepted(scratch, status, **sound, result="1")
    assert job_accepted(scratch, status, **sound, cancel_requested=True) == (
        status in FINAL or status is Status.RUNNING
    )
    assert not job_accepted(scratch, status, **{**sound, "retries": 2})


@pytest.mark.parametrize("queue", ["high", "default", "low"])
def test_only_the_two_queues_exist(scratch: Any, queue: str) -> None:
    assert job_accepted(scratch, "queued", **_SOUND[Status.QUEUED], queue=queue, priority=queue) == (queue != "low")


@pytest.mark.parametrize("name", STATEMENTS)
def test_each_statement_of_the_journal_is_planned_against_the_schema(journal_url: str, name: str) -> None:
    nothing = (None,) * len(STATEMENTS[name]._names)

    plan = STATEMENTS[name].execute([nothing], after="EXPLAIN (COSTS OFF) ")

    assert "CTE batch" in "\n".join(line for (line,) in plan)
    assert read(journal_url, "SELECT 1 FROM jobs UNION SELECT 1 FROM transitions") == []


def test_no_statement_of_a_batch_is_missing_above() -> None:
    in_modules = {
        id(value)
        for module in list(sys.modules.values())
        if module.__name__.startswith("jobplatform.journal")
        for value in vars(module).values()
        if isinstance(value, Statement)
    }

    assert in_modules == {id(statement) for statement in STATEMENTS.values()}


@pytest.fixture
def many_jobs(journal_url: str) -> Iterator[str]:
    """Tables so large that only an index will do."""
    read(
        journal_url,
        """
        INSERT INTO workers (host, pid, version, broker, queues, types, threads, started_at, last_seen_at)
        VALUES ('here', 1, '0', 'none', '{high,default}', '{PROBE}', 1, now(), now());
        INSERT INTO jobs (id, type, status, priority, queue, payload, run_at, dispatched_at, created_at, updated_at,
                          finished_at)
        SELECT gen_random_uuid(), 'PROBE', status, 'default', 'default', '{}', now() + n * interval '1 s', now(),
               now(), now(), CASE WHEN status = 'cancelled' THEN now() END
        FROM generate_series(1, 30000) AS n, LATERAL (
            SELECT CASE n % 100 WHEN 0 THEN 'queued' WHEN 1 THEN 'scheduled' ELSE 'cancelled' END AS status) AS s;
        INSERT INTO transitions (job_id, event, from_status, to_status, attempt, at)
        SELECT id, 'enqueued', NULL, 'queued', 0, now() FROM jobs;
        ANALYZE jobs, transitions, workers
        """,
    )
    yield journal_url
    read(journal_url, "TRUNCATE jobs, transitions, workers")  # these rows had no life


def explained(act: Callable[[], object]) -> str:
    """The plan of what the journal runs, as Postgres itself logs it: the very statement, not a copy of it."""
    database.execute_sql("LOAD 'auto_explain'")
    for setting, value in (("log_min_duration", "0"), ("log_analyze", "on")):
        database.execute_sql(f"SET auto_explain.{setting} = {value}")
    database.execute_sql("SET client_min_messages = log")
    database.connection().notices.clear()
    act()
    return "\n".join(database.connection().notices)


@pytest.mark.usefixtures("many_jobs")
def test_what_the_keeper_looks_for_is_found_by_an_index() -> None:
    looks: dict[str, Callable[[], object]] = {
        "jobs_due": lambda: (journal.release(), journal.next_due()),
        "jobs_waiting": lambda: journal.resend("default", datetime.now(UTC), 1_000),
    }
    for index, look in looks.items():
        plan = explained(look)

        assert index in plan
        assert "Seq Scan on jobs" not in plan, plan


def test_a_batch_finds_its_rows_by_their_ids(many_jobs: str) -> None:
    some = [job_id for (job_id,) in read(many_jobs, "SELECT id::text FROM jobs WHERE status = 'queued' LIMIT 5")]
    claims = [journal.Claim(job_id, "PROBE", job_id, WORKER, SUSPECT_FROM) for job_id in some]
    outcomes = [journal.Settle(i, "PROBE", "default", 1, i, 1, Event.COMPLETED) for i in some]
    keyed = (
        "UPDATE jobs SET unique_key = id::text WHERE id IN (SELECT id FROM jobs WHERE status = 'cancelled' LIMIT 5)"
        " RETURNING id::text"
    )
    again = [journal.Resubmit(job_id, payload="[]") for (job_id,) in read(many_jobs, keyed)]

    plan = explained(lambda: [journal.commit(items) for items in (claims, outcomes, outcomes, again)])

    assert "jobs_pkey" in plan
    assert "jobs_unique" in plan, "by which a resubmission looks for others"
    assert "transitions_of_job" in plan, "by which a refused outcome looks for its own"
    assert "Seq Scan on jobs" not in plan
    assert "Seq Scan on transitions" not in plan
