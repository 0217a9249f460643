"""A real `dramatiq` when things go wrong around it, and inside: nothing accepted is lost, nothing runs unrecorded."""

import os
import sysconfig
from collections.abc import Iterator
from pathlib import Path
from signal import SIGCONT, SIGKILL, SIGSTOP, SIGTERM

import pytest
import redis

from jobplatform.local.postgres import Postgres
from jobplatform.local.valkey import Valkey
from tests.services.fleet import Fleet
from tests.services.journal import read
from tests.services.patience import eventually
from tests.services.processes import Processes


@pytest.fixture
def fleet(database_url: str, redis_url: str, processes: Processes, tmp_path: Path) -> Iterator[Fleet]:
    yield Fleet(database_url, redis_url, processes, tmp_path)
    for pid in processes.left():
        os.kill(pid, SIGKILL)  # an orderly end is proved here and there, and takes three seconds


def test_a_stopping_worker_interrupts_what_wants_to_hear_of_it_and_burns_no_retry(fleet: Fleet) -> None:
    worker = fleet.start()
    job_id = fleet.submit("LONG", options={"max_retries": 0})
    fleet.until(job_id, "running")

    worker.signal(SIGTERM)
    assert worker.wait(20) == 0
    assert fleet.history(job_id) == ["enqueued", "started", "interrupted"]

    fleet.start()
    assert fleet.finish(job_id) == ["completed"]
    assert (fleet.column(job_id, "result"), fleet.column(job_id, "retries")) == (2, 0)
    assert fleet.read("SELECT count(*) FROM workers WHERE ended_at IS NOT NULL AND stopping_at IS NOT NULL") == [(1,)]


def test_a_stopping_worker_ends_what_it_has_begun_and_leaves_the_rest(fleet: Fleet) -> None:
    patient = {"RESEND_GRACE": "60000"}
    worker = fleet.start("-t", "1", **patient)
    begun, *rest = fleet.submit_many(1, "STUBBORN", {"seconds": 1}) + fleet.submit_many(3, "ECHO")
    fleet.until(begun, "running")

    worker.signal(SIGTERM)
    assert worker.wait(20) == 0

    assert fleet.status(begun) == "completed"
    assert {fleet.status(job_id) for job_id in rest} == {"queued"}
    fleet.start(**patient)
    assert fleet.finish(*rest) == ["completed"] * 3
    assert fleet.history(rest[0]) == ["enqueued", "started", "completed"], "its hint was given back, not lost"


_ORPHANING = """
import os

from jobplatform import actor
from jobplatform.lifeline import Lifeline

@actor("NOTHING")
def nothing() -> None: ...

make = Lifeline.__init__

def make_as_orphan(*args, **options):
    master = os.getppid()
    os.kill(master, 9)
    while os.getppid() == master: pass
    make(*args, **options)

Lifeline.__init__ = make_as_orphan
"""


def test_p23_a_worker_whose_master_died_while_it_was_starting_ends_too(
    database_url: str, redis_url: str, processes: Processes, tmp_path: Path
) -> None:
    """Its main thread waits for ever then for the master to hear that it is ready."""
    (tmp_path / "orphaning.py").write_text(_ORPHANING)
    master = processes.start(
        Path(sysconfig.get_path("scripts")) / "dramatiq",
        *("jobplatform.worker", "-p", "1", "-t", "1"),
        environment={
            "DATABASE_URL": database_url,
            "REDIS_URL": redis_url,
            "ACTORS": "orphaning",
            "SHUTDOWN_GRACE": "100",
        },
        folder=tmp_path,
    )

    assert master.wait(20) == -SIGKILL, master.output
    eventually(lambda: read(database_url, "SELECT 1 FROM workers"), what="the worker on record")
    eventually(
        lambda: read(database_url, "SELECT 1 FROM workers WHERE ended_at IS NOT NULL AND NOT died"),
        what="the end of a worker that nobody told to end",
    )
    eventually(lambda: processes.left() == [], what="the end of its process")


def test_a_log_that_nobody_reads_holds_up_no_job_and_no_beat(fleet: Fleet) -> None:
    """As where the dramatiq master waits for another of its workers, which was killed as it started."""
    master = fleet.start()
    master.signal(SIGSTOP)
    try:
        assert fleet.finish(fleet.submit("LOGGING", {"lines": 3_000})) == ["completed"]
        assert fleet.finish(fleet.submit("HOPELESS")) == ["failed"], "which is logged by Dramatiq"
        ((then,),) = fleet.read("SELECT now()")
        eventually(
            lambda: fleet.read(f"SELECT 1 FROM workers WHERE ended_at IS NULL AND last_seen_at > '{then}'"),
            what="a beat",
        )
    finally:
        master.signal(SIGCONT)

    master.wait_for("line 3000 of 3000")
    assert sum("of 3000" in line for line in master.lines) == 3_000
    assert master.stop() == 0
    assert "Worker has been shut down." in master.output


