"""A writer in trouble that no value and no lost connection is to blame for, and what it says of trouble."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import psycopg2
import pytest

from jobplatform import journal
from jobplatform import writer as writer_module
from jobplatform.connection import blames_a_value
from jobplatform.errors import DatabaseUnavailable, RefusedByDatabase
from jobplatform.journal import LogLine, Open, Settled
from jobplatform.states import Event
from jobplatform.writer import Writer
from tests.services.journal import claimed_job, column, history, new_job, outcome, read
from tests.services.patience import eventually

_CARD = "4111-1111-1111-1111"


@pytest.fixture
def writer(journal_url: str) -> Iterator[Writer]:  # noqa: ARG001
    made = Writer(list)
    yield made
    assert made.close(10)


def test_of_a_refusal_nobody_hears_the_statement_or_the_payload_in_it(
    journal_url: str, writer: Writer, caplog: pytest.LogCaptureFixture
) -> None:
    """Values stand in the text of the statement, which Postgres quotes: where it stopped, and in which context."""
    caplog.set_level(logging.INFO)
    bad = claimed_job()

    opened = writer.put(Open([new_job(payload=f'{{"card": {_CARD}}}')]))
    settled = writer.put(outcome(bad, result=f"no JSON {_CARD}"))
    with pytest.raises(RefusedByDatabase) as refused:
        opened.result(15)

    assert str(refused.value) == "invalid input syntax for type json"
    assert settled.result(15) == Settled(Event.FAILED)
    assert _CARD not in str(column(journal_url, bad.job_id, "error"))
    assert "invalid input syntax for type json" in column(journal_url, bad.job_id, "error")["message"]
    assert "Refused: Open" in caplog.text
    assert _CARD not in caplog.text


@contextmanager
def _hung(url: str, writer: Writer) -> Iterator[None]:
    """Postgres answers nothing: what the writer writes first waits for a table that somebody has locked."""
    connection = psycopg2.connect(url)
    with connection.cursor() as cursor:
        cursor.execute("LOCK job_logs IN ACCESS EXCLUSIVE MODE")
        writer.put(LogLine(new_job().id, 1, "waits"))
        eventually(lambda: read(url, "SELECT 1 FROM pg_stat_activity WHERE wait_event_type = 'Lock'"))
        yield
    connection.rollback()
    connection.close()


def test_while_postgres_hangs_only_so_much_waits_of_what_somebody_waits_for(
    journal_url: str, writer: Writer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(writer_module, "MOST_WAITING", 100_000)
    claim, far = claimed_job(), float("inf")
    with _hung(journal_url, writer):
        large = writer.put(Open([new_job(payload=f'{{"text": "{"x" * 100_000}"}}')], far))
        refused = writer.put(Open([new_job()], far))
        settled, patient = writer.put(outcome(claim)), writer.put(Open([new_job()]))

        with pytest.raises(DatabaseUnavailable, match="Too much"):
            refused.result(0)
        assert not any(future.done() for future in (large, settled, patient))

    assert settled.result(15) == Settled(Event.COMPLETED)
    assert [len(future.result(15)) for future in (large, patient)] == [1, 1]
    assert len(writer.put(Open([new_job()], far)).result(15)) == 1, "there is room again"


@pytest.mark.parametrize("event", [Event.COMPLETED, Event.INTERRUPTED])
def test_p26_hints_that_cannot_be_sent_change_nothing_of_what_is_written(journal_url: str, event: Event) -> None:
    claim = claimed_job()

    def broken(_: Any) -> None:
        raise RuntimeError("a fault of our own")

    writer = Writer(broken)
    opened, settled = writer.put(Open([new_job()])), writer.put(outcome(claim, event))

    assert (len(opened.result(15)), settled.result(15)) == (1, Settled(event))
    assert writer.close(10)
    assert history(journal_url, claim.job_id) == ["enqueued", "started", event]


def test_p5_a_lack_of_memory_just_after_the_commit_costs_no_outcome(
    journal_url: str, writer: Writer, monkeypatch: pytest.MonkeyPatch
) -> None:
    claim, commit = claimed_job(), journal.commit
    struck: list[Any] = []

    def lack(items: Any) -> Any:
        written = commit(items)
        if not struck:
            struck.append(items)
            raise MemoryError
        return written

    monkeypatch.setattr(journal, "commit", lack)

    assert writer.put(outcome(claim)).result(15) == Settled(Event.COMPLETED)
    assert history(journal_url, claim.job_id) == ["enqueued", "started", "completed"]


def test_p5_a_lack_of_memory_that_lasts_is_due_to_what_is_to_be_written(
    journal_url: str, writer: Writer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(writer_module, "_LONGEST_PAUSE", 0.1)
    claim, good, commit = claimed_job(), claimed_job(), journal.commit

    def lack(items: Any) -> Any:
        if any(item.size > 1_000 for item in items):
            raise MemoryError
        return commit(items)

    monkeypatch.setattr(journal, "commit", lack)
    large, small = writer.put(outcome(claim, result=f'"{"x" * 2_000}"')), writer.put(outcome(good))

    assert (large.result(15), small.result(15)) == (Settled(Event.FAILED), Settled(Event.COMPLETED))
    assert column(journal_url, claim.job_id, "error")["kind"] == "unstorable"


def test_a_lack_of_memory_is_no_fault_of_a_value() -> None:
    assert not blames_a_value(MemoryError())
    assert blames_a_value(ValueError())
