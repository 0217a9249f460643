"""Outcomes: only the current attempt's, and each once."""

from dataclasses import replace
from uuid import uuid4

import pytest

from jobplatform import journal
from jobplatform.journal import Cancel, Progress, Settled
from jobplatform.journal.settle import OUTCOMES
from jobplatform.states import Event
from tests.services.journal import (
    WORKER,
    a_claim,
    claimed_job,
    column,
    history,
    new_job,
    outcome,
    read,
    settle,
    status,
)


@pytest.mark.parametrize("event", OUTCOMES)
def test_each_outcome_leads_where_the_table_says(journal_url: str, event: Event) -> None:
    claim = claimed_job()

    assert settle(claim, event) == Settled(event)

    assert status(journal_url, claim.job_id) == OUTCOMES[event]
    assert read(journal_url, "SELECT worker, token, cancel_requested FROM jobs") == [(None, None, False)]
    ((attempt, worker, token),) = read(
        journal_url, "SELECT attempt, worker, token::text FROM transitions WHERE event = %s", [event]
    )
    assert (attempt, worker, token) == (1, WORKER, claim.token)


def test_an_outcome_tells_what_was_made_and_what_went_wrong(journal_url: str) -> None:
    made, broken, retried = claimed_job(), claimed_job(), claimed_job()
    settle(made, result='{"b": 1, "a": 2}')
    settle(broken, Event.FAILED, error='{"kind": "error"}')
    settle(retried, Event.RETRY_PLANNED, delay_ms=60_000)

    details = dict(read(journal_url, "SELECT event, detail FROM transitions WHERE detail IS NOT NULL"))

    assert details["completed"] == {"result": {"b": 1, "a": 2}}
    assert details["failed"] == {"error": {"kind": "error"}}
    assert details["retry_planned"]["error"] == {"kind": "error"}
    assert details["retry_planned"]["run_at"] == column(journal_url, retried.job_id, "to_json(run_at)")
    assert column(journal_url, retried.job_id, "extract(epoch FROM run_at - updated_at)::int") == 60


@pytest.mark.parametrize("event", OUTCOMES)
def test_p4_a_repeated_outcome_finds_its_own_success(journal_url: str, event: Event) -> None:
    claim = claimed_job()
    settle(claim, event)
    before = history(journal_url, claim.job_id)

    assert settle(claim, event) == Settled(event)

    assert history(journal_url, claim.job_id) == before


def test_p4_a_repeated_outcome_finds_its_own_success_also_where_the_job_went_on(journal_url: str) -> None:
    claim = claimed_job()
    settle(claim, Event.INTERRUPTED)
    journal.commit([a_claim(claim.job_id)])

    assert settle(claim, Event.INTERRUPTED) == Settled(Event.INTERRUPTED)

    assert history(journal_url, claim.job_id) == ["enqueued", "started", "interrupted", "started"]


def test_p4_a_repeated_batch_opens_its_follow_ups_once(journal_url: str) -> None:
    claim = claimed_job()
    batch = [outcome(claim, follow_ups=[new_job(type="AFTER")])]

    journal.commit(batch)
    (again,), hints = journal.commit(batch)

    assert (again, hints) == (Settled(Event.COMPLETED), [])
    assert read(journal_url, "SELECT count(*) FROM jobs") == [(2,)]


def test_p2_a_ghosts_outcome_is_fenced_though_its_number_fits(journal_url: str) -> None:
    """Given back, the row is queued with the same number; claimed again, it runs under another token."""
    ghost = claimed_job()
    read(journal_url, "UPDATE jobs SET status = 'queued', worker = NULL, token = NULL")
    read(
        journal_url,
        "INSERT INTO transitions (job_id, event, from_status, to_status, attempt, at)"
        " SELECT id, 'rescued', 'running', 'queued', 1, updated_at FROM jobs",
    )

    assert settle(ghost) == Settled(Event.FENCED)
    assert status(journal_url, ghost.job_id) == "queued"

    journal.commit([a_claim(ghost.job_id)])
    assert settle(replace(ghost, token=str(uuid4())), attempt=2) == Settled(Event.FENCED)
    assert (status(journal_url, ghost.job_id), column(journal_url, ghost.job_id, "result")) == ("running", None)
    assert history(journal_url, ghost.job_id) == ["enqueued", "started", "rescued", "fenced", "started", "fenced"]


def test_p2_the_right_token_with_the_wrong_number_is_fenced(journal_url: str) -> None:
    claim = claimed_job()

    assert settle(claim, attempt=2) == Settled(Event.FENCED)

    assert status(journal_url, claim.job_id) == "running"