def test_p24_after_redis_lost_everything_every_job_runs(fleet: Fleet) -> None:
    fleet.start("-t", "1")
    blocker = fleet.submit("STUBBORN", {"seconds": 0.5})
    fleet.until(blocker, "running")
    jobs = fleet.submit_many(20, "ECHO")
    with redis.Redis.from_url(fleet.redis_url) as client:
        client.flushall()

    assert fleet.finish(*jobs) == ["completed"] * 20

    assert "resent" in fleet.history(jobs[-1])


def test_p26_redis_away_for_a_while_delays_jobs_and_loses_none(fleet: Fleet, redis_server: Valkey) -> None:
    worker = fleet.start()
    running = fleet.submit("STUBBORN", {"seconds": 1})
    fleet.until(running, "running")
    redis_server.stop()
    with_redis_away = [fleet.submit_while_redis_is_away("ECHO") for _ in range(3)]
    fleet.finish(running)
    redis_server.start()

    assert fleet.finish(*with_redis_away) == ["completed"] * 3

    assert fleet.history(running) == ["enqueued", "started", "completed"]
    assert worker.running


def test_p26_a_redis_that_hangs_delays_jobs_and_loses_none(fleet: Fleet, redis_server: Valkey) -> None:
    worker = fleet.start()
    fleet.finish(fleet.submit("ECHO"))
    redis_server.signal(SIGSTOP)
    try:
        job_id = fleet.submit_while_redis_is_away("ECHO")
        flaky = fleet.submit_while_redis_is_away("FLAKY", delay_ms=100)
        eventually(lambda: fleet.status(flaky) == "queued", what="the keeper's work, which goes on")
    finally:
        redis_server.signal(SIGCONT)

    assert fleet.finish(job_id, flaky) == ["completed"] * 2
    assert worker.running


def test_p4_an_outcome_waits_for_postgres_and_is_written_once(fleet: Fleet, postgres_server: Postgres) -> None:
    worker = fleet.start()
    jobs = [fleet.submit("STUBBORN", {"seconds": 0.5}), fleet.submit("FLAKY", {"failures": 1})]
    fleet.finish(jobs[1])
    fleet.until(jobs[0], "running", "completed")
    postgres_server.stop()
    worker.wait_for("cannot")
    postgres_server.start()

    assert fleet.finish(*jobs) == ["completed"] * 2
    assert fleet.history(jobs[0]) == ["enqueued", "started", "completed"]
    assert fleet.finish(fleet.submit("ECHO")) == ["completed"]
    assert worker.running


def test_p5_sessions_ended_by_an_operator_are_a_matter_of_moments(fleet: Fleet) -> None:
    worker = fleet.start("-t", "4")
    jobs = fleet.submit_many(150, "NAP")
    for _ in range(10):
        fleet.read(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            " WHERE datname = current_database() AND application_name = 'jobplatform'"
        )

    assert set(fleet.finish(*jobs)) == {"completed"}

    assert fleet.read("SELECT DISTINCT attempts FROM jobs") == [(1,)]
    assert worker.running


@pytest.mark.parametrize("type", ["KILL_THREAD", "KILL_WRITER"])
def test_p23_a_process_that_lost_a_thread_ends_to_be_started_again(fleet: Fleet, type: str) -> None:  # noqa: A002
    worker = fleet.start("-t", "2")
    fleet.submit(type)

    worker.wait_for("The worker lost a thread")
    worker.wait(20)

    fleet.start()
    assert fleet.finish(fleet.submit("ECHO")) == ["completed"]


def test_p24_what_a_killed_worker_had_fetched_and_not_begun_runs_elsewhere(fleet: Fleet) -> None:
    worker = fleet.start("-t", "1")
    begun = fleet.submit("STUBBORN", {"seconds": 30})
    fleet.until(begun, "running")
    fetched = fleet.submit_many(2, "ECHO")
    with redis.Redis.from_url(fleet.redis_url) as client:
        eventually(lambda: client.llen("dramatiq:default") <= 1, what="its prefetch")
    ((pid,),) = fleet.read("SELECT w.pid FROM workers w JOIN jobs j ON j.worker = w.id")
    os.kill(pid, SIGKILL)
    assert worker.wait(20) == 1

    fleet.start()

    assert fleet.finish(*fetched) == ["completed"] * 2


