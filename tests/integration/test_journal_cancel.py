"""Cancelling: one statement that decides by where the job is (P15)."""

from uuid import uuid4

import pytest

from jobplatform import journal
from jobplatform.journal import Cancel, CancelAnswer, Claimed, Refused, Settled
from jobplatform.states import Event, Status
from tests.services.journal import (
    WORKER,
    a_claim,
    claimed_job,
    column,
    history,
    outcome,
    queued_job,
    read,
    settle,
    status,
)


def cancel(job_id: str) -> CancelAnswer:
    (answer,), hints = journal.commit([Cancel(job_id, who="ada", reason="no longer wanted")])
    assert isinstance(answer, CancelAnswer)
    assert hints == []
    return answer


def waiting_job(where: Status) -> str:
    if where is Status.RETRYING:
        settle(claim := claimed_job(), Event.RETRY_PLANNED, delay_ms=60_000)
        return claim.job_id
    return queued_job(delay_ms=60_000 if where is Status.SCHEDULED else None)


@pytest.mark.parametrize("where", [Status.SCHEDULED, Status.QUEUED, Status.RETRYING])
def test_p15_a_job_that_only_waits_is_cancelled_at_once(journal_url: str, where: Status) -> None:
    job_id = waiting_job(where)

    assert cancel(job_id) == CancelAnswer(Status.CANCELLED, Event.CANCELLED)

    assert status(journal_url, job_id) == "cancelled"
    assert read(
        journal_url, "SELECT from_status, to_status, who, detail FROM transitions WHERE event = 'cancelled'"
    ) == [(where, "cancelled", "ada", {"reason": "no longer wanted"})]


def test_p15_a_running_job_is_asked_to_stop_and_runs_on(journal_url: str) -> None:
    claim = claimed_job()

    assert cancel(claim.job_id) == CancelAnswer(Status.RUNNING, Event.CANCEL_REQUESTED)

    assert read(journal_url, "SELECT status, cancel_requested, worker FROM jobs") == [("running", True, WORKER)]
    assert history(journal_url, claim.job_id)[-1] == "cancel_requested"


def test_p15_a_running_job_is_asked_once(journal_url: str) -> None:
    claim = claimed_job()
    cancel(claim.job_id)

    assert cancel(claim.job_id) == CancelAnswer(Status.RUNNING, None)

    assert history(journal_url, claim.job_id).count("cancel_requested") == 1


@pytest.mark.parametrize(
    ("planned", "recorded"),
    [
        (Event.COMPLETED, Event.COMPLETED),
        (Event.FAILED, Event.FAILED),
        (Event.RETRY_PLANNED, Event.CANCELLED),
        (Event.INTERRUPTED, Event.CANCELLED),
        (Event.CANCELLED, Event.CANCELLED),
    ],
)
def test_p15_a_job_that_was_asked_to_stop_ends_with_its_attempt(
    journal_url: str, planned: Event, recorded: Event
) -> None:
    claim = claimed_job()
    cancel(claim.job_id)

    (settled, again), hints = journal.commit([outcome(claim, planned), outcome(claim, planned)])

    assert settled == again == Settled(recorded)
    assert hints == [], "nobody is to run it again"
    assert status(journal_url, claim.job_id) == recorded
    assert history(journal_url, claim.job_id) == ["enqueued", "started", "cancel_requested", recorded]
    assert column(journal_url, claim.job_id, "retries") == 0 or recorded is Event.CANCELLED


@pytest.mark.parametrize("end", [Event.COMPLETED, Event.FAILED, Event.CANCELLED])
def test_p15_a_finished_job_stays_as_it_is(journal_url: str, end: Event) -> None:
    claim = claimed_job()
    settle(claim, end)
    before = column(journal_url, claim.job_id, "updated_at")

    assert cancel(claim.job_id) == CancelAnswer(Status(end), None)

    assert column(journal_url, claim.job_id, "updated_at") == before


@pytest.mark.usefixtures("journal_url")
def test_p15_a_job_that_does_not_exist_cannot_be_cancelled() -> None:
    assert cancel(str(uuid4())) == CancelAnswer(None, None)


def test_p15_a_cancel_and_a_claim_in_one_batch_leave_one_story(journal_url: str) -> None:
    """The cancel comes first, and the claim finds nothing to start."""
    job_id = queued_job()

    (claimed, cancelled), _ = journal.commit([a_claim(job_id), Cancel(job_id)])

    assert (claimed, cancelled) == (Refused(known=True), CancelAnswer(Status.CANCELLED, Event.CANCELLED))
    assert history(journal_url, job_id) == ["enqueued", "cancelled"]


def test_p15_a_success_in_one_batch_with_a_cancel_wins(journal_url: str) -> None:
    claim = claimed_job()

    (cancelled, settled), _ = journal.commit([Cancel(claim.job_id), outcome(claim)])

    assert (cancelled, settled) == (CancelAnswer(Status.COMPLETED, None), Settled(Event.COMPLETED))
    assert history(journal_url, claim.job_id) == ["enqueued", "started", "completed"]


def test_p3_two_cancels_of_one_job_in_one_batch_are_told_once(journal_url: str) -> None:
    job_id = queued_job()

    answers, _ = journal.commit([Cancel(job_id), Cancel(job_id)])

    assert answers == [CancelAnswer(Status.CANCELLED, Event.CANCELLED), CancelAnswer(Status.CANCELLED, None)]
    assert history(journal_url, job_id) == ["enqueued", "cancelled"]


def test_a_released_job_keeps_no_trace_of_an_earlier_claim(journal_url: str) -> None:
    claim = claimed_job()
    settle(claim, Event.RETRY_PLANNED)
    journal.release()

    (again,), _ = journal.commit([a_claim(claim.job_id)])

    assert isinstance(again, Claimed)
    assert column(journal_url, claim.job_id, "progress") is None
