"""``GET /jobs/{id}/explain``: one test for each reason."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import pytest
from falcon import testing

from jobplatform import journal
from jobplatform.journal import Cancel, Claim, Progress, Resubmit
from jobplatform.models import database
from jobplatform.states import Event
from tests.services.journal import (
    SUSPECT_FROM,
    WORKER,
    claimed_job,
    live_worker,
    new_job,
    open_jobs,
    outcome,
    queued_job,
    read,
    settle,
)
from tests.services.reading import reading_client


@pytest.fixture(autouse=True)
def _nobody_else(journal_url: str) -> None:
    read(journal_url, "TRUNCATE keepers, paused_queues")


@pytest.fixture
def client(journal_url: str, redis_url: str) -> Iterator[testing.TestClient]:
    with reading_client(journal_url, redis_url) as made:
        yield made


@pytest.fixture
def served(journal_url: str) -> None:
    """A worker that knows the type, and a keeper, are alive."""
    serve()
    read(journal_url, "INSERT INTO keepers (host, pid, started_at, ticked_at) VALUES ('here', 1, now(), now())")


def serve(number: int = 8_001, **columns: Any) -> None:
    live_worker(number, **{"queues": ["high", "default"], "types": ["PROBE"], "threads": 4, **columns})


def explained(client: testing.TestClient, job_id: str) -> dict[str, Any]:
    """Code → data; checks what is the same for all."""
    answer = client.simulate_get(f"/jobs/{job_id}/explain")
    assert answer.status_code == 200, answer.text
    assert answer.json["jobId"] == job_id
    assert answer.json["status"] == client.simulate_get(f"/jobs/{job_id}").json["status"]
    assert answer.json["summary"] == answer.json["reasons"][0]["message"]
    assert all(reason["message"].endswith(".") for reason in answer.json["reasons"])
    return {reason["code"]: reason["data"] for reason in answer.json["reasons"]}


def message(client: testing.TestClient, job_id: str, code: str) -> str:
    reasons = client.simulate_get(f"/jobs/{job_id}/explain").json["reasons"]
    (said,) = [str(reason["message"]) for reason in reasons if reason["code"] == code]
    return said


def scheduled_job(**given: Any) -> str:
    (opened,) = open_jobs(new_job(**given))
    return opened.id


@pytest.mark.usefixtures("served")
def test_a_scheduled_job_waits_for_its_time(client: testing.TestClient) -> None:
    job_id = scheduled_job(run_at=datetime.now(UTC) + timedelta(hours=1))

    reasons = explained(client, job_id)

    assert list(reasons) == ["scheduled"]
    assert 3_590 < reasons["scheduled"]["seconds"] <= 3_600
    assert reasons["scheduled"]["runAt"] == client.simulate_get(f"/jobs/{job_id}").json["runAt"]


@pytest.mark.usefixtures("served")
@pytest.mark.parametrize(
    ("away", "said"),
    [
        (timedelta(seconds=50), "in 50 s."),
        (timedelta(minutes=50), "in 50 min."),
        (timedelta(hours=30), "in 30 hours."),
        (timedelta(days=1_133), "in 1133 days."),
    ],
)
def test_a_time_far_off_is_said_as_people_say_it(client: testing.TestClient, away: timedelta, said: str) -> None:
    job_id = scheduled_job(run_at=datetime.now(UTC) + away)

    assert message(client, job_id, "scheduled").endswith(said)


@pytest.mark.usefixtures("served")
def test_a_job_that_is_due_waits_for_a_keeper(client: testing.TestClient) -> None:
    claim = claimed_job()
    settle(claim, Event.RETRY_PLANNED)

    assert list(explained(client, claim.job_id)) == ["retry-planned", "due"]


def test_without_a_keeper_nothing_that_is_due_is_released(client: testing.TestClient) -> None:
    serve()
    claim = claimed_job()
    settle(claim, Event.RETRY_PLANNED)

    assert list(explained(client, claim.job_id)) == ["retry-planned", "due", "no-keeper"]


@pytest.mark.usefixtures("served")
def test_a_retry_is_due_at_its_time_after_an_error_that_is_named(client: testing.TestClient) -> None:
    claim = claimed_job()
    error = '{"kind":"error","type":"OSError","message":"no route","traceback":null}'
    settle(claim, Event.RETRY_PLANNED, error=error, delay_ms=60_000)

    reasons = explained(client, claim.job_id)

    assert list(reasons) == ["retry-planned"]
    assert reasons["retry-planned"]["error"] == {"kind": "error", "type": "OSError", "message": "no route"}
    assert (reasons["retry-planned"]["attempt"], reasons["retry-planned"]["retries"]) == (1, 1)
    assert 50 < reasons["retry-planned"]["seconds"] <= 60
    assert "OSError: no route" in message(client, claim.job_id, "retry-planned")


@pytest.mark.usefixtures("served")
def test_a_paused_queue_holds_its_jobs(client: testing.TestClient, journal_url: str) -> None:
    job_id = queued_job()
    read(journal_url, "INSERT INTO paused_queues VALUES ('default', now(), 'ann', 'the bank is closed')")

    reasons = explained(client, job_id)

    assert list(reasons) == ["queue-paused", "next-in-queue"]
    assert reasons["queue-paused"] == {
        "queue": "default",
        "pausedAt": reasons["queue-paused"]["pausedAt"],
        "pausedBy": "ann",
        "reason": "the bank is closed",
    }
    assert message(client, job_id, "queue-paused") == "The queue default is paused by ann: the bank is closed."
    assert "queue-paused" not in explained(client, queued_job(queue="high"))


@pytest.mark.usefixtures("served")
@pytest.mark.parametrize(
    "hold_up",
    [
        "INSERT INTO paused_queues VALUES ('default', now(), 'ann', 'the bank is closed')",
        "UPDATE workers SET types = '{OTHER}'",
        "UPDATE workers SET queues = '{high}'",
    ],
)
def test_no_turn_is_promised_to_a_job_that_is_held_up(
    client: testing.TestClient, journal_url: str, hold_up: str
) -> None:
    claimed_job()
    first, second = queued_job(), queued_job()
    assert explained(client, first)["next-in-queue"]["estimatedSeconds"] == 0
    assert "a free worker takes it" in message(client, first, "next-in-queue")

    read(journal_url, hold_up)

    line = explained(client, first)["next-in-queue"]
    assert (line["ahead"], line["startedPerMinute"], line["estimatedSeconds"]) == (0, 1.0, None)
    assert message(client, first, "next-in-queue") == "It is the next of the queue default."
    assert explained(client, second)["ahead-in-queue"]["estimatedSeconds"] is None


def test_no_live_worker_serves_the_queue(client: testing.TestClient) -> None:
    serve(8_001, queues=["high"])
    serve(8_002, last_seen_at=datetime.now(UTC) - timedelta(minutes=1))
    serve(8_003, stopping_at=datetime.now(UTC))
    serve(8_004, ended_at=datetime.now(UTC))

    reasons = explained(client, queued_job())

    assert reasons["no-worker-for-queue"] == {"queue": "default", "workers": 2, "stopping": 1, "silent": 1}


def test_no_live_worker_knows_the_type(client: testing.TestClient) -> None:
    serve(types=["OTHER"])
    serve(8_002, queues=["high"])

    reasons = explained(client, queued_job())

    assert reasons["no-worker-for-type"]["type"] == "PROBE"
    assert reasons["no-worker-for-type"]["workersOfQueue"] == 1
    assert "no-worker-for-queue" not in reasons


@pytest.mark.usefixtures("served")
def test_redis_is_away(journal_url: str) -> None:
    with reading_client(journal_url, "redis://127.0.0.1:1") as client:
        reasons = explained(client, queued_job())

    assert list(reasons) == ["redis-away", "next-in-queue"]
    assert "ConnectionError" in reasons["redis-away"]["detail"]


@pytest.mark.usefixtures("served")
def test_a_hint_was_sent_again(client: testing.TestClient) -> None:
    job_id = queued_job()
    database.execute_sql("UPDATE jobs SET dispatched_at = dispatched_at - interval '1 hour'")
    journal.resend("default", datetime.now(UTC) - timedelta(minutes=1), 100)

    reasons = explained(client, job_id)

    assert list(reasons) == ["hint-resent", "next-in-queue"]
    assert reasons["hint-resent"]["resends"] == 1
    resent = client.simulate_get(f"/jobs/{job_id}/events").json["items"][-1]
    assert reasons["hint-resent"]["lastResentAt"] == resent["at"]


@pytest.mark.usefixtures("served")
def test_a_job_that_killed_its_workers_waits_to_run_alone(client: testing.TestClient, journal_url: str) -> None:
    job_id = queued_job()
    for attempt in range(SUSPECT_FROM):
        number = 9_000 + attempt
        live_worker(number)
        journal.commit([Claim(job_id, "PROBE", str(uuid4()), number, SUSPECT_FROM)])
        read(journal_url, "UPDATE workers SET ended_at = now(), died = true WHERE id = %s", [number])
        journal.rescue(3)

    reasons = explained(client, job_id)

    assert list(reasons) == ["suspect", "next-in-queue"]
    assert reasons["suspect"] == {"crashes": SUSPECT_FROM}
    assert reasons["next-in-queue"]["startedPerMinute"] > 0
    assert reasons["next-in-queue"]["estimatedSeconds"] is None


@pytest.mark.usefixtures("served")
def test_others_are_ahead_in_its_queue_and_it_moves_at_a_rate(client: testing.TestClient) -> None:
    for _ in range(6):
        claimed_job()
    for _ in range(3):
        queued_job()
    job_id = queued_job()
    queued_job()

    reasons = explained(client, job_id)

    assert list(reasons) == ["ahead-in-queue"]
    assert reasons["ahead-in-queue"] == {
        "queue": "default",
        "ahead": 3,
        "andMore": False,
        "startedPerMinute": 6.0,
        "estimatedSeconds": 30.0,
    }


@pytest.mark.usefixtures("served")
def test_more_are_ahead_than_are_counted(client: testing.TestClient, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("api.reasons.MOST_AHEAD", 2)
    queued_job()
    queued_job()
    job_id = queued_job()

    data = explained(client, job_id)["ahead-in-queue"]

    assert (data["ahead"], data["andMore"], data["estimatedSeconds"]) == (2, True, None)
    assert message(client, job_id, "ahead-in-queue").startswith("2+ jobs are before it in the queue default. None was")


@pytest.mark.usefixtures("served")
def test_the_high_queue_goes_first(client: testing.TestClient) -> None:
    job_id = queued_job()
    high = [queued_job(queue="high") for _ in range(2)]

    assert explained(client, job_id)["high-goes-first"] == {"queue": "high", "ahead": 2, "andMore": False}
    assert list(explained(client, high[0])) == ["next-in-queue"]


@pytest.mark.usefixtures("served")
def test_a_running_job_says_where_for_how_long_and_how_far(client: testing.TestClient) -> None:
    claim = claimed_job(options='{"time_limit": 5000}')
    journal.commit([Progress(claim.job_id, 1, claim.token, '{"done":1,"total":4}')])

    reasons = explained(client, claim.job_id)

    assert list(reasons) == ["running"]
    assert reasons["running"] == {
        "worker": f"here:1#{WORKER}",
        "attempt": 1,
        "startedAt": client.simulate_get(f"/jobs/{claim.job_id}").json["startedAt"],
        "seconds": reasons["running"]["seconds"],
        "timeLimitSeconds": 5.0,
        "progress": {"done": 1, "total": 4},
    }
    assert 0 <= reasons["running"]["seconds"] < 10


@pytest.mark.usefixtures("served")
def test_a_running_job_was_asked_to_stop(client: testing.TestClient) -> None:
    claim = claimed_job()
    journal.commit([Cancel(claim.job_id, who="ann", reason="too late")])

    reasons = explained(client, claim.job_id)

    assert list(reasons) == ["running", "cancel-requested"]
    assert (reasons["cancel-requested"]["who"], reasons["cancel-requested"]["reason"]) == ("ann", "too late")


@pytest.mark.usefixtures("served")
def test_a_running_job_says_how_the_attempt_before_it_ended(client: testing.TestClient) -> None:
    failed, interrupted, cancelled = claimed_job(), claimed_job(), claimed_job()
    error = '{"kind":"error","type":"OSError","message":"no \\u0000 route","traceback":null}'
    settle(failed, Event.RETRY_PLANNED, error=error)
    settle(interrupted, Event.INTERRUPTED)
    journal.commit([Cancel(cancelled.job_id)])
    settle(cancelled, Event.CANCELLED)
    journal.commit([Resubmit(cancelled.job_id)])
    database.execute_sql("UPDATE jobs SET run_at = now() WHERE status = 'retrying'")
    journal.release(10)
    for job_id in (failed.job_id, interrupted.job_id, cancelled.job_id):
        journal.commit([Claim(job_id, "PROBE", str(uuid4()), WORKER, SUSPECT_FROM)])

    reasons = explained(client, failed.job_id)

    assert list(reasons) == ["running", "earlier-attempt"]
    assert reasons["earlier-attempt"] == {
        "attempt": 1,
        "event": "retry_planned",
        "at": reasons["earlier-attempt"]["at"],
        "error": {"kind": "error", "type": "OSError", "message": "no \0 route"},
    }
    assert message(client, failed.job_id, "earlier-attempt").startswith("Attempt 1 failed: OSError: no ")
    assert explained(client, interrupted.job_id)["earlier-attempt"]["error"] is None
    assert message(client, interrupted.job_id, "earlier-attempt").startswith("Attempt 1 was interrupted")
    assert message(client, cancelled.job_id, "earlier-attempt") == "Attempt 1 was cancelled."


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ("last_seen_at = now() - interval '1 min'", "worker-silent"),
        ("stopping_at = now()", "worker-stopping"),
        ("ended_at = now()", "worker-gone"),
    ],
)
def test_a_running_job_s_worker_is_in_trouble(
    client: testing.TestClient, journal_url: str, change: str, code: str
) -> None:
    claim = claimed_job()
    read(journal_url, f"UPDATE workers SET {change} WHERE id = {WORKER}")

    assert list(explained(client, claim.job_id)) == ["running", code]


def test_a_completed_job_is_done(client: testing.TestClient) -> None:
    claim = claimed_job()
    settle(claim)

    reasons = explained(client, claim.job_id)

    assert list(reasons) == ["completed"]
    assert reasons["completed"]["attempts"] == 1
    assert reasons["completed"]["finishedAt"] == client.simulate_get(f"/jobs/{claim.job_id}").json["finishedAt"]


def test_a_failed_job_names_its_error(client: testing.TestClient) -> None:
    claim = claimed_job()
    settle(claim, Event.FAILED, error='{"kind":"time_limit","type":null,"message":"It took too long."}')

    reasons = explained(client, claim.job_id)

    assert list(reasons) == ["failed"]
    assert reasons["failed"]["error"] == {"kind": "time_limit", "type": None, "message": "It took too long."}
    assert message(client, claim.job_id, "failed") == (
        "It failed for good after 1 attempt: time_limit: It took too long."
    )


def test_a_cancelled_job_names_who_called_it_off_and_why(client: testing.TestClient) -> None:
    waiting, running = queued_job(), claimed_job()
    journal.commit([Cancel(waiting, who="ann", reason="a mistake"), Cancel(running.job_id, who="bob")])
    journal.commit([outcome(running, Event.INTERRUPTED)])

    assert list(explained(client, waiting)) == ["cancelled"]
    assert message(client, waiting, "cancelled") == "It was cancelled by ann: a mistake."
    assert message(client, running.job_id, "cancelled") == "It was cancelled by bob."


def test_a_job_that_does_not_exist_cannot_be_explained(client: testing.TestClient) -> None:
    assert client.simulate_get(f"/jobs/{uuid4()}/explain").status_code == 404
    assert client.simulate_get("/jobs/counts/explain").status_code == 404
