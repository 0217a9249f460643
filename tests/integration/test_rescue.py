"""Rescue: whatever runs under a worker that is no more is taken back, and each death is counted and told."""

from datetime import datetime
from typing import Any

import pytest

from jobplatform import journal
from jobplatform.journal import Cancel, Claim, Claimed, LogLine, Progress, Refused, Rescued
from jobplatform.journal.hint import time_of
from jobplatform.states import Event
from tests.services.journal import (
    WORKER,
    a_claim,
    claimed_job,
    column,
    history,
    live_worker,
    outcome,
    queued_job,
    read,
    settle,
    status,
)

LIMIT = 3


def end(url: str, *, stopping: bool = False, worker: int = WORKER) -> None:
    """As a keeper or the worker itself does."""
    read(
        url,
        "UPDATE workers SET ended_at = clock_timestamp(), died = %s,"
        " stopping_at = CASE WHEN %s THEN clock_timestamp() END WHERE id = %s",
        [not stopping, stopping, worker],
    )


def die_running(url: str, job_id: str, worker: int) -> str:
    """A worker claims the job, and dies of it; what the keeper made of that."""
    live_worker(worker)
    claim = Claim(job_id, "PROBE", a_claim(job_id).token, worker, 99)
    (answer,), _ = journal.commit([claim])
    assert isinstance(answer, Claimed)
    end(url, worker=worker)
    ((rescued,), _) = journal.rescue(LIMIT)
    return rescued.event


def counters(url: str, job_id: str) -> tuple[Any, ...]:
    """Attempts, retries, crashes."""
    return tuple(column(url, job_id, name) for name in ("attempts", "retries", "crashes"))


def detail(url: str, job_id: str) -> dict[str, Any]:
    """Of the job's last transition."""
    ((found,),) = read(url, "SELECT detail FROM transitions WHERE job_id = %s ORDER BY id DESC LIMIT 1", [job_id])
    assert isinstance(found, dict)
    return found


def test_p17_what_runs_under_a_live_worker_is_left_to_it(journal_url: str) -> None:
    claim = claimed_job()

    assert journal.rescue(LIMIT) == ([], [])
    assert history(journal_url, claim.job_id) == ["enqueued", "started"]


@pytest.mark.parametrize(
    "gone",
    [
        "UPDATE workers SET ended_at = now(), died = true",
        "UPDATE workers SET ended_at = now()",
        "DELETE FROM workers",
    ],
    ids=["dead", "ended", "missing"],
)
def test_p17_what_runs_under_a_worker_that_is_no_more_is_taken_back(journal_url: str, gone: str) -> None:
    claim = claimed_job()
    read(journal_url, gone)

    rescued, (hint,) = journal.rescue(LIMIT)

    assert rescued == [Rescued(claim.job_id, Event.RESCUED, WORKER)]
    assert hint[:3] == (claim.job_id, "PROBE", "default")
    assert time_of(hint.stamp) == column(journal_url, claim.job_id, "dispatched_at")
    assert status(journal_url, claim.job_id) == "queued"
    assert read(
        journal_url,
        "SELECT event, from_status, to_status, attempt, worker FROM transitions ORDER BY id DESC LIMIT 1",
    ) == [("rescued", "running", "queued", 1, WORKER)]
    assert journal.rescue(LIMIT) == ([], []), "once"


def test_p17_rescue_is_a_standing_query_also_for_a_claim_that_was_committed_after_the_death(journal_url: str) -> None:
    """The claim looked for a live worker just before the keeper declared the death, and was committed after it."""
    end(journal_url)
    assert journal.rescue(LIMIT) == ([], []), "the keeper that declared the death finds nothing"
    job_id = queued_job()
    token = a_claim(job_id).token
    read(
        journal_url,
        "UPDATE jobs SET status = 'running', attempts = 1, worker = %s, token = %s, updated_at = clock_timestamp(),"
        " started_at = clock_timestamp()",
        [WORKER, token],
    )
    read(
        journal_url,
        "INSERT INTO transitions (job_id, event, from_status, to_status, attempt, worker, at, token)"
        " SELECT id, 'started', 'queued', 'running', 1, worker, updated_at, token FROM jobs",
    )

    rescued, _ = journal.rescue(LIMIT)

    assert rescued == [Rescued(job_id, Event.RESCUED, WORKER)]


