"""Accepting jobs: rows and first transitions, all or none, and once however often it is asked."""

import json
import threading
from datetime import UTC, datetime, timedelta

import pytest
from peewee import PeeweeException

from jobplatform import journal
from jobplatform.errors import JobIdTaken
from jobplatform.journal import Open, Opened
from jobplatform.journal.hint import stamp_of, time_of
from jobplatform.models import database
from jobplatform.statement import MOST_ROWS
from tests.services.journal import (
    a_claim,
    claimed_job,
    column,
    connected,
    history,
    new_job,
    open_jobs,
    read,
    settle,
    status,
)
from tests.services.patience import eventually


def test_an_accepted_job_is_queued_and_its_hint_carries_the_rows_stamp(journal_url: str) -> None:
    job = new_job(queue="high", payload='{"b": 1, "a": 1e2}', who="ada")

    (answer,), (hint,) = journal.commit([Open([job])])

    assert answer == [Opened(job.id, "queued", column(journal_url, job.id, "created_at"), None)]
    assert (hint.job_id, hint.type, hint.queue) == (job.id, "PROBE", "high")
    assert time_of(hint.stamp) == column(journal_url, job.id, "dispatched_at")
    assert read(journal_url, "SELECT event, attempt, who, worker FROM transitions") == [("enqueued", 0, "ada", None)]
    assert column(journal_url, job.id, "payload::text") == job.payload, "json keeps what was sent, to the letter"


def test_a_job_for_later_is_scheduled_without_a_hint(journal_url: str) -> None:
    at = datetime.now(UTC) + timedelta(hours=1)

    (at_time,), (_, hints) = open_jobs(new_job(run_at=at)), journal.commit([Open([new_job(delay_ms=60_000)])])

    assert (at_time.status, at_time.run_at, hints) == ("scheduled", at, [])
    assert read(journal_url, "SELECT DISTINCT event, to_status FROM transitions") == [("scheduled", "scheduled")]


@pytest.mark.parametrize("given", [{"run_at": datetime(2001, 1, 1, tzinfo=UTC)}, {"delay_ms": 0}, {"delay_ms": -5}])
def test_p14_a_time_that_has_passed_means_at_once(journal_url: str, given: dict[str, object]) -> None:
    (opened,) = open_jobs(new_job(**given))

    assert (opened.status, history(journal_url, opened.id)) == ("queued", ["enqueued"])


def test_p4_a_repeated_open_finds_its_own_job(journal_url: str) -> None:
    job = new_job()
    (first,), (hint,) = journal.commit([Open([job])])

    (again,), hints = journal.commit([Open([job])])

    assert (again, hints) == (first, [hint])
    assert history(journal_url, job.id) == ["enqueued"]


@pytest.mark.usefixtures("journal_url")
def test_p4_a_repeated_open_sends_no_hint_for_a_job_that_runs_already() -> None:
    job = new_job()
    open_jobs(job)
    journal.commit([a_claim(job.id)])

    (again,), hints = journal.commit([Open([job])])

    assert (again[0].status, hints) == ("running", [])


def test_p4_an_open_that_waited_for_the_commit_of_its_own_first_try_finds_its_job(journal_url: str) -> None:
    """The first connection was cut, its transaction is still on its way to commit: the second one meets its row."""
    job = new_job()
    answers = []

    def second_try() -> None:
        with connected(journal_url):
            answers.extend(journal.commit([Open([job])])[0])

    database.execute_sql("BEGIN")
    Open([job]).answer(journal.open.STATEMENT.execute(Open([job]).rows()))
    thread = threading.Thread(target=second_try)
    thread.start()
    waits = "SELECT 1 FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
    eventually(lambda: read(journal_url, waits), what="the second try to wait for the first")
    database.execute_sql("COMMIT")
    thread.join()

    ((opened,),) = answers
    assert (opened.id, history(journal_url, job.id)) == (job.id, ["enqueued"])


@pytest.mark.parametrize("other", [{"type": "OTHER"}, {"payload": '{"n": 2}'}])
def test_p4_somebody_elses_id_is_taken(journal_url: str, other: dict[str, str]) -> None:
    job = new_job()
    open_jobs(job)

    (answer,), hints = journal.commit([Open([new_job(id=job.id, **other)])])

    assert (type(answer), hints) == (JobIdTaken, [])
    assert history(journal_url, job.id) == ["enqueued"]


