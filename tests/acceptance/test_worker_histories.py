"""The lives of jobs under a real `dramatiq`, with all of an actor's options: exactly as the table of events says."""

import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from jobplatform.local.postgres import Postgres
from jobplatform.local.valkey import Valkey
from tests.services.databases import fresh_database
from tests.services.fleet import Fleet
from tests.services.invariants import assert_sound
from tests.services.processes import Processes

_AGAIN = ["retry_planned", "released", "started"]


@pytest.fixture(scope="module")
def fleet(postgres_server: Postgres, redis_server: Valkey) -> Iterator[Fleet]:
    """One worker for all tests of this module: what they do, they do to their own jobs."""
    processes = Processes()
    with fresh_database(postgres_server) as url, tempfile.TemporaryDirectory() as folder:
        fleet = Fleet(url, redis_server.url, processes, Path(folder))
        try:
            fleet.start("-t", "4")
            yield fleet
        finally:
            processes.stop_all()
        assert_sound(url)


def errors_of(fleet: Fleet, job_id: str) -> list[dict[str, Any]]:
    found = fleet.read("SELECT detail->'error' FROM transitions WHERE job_id = %s ORDER BY id", job_id)
    return [error for (error,) in found if error]


@pytest.mark.parametrize("queue", ["high", "default"])
def test_a_job_that_succeeds(fleet: Fleet, queue: str) -> None:
    job_id = fleet.submit("ECHO", {"value": [1, {"b": 2, "a": "é"}]}, queue=queue)

    assert fleet.finish(job_id) == ["completed"]

    assert fleet.history(job_id) == ["enqueued", "started", "completed"]
    assert fleet.column(job_id, "result") == [1, {"b": 2, "a": "é"}]
    ((worker, version),) = fleet.read(
        "SELECT w.pid, w.version FROM transitions t JOIN workers w ON w.id = t.worker WHERE t.event = 'started'"
        " AND t.job_id = %s",
        job_id,
    )
    assert worker > 0
    assert version


def test_a_job_that_fails_twice_and_then_succeeds(fleet: Fleet) -> None:
    job_id = fleet.submit("FLAKY", {"failures": 2})

    assert fleet.finish(job_id) == ["completed"]

    assert fleet.history(job_id) == ["enqueued", "started", *_AGAIN, *_AGAIN, "completed"]
    assert [error["message"] for error in errors_of(fleet, job_id)] == ["attempt 1", "attempt 2"]
    assert (fleet.column(job_id, "result"), fleet.column(job_id, "error")) == (3, None)


def test_a_job_that_always_fails(fleet: Fleet) -> None:
    job_id = fleet.submit("HOPELESS")

    assert fleet.finish(job_id) == ["failed"]

    assert fleet.history(job_id) == ["enqueued", "started", *_AGAIN, *_AGAIN, "failed"]
    error = fleet.column(job_id, "error")
    assert (error["kind"], error["type"], error["message"]) == ("error", "Trouble", "always")


def test_a_job_that_throws_what_no_retry_would_help_against(fleet: Fleet) -> None:
    job_id = fleet.submit("THROWING")

    assert fleet.finish(job_id) == ["failed"]

    assert fleet.history(job_id) == ["enqueued", "started", "failed"]
    assert fleet.column(job_id, "error")["type"] == "GiveUp"


def test_a_job_delayed_by_three_seconds(fleet: Fleet) -> None:
    job_id = fleet.submit("ECHO", delay_ms=3_000)

    assert fleet.finish(job_id) == ["completed"]

    assert fleet.history(job_id) == ["scheduled", "released", "started", "completed"]
    ((late,),) = fleet.read("SELECT extract(epoch FROM started_at - run_at)::float FROM jobs WHERE id = %s", job_id)
    assert 0 <= late < 2, "never early, and soon"


def test_the_actors_max_retries_and_back_off(fleet: Fleet) -> None:
    job_id = fleet.submit("RETRIED_ONCE")

    assert fleet.finish(job_id) == ["failed"]

    assert fleet.history(job_id) == ["enqueued", "started", *_AGAIN, "failed"]
    ((pause,),) = fleet.read(
        "SELECT extract(epoch FROM (detail->>'run_at')::timestamptz - at)::float FROM transitions"
        " WHERE job_id = %s AND event = 'retry_planned'",
        job_id,
    )
    assert 0.2 <= pause <= 0.4, "with jitter"


@pytest.mark.parametrize(("options", "attempts"), [({"max_retries": 0}, 1), ({"max_retries": 4}, 5)])
def test_the_jobs_own_max_retries(fleet: Fleet, options: dict[str, int], attempts: int) -> None:
    job_id = fleet.submit("HOPELESS", options=options)

    assert fleet.finish(job_id) == ["failed"]

    assert fleet.column(job_id, "attempts") == attempts


@pytest.mark.parametrize(("final", "attempts"), [(True, 1), (False, 2)])
def test_retry_when_decides(fleet: Fleet, final: bool, attempts: int) -> None:
    job_id = fleet.submit("PICKY", {"final": final})

    assert fleet.finish(job_id) == ["failed"]

    assert fleet.column(job_id, "attempts") == attempts


