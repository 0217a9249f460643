"""Resubmitting: failed and cancelled jobs go round again, once for each time that somebody asks."""

import threading
from contextlib import closing
from typing import Any
from uuid import uuid4

import psycopg2
import pytest

from jobplatform import journal
from jobplatform.journal import Cancel, CancelAnswer, Claimed, Resubmit, ResubmitAnswer
from jobplatform.journal.hint import stamp_of
from jobplatform.states import Event, Status
from jobplatform.writer import Writer
from tests.services.journal import (
    a_claim,
    claimed_job,
    column,
    history,
    live_worker,
    new_job,
    open_jobs,
    outcome,
    queued_job,
    read,
    settle,
    status,
)
from tests.services.patience import eventually

AGAIN = ResubmitAnswer(Status.QUEUED, Event.RESUBMITTED)


def resubmit(job_id: str, **given: Any) -> ResubmitAnswer:
    (answer,), _ = journal.commit([Resubmit(job_id, **given)])
    assert isinstance(answer, ResubmitAnswer)
    return answer


def failed_job(**given: Any) -> str:
    settle(claim := claimed_job(**given), Event.FAILED)
    return claim.job_id


def cancelled_job(**given: Any) -> str:
    job_id = queued_job(**given)
    journal.commit([Cancel(job_id)])
    return job_id


def ended_job(how: Status) -> str:
    return failed_job() if how is Status.FAILED else cancelled_job()


@pytest.mark.parametrize("how", [Status.FAILED, Status.CANCELLED])
def test_a_job_that_ended_badly_is_queued_again_on_record(journal_url: str, how: Status) -> None:
    job_id = ended_job(how)

    (answer,), (hint,) = journal.commit([Resubmit(job_id, who="ada", reason="mail server is back", request_id="r-1")])

    assert answer == AGAIN
    assert (hint.job_id, hint.queue) == (job_id, "default")
    assert hint.stamp == stamp_of(column(journal_url, job_id, "dispatched_at")), "by which the keeper knows it"
    assert read(
        journal_url,
        "SELECT from_status, to_status, who, request_id, detail FROM transitions WHERE event = 'resubmitted'",
    ) == [(how, "queued", "ada", "r-1", {"reason": "mail server is back"})]


def test_p12_errors_and_crashes_are_forgiven_and_attempts_go_on_counting(journal_url: str) -> None:
    live_worker(1)
    job_id = queued_job()
    first = journal.Claim(job_id, "PROBE", str(uuid4()), 1, 2)
    journal.commit([first])
    read(journal_url, "UPDATE workers SET ended_at = now() WHERE id = 1")
    journal.rescue(3)
    second = a_claim(job_id)
    journal.commit([second])
    settle(second, Event.RETRY_PLANNED, attempt=2, progress='{"done": 1}')
    journal.release()
    third = a_claim(job_id)
    journal.commit([third])
    journal.commit([Cancel(job_id)])
    settle(third, Event.FAILED, attempt=3)
    counters = "attempts, retries, crashes, resends, cancel_requested, error::text, result::text, run_at, finished_at"
    assert read(journal_url, f"SELECT {counters} FROM jobs")[0][:5] == (3, 1, 1, 0, True)

    assert resubmit(job_id) == AGAIN

    assert read(journal_url, f"SELECT {counters}, progress FROM jobs") == [(3, 0, 0, 0, False, *[None] * 5)]
    (claimed,), _ = journal.commit([a_claim(job_id)])
    assert isinstance(claimed, Claimed)
    assert (claimed.attempt, claimed.retries, claimed.suspect) == (4, 0, False)


@pytest.mark.parametrize("where", [Status.SCHEDULED, Status.QUEUED, Status.RUNNING, Status.COMPLETED])
def test_a_job_that_has_not_ended_badly_stays_as_it_is(journal_url: str, where: Status) -> None:
    if where in (Status.RUNNING, Status.COMPLETED):
        job_id = (claim := claimed_job()).job_id
        if where is Status.COMPLETED:
            settle(claim)
    else:
        job_id = queued_job(delay_ms=60_000 if where is Status.SCHEDULED else None)
    before = history(journal_url, job_id)

    (answer,), hints = journal.commit([Resubmit(job_id, payload='{"n": 2}')])

    assert answer == ResubmitAnswer(where, None)
    assert hints == []
    assert history(journal_url, job_id) == before
    assert column(journal_url, job_id, "payload") == {"n": 1}