def test_a_batch_of_jobs_is_accepted_whole_or_not_at_all(journal_url: str) -> None:
    taken, fresh = new_job(), new_job()
    open_jobs(taken)

    with pytest.raises(JobIdTaken):
        journal.commit([Open([fresh, new_job(id=taken.id, payload="[]")])])

    assert read(journal_url, "SELECT id::text FROM jobs") == [(taken.id,)]


def test_p3_two_opens_of_one_job_in_one_batch_are_one_job_with_one_beginning(journal_url: str) -> None:
    job = new_job()

    (first, second), _ = journal.commit([Open([job]), Open([job])])

    assert first == second
    assert history(journal_url, job.id) == ["enqueued"]


def test_p3_of_two_different_jobs_with_one_id_in_one_batch_the_second_is_refused(journal_url: str) -> None:
    job = new_job()

    (first, second), _ = journal.commit([Open([job]), Open([new_job(id=job.id, payload="[]")])])

    assert (len(first), type(second)) == (1, JobIdTaken)
    assert history(journal_url, job.id) == ["enqueued"]


def test_p3_a_batch_that_holds_an_id_twice_is_refused_whole(journal_url: str) -> None:
    job = new_job()

    with pytest.raises(JobIdTaken):
        journal.commit([Open([job, job])])

    assert read(journal_url, "SELECT 1 FROM jobs") == []


def test_p5_one_value_that_the_database_refuses_spoils_the_whole_transaction(journal_url: str) -> None:
    """The journal writes all or none; it is the writer that looks for the culprit."""
    with pytest.raises(PeeweeException):
        journal.commit([Open([new_job()]), Open([new_job(payload="no JSON")]), Open([new_job()])])

    assert read(journal_url, "SELECT 1 FROM jobs") == []


@pytest.mark.parametrize(
    "text", ['"', "\\", '\\\\"', "{a,b}", "NULL", "null", "", " ", "'", "%s", "\n\t", "Ä €", "\U0001f600"]
)
def test_whatever_a_text_holds_it_is_stored_as_it_is(journal_url: str, text: str) -> None:
    payload = json.dumps({"text": text, text: "text"})
    plain, other = new_job(payload=payload, who=text, tags=(text, "b")), new_job(who=None)

    open_jobs(plain, other)

    assert column(journal_url, plain.id, "payload::text") == payload
    assert column(journal_url, plain.id, "tags") == [text, "b"]
    told = "SELECT who FROM transitions WHERE job_id = ANY(%s::uuid[]) ORDER BY id"
    assert read(journal_url, told, [[plain.id, other.id]]) == [(text,), (None,)]


def test_more_jobs_than_one_statement_takes_are_one_transaction(journal_url: str) -> None:
    jobs = [new_job() for _ in range(2 * MOST_ROWS + 1)]

    opened = open_jobs(*jobs)

    assert [job.id for job in opened] == [job.id for job in jobs]
    assert read(journal_url, "SELECT count(*), count(DISTINCT xid::text) FROM transitions") == [(len(jobs), 1)]


@pytest.mark.usefixtures("journal_url")
def test_p8_times_differ_within_a_batch_and_follow_the_order_of_its_items() -> None:
    jobs = [new_job() for _ in range(20)]

    answers, hints = journal.commit([Open([job]) for job in jobs])

    times = [opened.created_at for (opened,) in answers]
    assert times == sorted(times)
    assert len(set(times)) > 1, "not the transaction's one time"
    assert [hint.stamp for hint in hints] == [stamp_of(time) for time in times]


def test_p13_follow_ups_are_opened_with_the_outcome_they_follow(journal_url: str) -> None:
    claim = claimed_job()
    follow_up, later = new_job(type="AFTER"), new_job(type="AFTER", delay_ms=60_000)

    settle(claim, follow_ups=[follow_up, later])

    assert (status(journal_url, follow_up.id), status(journal_url, later.id)) == ("queued", "scheduled")
    assert (
        len(set(read(journal_url, "SELECT xid::text FROM transitions WHERE event <> 'started' AND attempt >= 0"))) > 1
    )
    ((together,),) = read(
        journal_url,
        "SELECT count(DISTINCT xid::text) FROM transitions WHERE event IN ('completed', 'scheduled') OR job_id = %s",
        [follow_up.id],
    )
    assert together == 1, "one transaction"
