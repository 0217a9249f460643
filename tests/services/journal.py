"""The journal as tests use it: short ways to ask for things, and to read what was recorded."""

from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from typing import Any
from uuid import uuid4

import psycopg2

from jobplatform import journal
from jobplatform.connection import open_connection
from jobplatform.job_id import new_job_id
from jobplatform.journal import Claim, Claimed, NewJob, Open, Opened, Settle, Settled
from jobplatform.models import connect_to, database
from jobplatform.states import Event

#: The number of the worker that `connected` puts on record.
WORKER = 7_007

#: From so many crashes on a job is suspect.
SUSPECT_FROM = 2


@contextmanager
def connected(url: str) -> Iterator[None]:
    """Point the models at a database, and give back this thread's connection afterwards."""
    connect_to(url)
    open_connection()
    live_worker(WORKER)
    try:
        yield
    finally:
        database.close()


def live_worker(number: int, **columns: Any) -> None:
    """Put a worker on record under this number, unless it is there. It counts for no type."""
    now = object()
    row = {
        "id": number,
        "host": "here",
        "pid": 1,
        "version": "0",
        "broker": "none",
        "queues": [],
        "types": [],
        "threads": 1,
        "started_at": now,
        "last_seen_at": now,
        **columns,
    }
    names = ", ".join(row)
    given = [value for value in row.values() if value is not now]
    marks = ", ".join("clock_timestamp()" if value is now else "%s" for value in row.values())
    database.execute_sql(
        f"INSERT INTO workers ({names}) OVERRIDING SYSTEM VALUE VALUES ({marks}) ON CONFLICT DO NOTHING", given
    )


def new_job(**given: Any) -> NewJob:
    return NewJob(**{"id": new_job_id(), "type": "PROBE", "queue": "default", "payload": '{"n": 1}', **given})


def open_jobs(*jobs: NewJob) -> list[Opened]:
    (opened,), _ = journal.commit([Open(list(jobs))])
    assert isinstance(opened, list)
    return opened


def queued_job(**given: Any) -> str:
    """The id of a job that waits to be claimed."""
    (opened,) = open_jobs(new_job(**given))
    return opened.id


def a_claim(job_id: str, token: str | None = None) -> Claim:
    return Claim(job_id, "PROBE", token or str(uuid4()), WORKER, SUSPECT_FROM)


def claimed_job(**given: Any) -> Claim:
    """The claim under which a job runs its first attempt."""
    claim = a_claim(queued_job(**given))
    (answer,), _ = journal.commit([claim])
    assert isinstance(answer, Claimed)
    return claim


def outcome(claim: Claim, event: Event = Event.COMPLETED, attempt: int = 1, **given: Any) -> Settle:
    """The outcome of an attempt that was claimed."""
    if event in (Event.FAILED, Event.RETRY_PLANNED):
        given = {"error": '{"kind": "error"}', **given}
    if event is Event.RETRY_PLANNED:
        given = {"delay_ms": 0, **given}
    return Settle(claim.job_id, "PROBE", "default", attempt, claim.token, claim.worker, event, **given)


def settle(claim: Claim, event: Event = Event.COMPLETED, attempt: int = 1, **given: Any) -> Settled:
    (settled,), _ = journal.commit([outcome(claim, event, attempt, **given)])
    assert isinstance(settled, Settled)
    return settled


def read(url: str, sql: str, values: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
    """Run a query on a connection of its own."""
    with closing(psycopg2.connect(url)) as connection, connection, connection.cursor() as cursor:
        cursor.execute(sql, values or None)
        return list(cursor.fetchall()) if cursor.description else []


def history(url: str, job_id: str) -> list[str]:
    """The job's events in their order."""
    return [event for (event,) in read(url, "SELECT event FROM transitions WHERE job_id = %s ORDER BY id", [job_id])]


def column(url: str, job_id: str, name: str) -> Any:
    """One column of a job's row; JSON is decoded."""
    ((value,),) = read(url, f"SELECT {name} FROM jobs WHERE id = %s", [job_id])
    return value


def status(url: str, job_id: str) -> str:
    return str(column(url, job_id, "status"))