@pytest.mark.usefixtures("journal_url")
def test_a_job_that_does_not_exist_cannot_be_resubmitted() -> None:
    assert resubmit(str(uuid4())) == ResubmitAnswer(None, None)


def test_p4_a_resubmission_whose_answer_was_lost_is_done_once_and_its_hint_sent_again(journal_url: str) -> None:
    job_id = failed_job()
    item = Resubmit(job_id, payload='{"n": 2}')

    (first, again), hints = journal.commit([item, item])
    (later,), more = journal.commit([item])

    assert first == again == later == AGAIN
    assert len(set(hints + more)) == 1, "of the one row that it queued"
    assert history(journal_url, job_id).count("resubmitted") == 1
    assert read(journal_url, "SELECT count(*) FROM payload_versions") == [(1,)]


def test_p4_it_is_known_again_however_far_the_job_has_come_since(journal_url: str) -> None:
    job_id = failed_job()
    item = Resubmit(job_id)
    journal.commit([item])
    journal.commit([claim := a_claim(job_id)])
    settle(claim, Event.FAILED, attempt=2)

    (answer,), hints = journal.commit([item])

    assert (answer, hints) == (ResubmitAnswer(Status.FAILED, Event.RESUBMITTED), [])
    assert history(journal_url, job_id).count("resubmitted") == 1


def test_p4_a_cancel_whose_answer_was_lost_finds_what_it_did(journal_url: str) -> None:
    waits, runs = queued_job(), claimed_job()
    items = [Cancel(waits), Cancel(runs.job_id)]
    journal.commit(items)
    settle(runs, Event.CANCELLED)

    answers, _ = journal.commit(items)

    assert answers == [
        CancelAnswer(Status.CANCELLED, Event.CANCELLED),
        CancelAnswer(Status.CANCELLED, Event.CANCEL_REQUESTED),
    ]
    assert history(journal_url, waits) == ["enqueued", "cancelled"]


def test_p4_a_cancel_that_is_repeated_does_not_end_what_was_resubmitted_since(journal_url: str) -> None:
    item = Cancel(job_id := queued_job())
    journal.commit([item])
    resubmit(job_id)

    assert journal.commit([item])[0] == [CancelAnswer(Status.QUEUED, Event.CANCELLED)]
    assert history(journal_url, job_id) == ["enqueued", "cancelled", "resubmitted"]


def test_two_people_who_resubmit_a_job_queue_it_once(journal_url: str) -> None:
    job_id = failed_job()

    answers, hints = journal.commit([Resubmit(job_id, who="ada"), Resubmit(job_id, who="bob")])

    assert answers == [AGAIN, ResubmitAnswer(Status.QUEUED, None)]
    assert len(hints) == 1
    assert history(journal_url, job_id).count("resubmitted") == 1


def test_a_cancel_and_a_resubmission_in_one_batch_leave_one_story(journal_url: str) -> None:
    job_id = queued_job()

    (again, claimed, cancelled), _ = journal.commit([Resubmit(job_id), a_claim(job_id), Cancel(job_id)])

    assert again == AGAIN
    assert cancelled == CancelAnswer(Status.CANCELLED, Event.CANCELLED)
    assert isinstance(claimed, Claimed)
    assert history(journal_url, job_id) == ["enqueued", "cancelled", "resubmitted", "started"]