def test_p4_a_fenced_outcome_is_told_once_and_changes_nothing(journal_url: str) -> None:
    ghost = claimed_job()
    settle(ghost, Event.INTERRUPTED)
    updated_at = column(journal_url, ghost.job_id, "updated_at")

    assert settle(ghost) == settle(ghost) == Settled(Event.FENCED)

    assert history(journal_url, ghost.job_id) == ["enqueued", "started", "interrupted", "fenced"]
    assert column(journal_url, ghost.job_id, "updated_at") == updated_at
    ((detail,),) = read(journal_url, "SELECT detail FROM transitions WHERE event = 'fenced'")
    assert detail == {"outcome": "completed"}


def test_p3_of_two_outcomes_of_one_attempt_in_one_batch_the_first_counts(journal_url: str) -> None:
    claim = claimed_job()

    answers, _ = journal.commit([outcome(claim, result="1"), outcome(claim, Event.FAILED)])

    assert answers == [Settled(Event.COMPLETED), Settled(Event.FENCED)]
    assert history(journal_url, claim.job_id) == ["enqueued", "started", "completed", "fenced"]


def test_p13_follow_ups_of_a_fenced_outcome_are_dropped(journal_url: str) -> None:
    ghost = claimed_job()
    settle(ghost, Event.INTERRUPTED)

    _, hints = journal.commit([outcome(ghost, follow_ups=[new_job(type="AFTER")])])

    assert hints == []
    assert read(journal_url, "SELECT 1 FROM jobs WHERE type = 'AFTER'") == []


def test_p13_in_one_batch_only_the_follow_ups_of_accepted_outcomes_are_opened(journal_url: str) -> None:
    ghost, good = claimed_job(), claimed_job()
    settle(ghost, Event.INTERRUPTED)

    _, hints = journal.commit(
        [outcome(ghost, follow_ups=[new_job(type="NEVER")]), outcome(good, follow_ups=[new_job(type="AFTER")])]
    )

    assert [hint.type for hint in hints] == ["AFTER"]
    assert read(journal_url, "SELECT type FROM jobs WHERE type <> 'PROBE'") == [("AFTER",)]


def test_p13_follow_ups_of_an_outcome_that_became_a_cancel_are_dropped(journal_url: str) -> None:
    """A retry was planned after an error, with what is to follow one; and the job had been asked to stop."""
    claim = claimed_job()
    journal.commit([Cancel(claim.job_id)])

    (settled,), hints = journal.commit([outcome(claim, Event.RETRY_PLANNED, follow_ups=[new_job(type="SORRY")])])

    assert (settled, hints) == (Settled(Event.CANCELLED), [])
    assert read(journal_url, "SELECT 1 FROM jobs WHERE type = 'SORRY'") == []


def test_an_interrupted_job_is_queued_with_a_hint_of_its_new_stamp(journal_url: str) -> None:
    claim = claimed_job()

    _, (hint,) = journal.commit([outcome(claim, Event.INTERRUPTED)])

    assert hint.job_id == claim.job_id
    assert column(journal_url, claim.job_id, "(extract(epoch FROM dispatched_at) * 1000000)::bigint") == hint.stamp


def test_an_outcome_brings_the_last_progress_with_it(journal_url: str) -> None:
    with_news, without = claimed_job(), claimed_job()
    journal.commit([Progress(c.job_id, 1, c.token, '{"done": 1, "total": 2}') for c in (with_news, without)])

    settle(with_news, progress='{"done": 2, "total": 2}')
    settle(without)

    assert column(journal_url, with_news.job_id, "progress") == {"done": 2, "total": 2}
    assert column(journal_url, without.job_id, "progress") == {"done": 1, "total": 2}


def test_p2_progress_of_an_attempt_that_is_no_longer_current_is_refused(journal_url: str) -> None:
    ghost = claimed_job()
    settle(ghost, Event.INTERRUPTED)
    journal.commit([current := a_claim(ghost.job_id)])

    answers, _ = journal.commit(
        [
            Progress(ghost.job_id, 1, ghost.token, '{"done": 1, "total": 1}'),
            Progress(ghost.job_id, 2, current.token, '{"done": 1, "total": 9}'),
        ]
    )

    assert answers == [False, True]
    assert column(journal_url, ghost.job_id, "progress") == {"done": 1, "total": 9}


def test_p8_no_transition_is_earlier_than_the_row_it_changes(journal_url: str) -> None:
    """A clock that was set back does not turn the history round."""
    claim = claimed_job()
    read(journal_url, "UPDATE jobs SET updated_at = updated_at + interval '1 hour'")
    ahead = column(journal_url, claim.job_id, "updated_at")

    settle(claim, Event.INTERRUPTED)
    journal.commit([second := a_claim(claim.job_id)])
    settle(second, attempt=2)

    times = [at for (at,) in read(journal_url, "SELECT at FROM transitions ORDER BY id")]
    assert times == sorted(times)
    assert times[2] == ahead
    assert column(journal_url, claim.job_id, "finished_at") == times[-1] == ahead