def test_p17_a_claim_and_the_declaration_of_death_in_either_order_leave_nothing_behind(journal_url: str) -> None:
    for number in range(20):
        live_worker(number)
        job_id = queued_job()
        claim = Claim(job_id, "PROBE", a_claim(job_id).token, number, 2)
        if number % 2:
            journal.commit([claim])
        end(journal_url, worker=number)
        if not number % 2:
            assert journal.commit([claim])[0] == [Refused(known=True, waits=True)]

    journal.rescue(LIMIT)

    assert read(journal_url, "SELECT status, count(*) FROM jobs GROUP BY status") == [("queued", 20)]
    assert read(journal_url, "SELECT count(*) FROM transitions WHERE event = 'rescued'") == [(10,)]


@pytest.mark.parametrize("gone", ["ended_at = now()", "ended_at = now(), died = true", "id = DEFAULT"])
def test_p17_a_worker_that_is_not_alive_claims_nothing(journal_url: str, gone: str) -> None:
    read(journal_url, f"UPDATE workers SET {gone}")
    job_id = queued_job()

    (answer,), hints = journal.commit([a_claim(job_id)])

    assert (answer, hints) == (Refused(known=True, waits=True), [])
    assert history(journal_url, job_id) == ["enqueued"]


def test_p1_a_claim_that_was_granted_before_the_death_is_still_its_own_success(journal_url: str) -> None:
    """The answer was lost, and the death declared: until the rescue, the row runs under this very token."""
    claim = claimed_job()
    end(journal_url)

    (answer,), _ = journal.commit([claim])

    assert isinstance(answer, Claimed)
    journal.rescue(LIMIT)
    assert journal.commit([claim])[0] == [Refused(known=True, waits=True)]


@pytest.mark.parametrize("event", [Event.COMPLETED, Event.FAILED, Event.RETRY_PLANNED, Event.INTERRUPTED])
def test_p2_the_late_outcome_of_a_worker_that_was_declared_dead_is_fenced(journal_url: str, event: Event) -> None:
    """Also while the row still has the same attempt number, and also once the next attempt runs."""
    ghost = claimed_job()
    end(journal_url)
    journal.rescue(LIMIT)

    assert settle(ghost, event).event is Event.FENCED
    live_worker(8_008)
    journal.commit([Claim(ghost.job_id, "PROBE", a_claim(ghost.job_id).token, 8_008, 2)])
    assert settle(ghost, event).event is Event.FENCED

    assert status(journal_url, ghost.job_id) == "running"
    assert history(journal_url, ghost.job_id) == ["enqueued", "started", "rescued", "fenced", "started"]


def test_p2_an_outcome_before_the_rescue_counts_though_its_worker_was_declared_dead(journal_url: str) -> None:
    claim = claimed_job()
    end(journal_url)

    assert settle(claim).accepted

    assert journal.rescue(LIMIT) == ([], [])
    assert status(journal_url, claim.job_id) == "completed"


def test_p2_the_ghosts_progress_is_refused(journal_url: str) -> None:
    claim = claimed_job()
    end(journal_url)
    journal.rescue(LIMIT)

    assert journal.commit([Progress(claim.job_id, 1, claim.token, '{"done": 1}')])[0] == [False]


def test_p12_attempts_retries_and_crashes_are_counted_apart(journal_url: str) -> None:
    job_id = queued_job()
    seen = []
    for attempt, event in enumerate((Event.RETRY_PLANNED, None, Event.INTERRUPTED, None, Event.RETRY_PLANNED), 1):
        if event is None:
            assert die_running(journal_url, job_id, attempt) == Event.RESCUED
        else:
            claim = Claim(job_id, "PROBE", a_claim(job_id).token, WORKER, 99)
            journal.commit([claim])
            settle(claim, event, attempt)
            journal.release()
        seen.append(counters(journal_url, job_id))

    assert seen == [(1, 1, 0), (2, 1, 1), (3, 1, 1), (4, 1, 2), (5, 2, 2)]


