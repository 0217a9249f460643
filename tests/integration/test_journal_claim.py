"""Claims: compare-and-set, under a token."""

from uuid import uuid4

import pytest

from jobplatform import journal
from jobplatform.journal import Cancel, Claimed, Refused
from jobplatform.states import Event
from tests.services.journal import (
    WORKER,
    a_claim,
    claimed_job,
    column,
    history,
    new_job,
    open_jobs,
    outcome,
    queued_job,
    read,
    settle,
    status,
)


def test_a_claim_starts_the_job_and_brings_what_to_run(journal_url: str) -> None:
    job = new_job(options='{"max_retries": 5}')
    (opened,) = open_jobs(job)
    claim = a_claim(job.id)

    (answer,), hints = journal.commit([claim])

    assert (answer, hints) == (Claimed(1, job.payload, job.options, 0, opened.created_at), [])
    assert read(journal_url, "SELECT status, attempts, worker, token::text FROM jobs") == [
        ("running", 1, WORKER, claim.token)
    ]
    assert read(journal_url, "SELECT event, attempt, worker, token::text FROM transitions ORDER BY id")[1:] == [
        ("started", 1, WORKER, claim.token)
    ]


def test_p1_a_repeated_claim_under_the_same_token_finds_its_own_success(journal_url: str) -> None:
    claim = a_claim(queued_job())
    (first,), _ = journal.commit([claim])

    (again,), _ = journal.commit([claim])

    assert again == first
    assert history(journal_url, claim.job_id) == ["enqueued", "started"]


def test_p1_under_another_token_a_running_job_is_refused(journal_url: str) -> None:
    claim = claimed_job()

    (answer,), _ = journal.commit([a_claim(claim.job_id)])

    assert answer == Refused(known=True)
    assert history(journal_url, claim.job_id) == ["enqueued", "started"]


def test_p1_a_claim_whose_attempt_was_given_back_meanwhile_is_no_success(journal_url: str) -> None:
    claim = claimed_job()
    settle(claim, Event.INTERRUPTED)

    (answer,), _ = journal.commit([claim])

    assert answer == Claimed(2, '{"n": 1}', "{}", 0, column(journal_url, claim.job_id, "created_at"))


def test_p3_of_two_hints_of_one_job_in_one_batch_one_is_claimed_and_one_refused(journal_url: str) -> None:
    job_id = queued_job()

    answers, _ = journal.commit([a_claim(job_id), a_claim(queued_job()), a_claim(job_id)])

    assert [type(answer) for answer in answers] == [Claimed, Claimed, Refused]
    assert history(journal_url, job_id) == ["enqueued", "started"]


def test_p3_an_outcome_and_the_next_claim_of_one_job_go_into_one_transaction(journal_url: str) -> None:
    first = claimed_job()
    second = a_claim(first.job_id)

    (claimed, settled), hints = journal.commit([second, outcome(first, Event.INTERRUPTED)])

    assert (claimed.attempt, settled.event, len(hints)) == (2, Event.INTERRUPTED, 1)
    assert history(journal_url, first.job_id) == ["enqueued", "started", "interrupted", "started"]


@pytest.mark.usefixtures("journal_url")
def test_p9_a_claim_of_an_unknown_job_says_so() -> None:
    (answer,), _ = journal.commit([a_claim(str(uuid4()))])

    assert answer == Refused(known=False)


def test_a_claim_for_another_type_is_refused_as_unknown(journal_url: str) -> None:
    job_id = queued_job(type="OTHER")

    (answer,), _ = journal.commit([a_claim(job_id)])

    assert answer == Refused(known=False)
    assert status(journal_url, job_id) == "queued"


@pytest.mark.usefixtures("journal_url")
def test_nothing_but_a_queued_job_can_be_claimed() -> None:
    scheduled = queued_job(delay_ms=60_000)
    cancelled = queued_job()
    journal.commit([Cancel(cancelled)])
    completed, retrying = claimed_job(), claimed_job()
    settle(completed)
    settle(retrying, Event.RETRY_PLANNED, delay_ms=60_000)

    answers, _ = journal.commit([a_claim(i) for i in (scheduled, cancelled, completed.job_id, retrying.job_id)])

    assert answers == [Refused(known=True)] * 4


def test_p12_the_counters_live_in_the_row(journal_url: str) -> None:
    first = claimed_job()
    settle(first, Event.RETRY_PLANNED)
    assert len(journal.release()) == 1
    second = a_claim(first.job_id)
    journal.commit([second])
    settle(second, Event.INTERRUPTED, 2)

    (third,), _ = journal.commit([a_claim(first.job_id)])

    assert (third.attempt, third.retries) == (3, 1), "an interruption burns no retry"
    assert column(journal_url, first.job_id, "retries") == 1
