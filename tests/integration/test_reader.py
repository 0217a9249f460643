"""Gathered reads."""

from collections.abc import Iterator, Sequence
from typing import Any
from uuid import uuid4

import pytest

from jobplatform import journal
from jobplatform.errors import DatabaseUnavailable, SchemaMissing
from jobplatform.journal import Claim
from jobplatform.local.postgres import Postgres
from jobplatform.models import database
from jobplatform.reader import Reader
from jobplatform.states import Event
from tests.services.journal import SUSPECT_FROM, claimed_job, column, outcome, queued_job, read, settle


@pytest.fixture
def reader(journal_url: str) -> Iterator[Reader]:  # noqa: ARG001
    reader = Reader()
    yield reader
    reader._ask(_close, "").result(10)


def _close(_: Sequence[str]) -> dict[str, Any]:
    """The reader's thread ends with the process; its connection must not outlast the database."""
    database.close()
    return {}


def test_a_job_is_read_as_it_stands(journal_url: str, reader: Reader) -> None:
    claim = claimed_job(payload='{"b": 1, "a": 2}')
    settle(claim, result="[1]")

    row = reader.job(claim.job_id).result(10)

    assert row is not None
    assert (row.id, row.type, row.status, row.attempts) == (claim.job_id, "PROBE", "completed", 1)
    assert (row.payload, row.result, row.error) == ('{"b": 1, "a": 2}', "[1]", None)
    assert row.finished_at == column(journal_url, claim.job_id, "finished_at")


def test_events_come_in_their_order_and_name_the_worker_that_there_was(journal_url: str, reader: Reader) -> None:
    read(
        journal_url,
        "INSERT INTO workers (host, pid, version, broker, queues, types, threads, started_at, last_seen_at)"
        " VALUES ('here', 4711, '0', 'none', '{}', '{}', 1, now(), now())",
    )
    ((worker,),) = read(journal_url, "SELECT id FROM workers WHERE pid = 4711")
    claim = Claim(queued_job(), "PROBE", str(uuid4()), worker, SUSPECT_FROM)
    journal.commit([claim])
    journal.commit([outcome(claim, Event.FAILED)])

    events = reader.events(claim.job_id).result(10)

    assert events is not None
    assert [(event.event, event.worker) for event in events] == [
        ("enqueued", None),
        ("started", f"here:4711#{worker}"),
        ("failed", f"here:4711#{worker}"),
    ]
    assert [event.id for event in events] == sorted(event.id for event in events)


def test_what_does_not_exist_is_none(reader: Reader) -> None:
    assert reader.job(uuid4()).result(10) is None
    assert reader.events(uuid4()).result(10) is None


def test_many_askers_get_each_their_own(reader: Reader) -> None:
    jobs = [queued_job() for _ in range(20)]

    futures = [reader.job(job_id) for job_id in jobs * 5]

    assert [answer.id for answer in (future.result(10) for future in futures) if answer] == jobs * 5


def test_a_read_is_repeated_on_a_new_connection(journal_url: str, reader: Reader) -> None:
    job_id = queued_job()
    reader.job(job_id).result(10)
    read(
        journal_url,
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
        " WHERE datname = current_database() AND application_name = 'jobplatform'",
    )
    database.close()

    assert reader.job(job_id).result(10) is not None


def test_without_postgres_it_says_so_and_with_it_answers_again(
    journal_url: str, reader: Reader, postgres_server: Postgres
) -> None:
    job_id = queued_job()
    postgres_server.stop()
    database.close()
    try:
        asked: list[Any] = [reader.job(job_id), reader.ping()]
        for future in asked:
            with pytest.raises(DatabaseUnavailable):
                future.result(15)
    finally:
        postgres_server.start()

    assert reader.job(job_id).result(10) is not None
    assert column(journal_url, job_id, "status") == "queued"


def test_a_mistake_of_the_platform_is_no_outage_and_is_not_made_twice(reader: Reader) -> None:
    asked = []

    def mistaken(_: Sequence[str]) -> dict[str, Any]:
        asked.append(1)
        return {"": 1 // 0}

    with pytest.raises(ZeroDivisionError):
        reader._ask(mistaken, "").result(10)
    assert len(asked) == 1


def test_a_ping_asks_for_the_schema_too(journal_url: str, reader: Reader) -> None:
    assert reader.ping().result(10) is None
    read(journal_url, "ALTER TABLE schema_migrations RENAME TO hidden")
    try:
        with pytest.raises(SchemaMissing):
            reader.ping().result(10)
    finally:
        read(journal_url, "ALTER TABLE hidden RENAME TO schema_migrations")


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_a_thread_that_was_lost_is_made_anew(reader: Reader) -> None:
    def die(_: Sequence[str]) -> dict[str, Any]:
        raise SystemExit

    job_id = queued_job()
    assert reader.job(job_id).result(10) is not None
    lost = reader._thread
    assert lost is not None
    reader._ask(die, "")
    lost.join(10)

    assert reader.job(job_id).result(10) is not None