def test_a_job_fails_with_exactly_its_third_death(journal_url: str) -> None:
    job_id = queued_job()

    events = [die_running(journal_url, job_id, worker) for worker in (1, 2, 3)]

    assert events == ["rescued", "rescued", "failed"]
    assert counters(journal_url, job_id) == (3, 0, 3)
    error = column(journal_url, job_id, "error")
    assert error == {
        "kind": "crashed",
        "type": None,
        "message": "Its worker died while it ran (3 deaths so far).",
        "traceback": None,
    }
    assert detail(journal_url, job_id)["error"] == error
    assert detail(journal_url, job_id)["death"]["pid"] == 1
    assert column(journal_url, job_id, "finished_at") == column(journal_url, job_id, "updated_at")
    assert journal.rescue(LIMIT) == ([], [])


@pytest.mark.parametrize("limit", [1, 2, 5])
def test_the_crash_limit_is_exact_whatever_it_is(journal_url: str, limit: int) -> None:
    job_id = queued_job()
    for death in range(1, limit + 1):
        live_worker(death)
        journal.commit([Claim(job_id, "PROBE", a_claim(job_id).token, death, 99)])
        end(journal_url, worker=death)
        journal.rescue(limit)

        assert (status(journal_url, job_id) == "failed") == (death == limit)


def test_deaths_of_stopping_workers_never_add_up(journal_url: str) -> None:
    job_id = queued_job()
    for worker in range(1, 6):
        live_worker(worker)
        journal.commit([Claim(job_id, "PROBE", a_claim(job_id).token, worker, 99)])
        end(journal_url, stopping=True, worker=worker)
        journal.rescue(LIMIT)

    assert counters(journal_url, job_id) == (5, 0, 0)
    assert history(journal_url, job_id)[-2:] == ["started", "interrupted"]


@pytest.mark.parametrize(
    ("stopping", "on_crash", "event", "after"),
    [
        (False, "retry", Event.RESCUED, (1, 0, 1)),
        (True, "retry", Event.INTERRUPTED, (1, 0, 0)),
        (False, "fail", Event.FAILED, (1, 0, 1)),
        (True, "fail", Event.FAILED, (1, 0, 0)),
    ],
)
def test_p21_the_stopping_mark_tells_interrupted_from_rescued(
    journal_url: str, stopping: bool, on_crash: str, event: Event, after: tuple[int, int, int]
) -> None:
    claim = claimed_job(on_crash=on_crash)
    end(journal_url, stopping=stopping)

    rescued, hints = journal.rescue(LIMIT)

    assert [job.event for job in rescued] == [event]
    assert len(hints) == (event is not Event.FAILED)
    assert history(journal_url, claim.job_id) == ["enqueued", "started", event]
    assert counters(journal_url, claim.job_id) == after
    if event is Event.FAILED:
        reason = (
            "stopped before it was done, and it must not run twice"
            if stopping
            else "died while it ran (1 deaths so far)"
        )
        assert column(journal_url, claim.job_id, "error")["message"] == f"Its worker {reason}."


def test_p21_on_crash_does_not_concern_an_attempt_that_never_began(journal_url: str) -> None:
    job_id = queued_job(on_crash="fail")
    end(journal_url)
    journal.commit([a_claim(job_id)])

    assert journal.rescue(LIMIT) == ([], [])
    assert status(journal_url, job_id) == "queued"