def test_an_actor_that_asks_for_another_attempt(fleet: Fleet) -> None:
    job_id = fleet.submit("ASKING", {"delay": 100})

    assert fleet.finish(job_id) == ["completed"]

    assert fleet.history(job_id) == ["enqueued", "started", *_AGAIN, "completed"]


def test_the_time_limit(fleet: Fleet) -> None:
    job_id = fleet.submit("SLOW")

    assert fleet.finish(job_id) == ["failed"]

    assert fleet.history(job_id) == ["enqueued", "started", "failed"]
    assert fleet.column(job_id, "error")["kind"] == "time_limit"


def test_max_age(fleet: Fleet) -> None:
    young, old = fleet.submit("AGED"), fleet.submit("AGED", delay_ms=100, options={"max_age": 50})

    assert fleet.finish(young, old) == ["completed", "failed"]

    assert fleet.history(old) == ["scheduled", "released", "started", "failed"]
    assert fleet.column(old, "error")["kind"] == "expired"


def test_p13_on_success_gets_what_the_actor_returned(fleet: Fleet) -> None:
    job_id = fleet.submit("WITH_SUCCESS", {"value": {"n": 1}})
    fleet.finish(job_id)
    (follow_up,) = _follow_ups(fleet, job_id)

    assert fleet.finish(follow_up) == ["completed"]

    assert fleet.column(follow_up, "result") == {"of": job_id, "outcome": {"n": 1}}
    assert fleet.history(follow_up) == ["enqueued", "started", "completed"]


def test_p13_on_failure_of_each_attempt_and_on_retry_exhausted_of_the_last(fleet: Fleet) -> None:
    job_id = fleet.submit("WITH_FAILURE")
    fleet.finish(job_id)
    follow_ups = _follow_ups(fleet, job_id)

    assert fleet.finish(*follow_ups) == ["completed"] * 3

    outcomes = [fleet.column(i, "result")["outcome"] for i in follow_ups]
    assert outcomes.count({"type": "Trouble", "message": "told on"}) == 2
    assert outcomes.count({"retries": 1, "max_retries": 1}) == 1


def _follow_ups(fleet: Fleet, job_id: str) -> list[str]:
    found = fleet.read(
        "SELECT id::text FROM jobs WHERE type = 'AFTERWARDS' AND payload->'message'->>'message_id' = %s", job_id
    )
    return [i for (i,) in found]


@pytest.mark.parametrize(("swallows", "end"), [(False, "cancelled"), (True, "completed")])
def test_p15_a_running_job_that_is_called_off(fleet: Fleet, swallows: bool, end: str) -> None:
    job_id = fleet.submit("CANCELLABLE", {"swallows": swallows})
    fleet.until(job_id, "running")
    fleet.cancel(job_id)

    assert fleet.finish(job_id) == [end]

    assert fleet.history(job_id) == ["enqueued", "started", "cancel_requested", end]


def test_p15_a_job_that_is_called_off_while_it_waits_for_its_retry(fleet: Fleet) -> None:
    job_id = fleet.submit("FLAKY", options={"min_backoff": 60_000, "max_backoff": 60_000})
    fleet.until(job_id, "retrying")
    fleet.cancel(job_id)

    assert fleet.history(job_id) == ["enqueued", "started", "retry_planned", "cancelled"]


def test_what_a_job_says_of_itself(fleet: Fleet) -> None:
    job_id = fleet.submit("TALKING", {"lines": ["one", "two", "three"]})

    assert fleet.finish(job_id) == ["completed"]

    assert fleet.column(job_id, "progress") == {"done": 3, "total": 3}
    lines = fleet.read("SELECT text FROM job_logs WHERE job_id = %s ORDER BY id", job_id)
    assert [text for (text,) in lines] == ["one", "two", "three"]


def test_p27_the_file_of_a_second_attempt(fleet: Fleet) -> None:
    job_id = fleet.submit("WRITING", {"failures": 1})

    assert fleet.finish(job_id) == ["completed"]

    path = Path(fleet.column(job_id, "result")["filePath"])
    assert path == fleet.folder / "output" / f"{job_id}.2.txt"
    assert path.read_text() == "attempt 2"


def test_a_payload_that_the_actor_does_not_take(fleet: Fleet) -> None:
    job_id = fleet.submit("ECHO", {"volume": 11})

    assert fleet.finish(job_id) == ["failed"]

    assert fleet.column(job_id, "error")["kind"] == "invalid_payload"
    assert "volume" in fleet.column(job_id, "error")["message"]


def test_many_jobs_at_once_each_run_once(fleet: Fleet) -> None:
    jobs = fleet.submit_many(300, "ECHO", {"value": 1})

    assert set(fleet.finish(*jobs)) == {"completed"}

    ((started,),) = fleet.read(
        "SELECT count(*) FROM transitions WHERE event = 'started' AND job_id = ANY(%s::uuid[])", jobs
    )
    assert started == 300


def test_an_idle_worker_wakes_at_once(fleet: Fleet) -> None:
    """Its wait at the empty list would last a second; the times between are those of single milliseconds."""
    pauses = []
    for _ in range(7):
        fleet.finish(job_id := fleet.submit("ECHO"))
        pauses.append(fleet.column(job_id, "extract(epoch FROM started_at - created_at)::float"))

    assert sorted(pauses)[3] < 0.25, pauses