def test_each_payload_that_was_replaced_is_kept_as_it_was_sent(journal_url: str) -> None:
    job_id = failed_job(payload='{"b": 1.50, "a": 1}')
    for payload in ('{"z": 1}', '{"z": 1}', '{"z": 2}'):
        resubmit(job_id, payload=payload, who="ada")
        journal.commit([Cancel(job_id)])
    resubmit(job_id)

    versions = "SELECT version, payload::text, who, replaced_at IN (SELECT at FROM transitions) FROM payload_versions"
    assert read(journal_url, f"{versions} ORDER BY version") == [
        (1, '{"b": 1.50, "a": 1}', "ada", True),
        (2, '{"z": 1}', "ada", True),
    ]
    assert read(journal_url, "SELECT payload::text FROM jobs") == [('{"z": 2}',)]


def test_the_outcome_of_an_earlier_life_is_fenced(journal_url: str) -> None:
    claim = claimed_job()
    settle(claim, Event.FAILED)
    resubmit(claim.job_id)
    journal.commit([a_claim(claim.job_id)])

    journal.commit([outcome(claim, Event.COMPLETED)])

    assert status(journal_url, claim.job_id) == "running"
    assert history(journal_url, claim.job_id)[-1] == "fenced"


def test_a_job_whose_unique_key_is_another_s_now_is_not_resubmitted(journal_url: str) -> None:
    job_id = cancelled_job(unique_key="nightly")
    (holder,) = open_jobs(new_job(unique_key="nightly"))
    elsewhere = cancelled_job(type="OTHER", unique_key="nightly")

    answers, hints = journal.commit([Resubmit(job_id), Resubmit(elsewhere)])

    assert answers == [ResubmitAnswer(Status.CANCELLED, None, holder.id), AGAIN]
    assert len(hints) == 1
    journal.commit([Cancel(holder.id)])
    assert resubmit(job_id) == AGAIN, "once the key is free"
    assert history(journal_url, job_id) == ["enqueued", "cancelled", "resubmitted"]


def test_of_several_jobs_with_one_key_in_a_batch_the_first_is_resubmitted(journal_url: str) -> None:
    first, second, third = (cancelled_job(unique_key="nightly") for _ in range(3))
    innocent = failed_job()

    answers, _ = journal.commit([Resubmit(job_id) for job_id in (first, innocent, second, third)])

    assert answers == [AGAIN, AGAIN, *[ResubmitAnswer(Status.CANCELLED, None, first)] * 2]
    assert status(journal_url, second) == status(journal_url, third) == "cancelled"


def test_a_key_that_is_taken_in_the_same_moment_spoils_nothing_else(journal_url: str) -> None:
    """By a transaction that has not committed yet: the index makes the statement wait for it, and then refuses it."""
    job_id, rival, innocent = cancelled_job(unique_key="nightly"), cancelled_job(unique_key="nightly"), failed_job()
    writer = Writer(lambda _: None)
    with closing(psycopg2.connect(journal_url)) as other, other.cursor() as cursor:
        cursor.execute("SET lock_timeout = '10s'")
        cursor.execute(
            "UPDATE jobs SET status = 'queued', finished_at = NULL, dispatched_at = now(),"
            " updated_at = clock_timestamp() WHERE id = %s",
            [rival],
        )
        cursor.execute(
            "INSERT INTO transitions (job_id, event, from_status, to_status, attempt, at) SELECT id, 'resubmitted',"
            " 'cancelled', 'queued', 0, updated_at FROM jobs WHERE id = %s",
            [rival],
        )
        gathered = threading.Event()
        writer.put(_Gate(gathered))
        refused, granted = writer.put(Resubmit(job_id)), writer.put(Resubmit(innocent))
        gathered.set()
        waiting = "SELECT 1 FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()"
        eventually(lambda: read(journal_url, waiting), what="the wait for the other transaction")
        other.commit()

    assert refused.result(10) == ResubmitAnswer(Status.CANCELLED, None, rival)
    assert granted.result(10) == AGAIN
    writer.close(5)


class _Gate(Cancel):
    """Holds the writer until what is to be one batch has gathered."""

    def __init__(self, opened: threading.Event) -> None:
        super().__init__(str(uuid4()))
        self.opened = opened

    def rows(self) -> Any:
        assert self.opened.wait(10)
        return super().rows()