@pytest.mark.parametrize("stopping", [False, True])
@pytest.mark.parametrize("on_crash", ["retry", "fail"])
def test_p15_a_job_that_was_asked_to_stop_ends_with_its_worker(journal_url: str, stopping: bool, on_crash: str) -> None:
    claim = claimed_job(on_crash=on_crash)
    journal.commit([Cancel(claim.job_id)])
    end(journal_url, stopping=stopping)

    rescued, hints = journal.rescue(LIMIT)

    assert (rescued, hints) == ([Rescued(claim.job_id, Event.CANCELLED, WORKER)], [])
    assert history(journal_url, claim.job_id) == ["enqueued", "started", "cancel_requested", "cancelled"]
    assert column(journal_url, claim.job_id, "error") is None


def test_the_black_box_tells_of_the_death(journal_url: str) -> None:
    claim = claimed_job()
    journal.commit([LogLine(claim.job_id, 1, f"line {n}") for n in range(12)])
    journal.commit([LogLine(queued_job(), 1, "another job's")])
    read(journal_url, "UPDATE workers SET host = 'there', pid = 99, peak_memory = 12345")
    ((seen,),) = read(journal_url, "SELECT last_seen_at FROM workers")
    end(journal_url)

    journal.rescue(LIMIT)

    death = detail(journal_url, claim.job_id)["death"]
    assert datetime.fromisoformat(death.pop("lastSeenAt")) == seen
    assert death == {
        "host": "there",
        "pid": 99,
        "peakMemoryBytes": 12345,
        "lastLines": [f"line {n}" for n in range(2, 12)],
    }


def test_the_black_box_has_the_lines_of_the_last_attempt_alone(journal_url: str) -> None:
    first = claimed_job()
    journal.commit([LogLine(first.job_id, 1, "of the first")])
    settle(first, Event.INTERRUPTED)
    journal.commit([a_claim(first.job_id)])
    journal.commit([LogLine(first.job_id, 2, "of the second")])
    end(journal_url)

    journal.rescue(LIMIT)

    assert detail(journal_url, first.job_id)["death"]["lastLines"] == ["of the second"]


def test_a_death_of_which_nothing_is_known_is_told_all_the_same(journal_url: str) -> None:
    claim = claimed_job()
    read(journal_url, "DELETE FROM workers")

    journal.rescue(LIMIT)

    names = ("host", "pid", "lastSeenAt", "peakMemoryBytes", "lastLines")
    assert detail(journal_url, claim.job_id) == {"death": dict.fromkeys(names)}


def test_what_an_earlier_attempt_left_on_the_row_stays(journal_url: str) -> None:
    claim = claimed_job()
    journal.commit([Progress(claim.job_id, 1, claim.token, '{"done": 1, "total": 2}')])
    end(journal_url)

    journal.rescue(LIMIT)

    assert column(journal_url, claim.job_id, "progress") == {"done": 1, "total": 2}, "until the next attempt begins"


def test_a_rescue_is_bounded_and_the_rest_is_left_to_the_next(journal_url: str) -> None:
    jobs = sorted(claimed_job().job_id for _ in range(5))
    end(journal_url)

    taken = [journal.rescue(LIMIT, most=2) for _ in range(4)]

    assert [len(rescued) for rescued, _ in taken] == [2, 2, 1, 0]
    assert [job.job_id for rescued, _ in taken for job in sorted(rescued)] == jobs
    for _, hints in taken:
        assert [hint.stamp for hint in hints] == sorted(hint.stamp for hint in hints)


def test_each_dead_worker_gives_back_its_own(journal_url: str) -> None:
    claims = []
    for worker in (1, 2, 3):
        live_worker(worker)
        job_id = queued_job()
        claims.append(Claim(job_id, "PROBE", a_claim(job_id).token, worker, 2))
    journal.commit(claims)
    end(journal_url, worker=1)
    end(journal_url, worker=2, stopping=True)

    rescued, _ = journal.rescue(LIMIT)

    assert sorted(rescued) == sorted(
        [Rescued(claims[0].job_id, Event.RESCUED, 1), Rescued(claims[1].job_id, Event.INTERRUPTED, 2)]
    )
    assert journal.commit([outcome(claims[2])])[0][0].accepted