def test_p14_each_worker_does_what_it_knows_and_no_job_ends_as_a_dead_letter(fleet: Fleet) -> None:
    (fleet.folder / "others.py").write_text(
        "from jobplatform import actor\n\n@actor('OTHER')\ndef other() -> str:\n    return 'elsewhere'\n"
    )
    fleet.start()
    other, echo = fleet.submit("OTHER"), fleet.submit("ECHO")
    fleet.finish(echo)
    with redis.Redis.from_url(fleet.redis_url) as client:
        eventually(lambda: not client.exists("dramatiq:default"), what="the acknowledgement of the unknown")
        assert not client.keys("*XQ*")
    assert fleet.status(other) == "queued"

    fleet.start(actors="others")

    assert fleet.finish(other) == ["completed"]


def test_a_module_of_ones_own_outside_the_repository_runs_its_job(fleet: Fleet) -> None:
    package = fleet.folder / "mine"
    package.mkdir()
    (package / "__init__.py").write_text("")
    (package / "greeting.py").write_text(
        """
from typing import Annotated
from msgspec import Meta
from jobplatform import actor, current_job

@actor("GREETING", max_retries=3, min_backoff=1_000, time_limit=60_000)
def greeting(name: Annotated[str, Meta(min_length=1)], shout: bool = False) -> dict[str, str]:
    current_job().progress(1, 1)
    return {"text": f"Hello {name}"}
"""
    )
    fleet.start(actors="mine.greeting,tests.actors.probes")

    jobs = [fleet.submit("GREETING", {"name": "Ada"}), fleet.submit("ECHO")]

    assert fleet.finish(*jobs) == ["completed"] * 2
    assert fleet.column(jobs[0], "result") == {"text": "Hello Ada"}


@pytest.mark.parametrize(
    ("environment", "line"),
    [
        ({"ACTORS": "no_such_module"}, "ACTORS names the module no_such_module, which cannot be found."),
        ({"DATABASE_URL": ""}, "A worker needs DATABASE_URL and REDIS_URL."),
        ({"MAX_RETRIES": "many"}, "MAX_RETRIES is 'many'"),
    ],
)
def test_a_worker_that_cannot_work_says_why_and_ends(fleet: Fleet, environment: dict[str, str], line: str) -> None:
    worker = fleet.launch(**environment)

    worker.wait_for(line)
    assert worker.wait(20) != 0


@pytest.mark.parametrize("threads", [1, 4])
def test_high_goes_first_within_a_worker(fleet: Fleet, threads: int) -> None:
    """Both queues are full when it starts: no default job begins before the last high one has begun."""
    default = fleet.submit_many(60, "ECHO")
    high = fleet.submit_many(60, "ECHO", queue="high")
    fleet.start("-t", str(threads))

    assert set(fleet.finish(*default, *high)) == {"completed"}

    started = [i for (i,) in fleet.read("SELECT job_id::text FROM transitions WHERE event = 'started' ORDER BY at, id")]
    assert set(started[:60]) == set(high)


def test_several_processes_and_both_queues_run_each_job_once(fleet: Fleet) -> None:
    fleet.start("-p", "2", "-t", "4")
    jobs = fleet.submit_many(150, "ECHO") + fleet.submit_many(150, "NAP", {"seconds": 0.001}, queue="high")

    assert set(fleet.finish(*jobs)) == {"completed"}

    assert fleet.read("SELECT count(*), max(attempts) FROM jobs") == [(300, 1)]
    assert fleet.read("SELECT count(DISTINCT worker) FROM transitions WHERE event = 'started'") == [(2,)]


def test_high_and_default_together_are_done_without_a_stall(fleet: Fleet) -> None:
    """What holds default work back is the next fetch of high work, which takes no time where there is none."""
    jobs = [
        job_id
        for _ in range(20)
        for queue in ("default", "high")
        for job_id in fleet.submit_many(20, "ECHO", queue=queue)
    ]
    fleet.start("-t", "4")
    fleet.finish(*jobs)

    # A slow machine makes every pause a little longer; a stall at each fetch makes twenty of them long.
    ((stalls,),) = fleet.read(
        "SELECT count(*) FROM (SELECT started_at - lag(started_at) OVER (ORDER BY started_at) AS pause FROM jobs) AS p"
        " WHERE pause > interval '0.5 s'"
    )
    assert stalls < 5
