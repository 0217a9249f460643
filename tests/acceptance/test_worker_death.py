"""Workers that are killed, frozen or told to stop, as real processes: their jobs run elsewhere, in seconds."""

import os
import sysconfig
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from signal import SIGCONT, SIGKILL, SIGSTOP, SIGTERM, Signals
from typing import Any

import pytest
import redis

from jobplatform.hints import HintSender
from jobplatform.journal import Hint, workers
from tests.services.journal import connected, history, new_job, open_jobs, read
from tests.services.patience import eventually
from tests.services.processes import Process, Processes

#: The first attempt takes a minute, unless it is cut short; any later one, no time.
_ACTORS = """
import time
from jobplatform import actor, current_job

@actor("LONG_ONCE")
def long_once() -> int:
    current_job().log(f"attempt {current_job().attempt} begins")
    until = time.monotonic() + (60 if current_job().attempt == 1 else 0)
    while time.monotonic() < until:
        time.sleep(0.02)
    return current_job().attempt

@actor("QUICK")
def quick() -> str:
    return "done"
"""


class Groups:
    """Groups of workers on one database: a master each, with one worker process."""

    def __init__(self, processes: Processes, folder: Path, database_url: str, redis_url: str) -> None:
        (folder / "death_actors.py").write_text(_ACTORS)
        self.url = database_url
        self._processes = processes
        self._folder = folder
        self._redis_url = redis_url

    def start(self, **variables: str) -> tuple[Process, int, int]:
        """A group that is on record: its master, its worker's process, and its number."""
        known = {number for number, _ in self.on_record()}
        environment = {
            "DATABASE_URL": self.url,
            "REDIS_URL": self._redis_url,
            "OUTPUT_DIR": str(self._folder / "output"),
            "ACTORS": "death_actors",
            "PYTHONPATH": str(self._folder),
            **variables,
        }
        program = Path(sysconfig.get_path("scripts")) / "dramatiq"
        words = ("jobplatform.worker", "-p", "1", "-t", "4")
        master = self._processes.start(program, *words, environment=environment, folder=self._folder)
        ((number, pid),) = eventually(
            lambda: [one for one in self.on_record() if one[0] not in known], 30, "the group's worker on record"
        )
        return master, pid, number

    def on_record(self) -> list[tuple[int, int]]:
        """Numbers and processes of the workers that live, once they have beaten."""
        alive = "SELECT id, pid FROM workers WHERE ended_at IS NULL AND memory IS NOT NULL"
        return [(number, pid) for number, pid in read(self.url, alive)]

    def submit(self, type: str, number: int = 1) -> list[str]:  # noqa: A002
        """So many jobs, on record and with their hints sent."""
        with connected(self.url):
            opened = open_jobs(*[new_job(type=type, payload="{}") for _ in range(number)])
            read(self.url, "DELETE FROM workers WHERE broker = 'none'")
        with closing(redis.Redis.from_url(self._redis_url)) as client:
            assert HintSender(client).send([Hint(job.id, type, "default", 1) for job in opened])
        return [job.id for job in opened]

    def until(self, status: str, job_ids: list[str], seconds: float = 30) -> None:
        count = "SELECT count(*) FROM jobs WHERE status = %s AND id = ANY(%s::uuid[])"
        eventually(
            lambda: read(self.url, count, [status, job_ids]) == [(len(job_ids),)],
            seconds,
            f"{status} of {[history(self.url, job_id) for job_id in job_ids]}",
        )

    def signal(self, pid: int, number: Signals) -> Any:
        """Signal one process. Returns the time by the database's clock."""
        ((at,),) = read(self.url, "SELECT clock_timestamp()")
        os.kill(pid, number)
        return at

    def seconds_until_second_start(self, at: Any) -> float:
        """From then until the last job ran elsewhere."""
        later = (
            "SELECT extract(epoch FROM max(at) - %s)::float8 FROM transitions WHERE event = 'started' AND attempt = 2"
        )
        ((seconds,),) = read(self.url, later, [at])
        return float(seconds)


@pytest.fixture
def groups(processes: Processes, tmp_path: Path, database_url: str, redis_url: str) -> Iterator[Groups]:
    with connected(database_url):
        read(database_url, "DELETE FROM workers")
        eventually(
            lambda: workers.seconds_since_postgres_started() > 15, what="a Postgres whose silence means something"
        )
    yield Groups(processes, tmp_path, database_url, redis_url)
    processes.stop_all()


def test_p17_the_jobs_of_a_killed_worker_run_elsewhere_within_seconds(groups: Groups) -> None:
    _, pid, dead = groups.start()
    jobs = groups.submit("LONG_ONCE", 4)
    groups.until("running", jobs)
    _, _, alive = groups.start()

    killed_at = groups.signal(pid, SIGKILL)
    groups.until("completed", jobs)

    took = groups.seconds_until_second_start(killed_at)
    print(f"All four ran elsewhere {took:.2f} s after the kill.")
    assert took < 8
    for job_id in jobs:
        assert history(groups.url, job_id) == ["enqueued", "started", "rescued", "started", "completed"]
    again = "SELECT DISTINCT worker FROM transitions WHERE event = 'started' AND attempt = 2"
    assert read(groups.url, again) == [(alive,)]
    assert read(groups.url, "SELECT id FROM workers WHERE died") == [(dead,)]
    boxes = read(groups.url, "SELECT detail->'death' FROM transitions WHERE event = 'rescued'")
    for (box,) in boxes:
        assert (box["pid"], box["lastLines"]) == (pid, ["attempt 1 begins"])
        assert box["peakMemoryBytes"] > 10_000_000


def test_p18_a_frozen_worker_is_fenced_and_goes_on_under_a_new_number(groups: Groups) -> None:
    """It holds its lock all the while: only its silence tells."""
    _, pid, frozen = groups.start(FROZEN_AFTER="5000")
    (job_id,) = groups.submit("LONG_ONCE")
    groups.until("running", [job_id])
    other, _, _ = groups.start(FROZEN_AFTER="5000")

    stopped_at = groups.signal(pid, SIGSTOP)
    try:
        groups.until("completed", [job_id])
    finally:
        os.kill(pid, SIGCONT)
    took = groups.seconds_until_second_start(stopped_at)
    print(f"It ran elsewhere {took:.2f} s after the freeze.")
    assert 4 < took < 12

    eventually(lambda: history(groups.url, job_id)[-1] == "fenced", what="the ghost's outcome")
    ((new,),) = eventually(
        lambda: read(groups.url, "SELECT id FROM workers WHERE pid = %s AND ended_at IS NULL", [pid]),
        what="its new number",
    )
    other.stop()
    (next_job,) = groups.submit("QUICK")
    groups.until("completed", [next_job])

    assert history(groups.url, job_id) == ["enqueued", "started", "rescued", "started", "completed", "fenced"]
    assert read(groups.url, "SELECT result FROM jobs WHERE id = %s", [job_id]) == [(2,)]
    assert new > frozen
    ran = "SELECT worker FROM transitions WHERE job_id = %s AND event = 'started'"
    assert read(groups.url, ran, [next_job]) == [(new,)]


def test_p21_what_a_stopping_worker_cannot_finish_runs_elsewhere_at_once(groups: Groups) -> None:
    master, _, stopping = groups.start(SHUTDOWN_GRACE="500")
    jobs = groups.submit("LONG_ONCE", 4)
    groups.until("running", jobs)
    groups.start()

    told_at = groups.signal(master.pid, SIGTERM)
    groups.until("completed", jobs)

    took = groups.seconds_until_second_start(told_at)
    print(f"All four ran elsewhere {took:.2f} s after SIGTERM, half a second of which was their grace.")
    assert 0.4 < took < 5
    assert master.wait() == 0
    for job_id in jobs:
        assert history(groups.url, job_id) == ["enqueued", "started", "interrupted", "started", "completed"]
    assert read(groups.url, "SELECT DISTINCT attempts, retries, crashes FROM jobs") == [(2, 0, 0)]
    assert read(groups.url, "SELECT died, ended_at IS NULL FROM workers WHERE id = %s", [stopping]) == [(False, False)]


def test_p21_a_stopping_worker_that_is_killed_has_not_crashed(groups: Groups) -> None:
    """A container's grace has run out, say."""
    master, pid, stopping = groups.start()
    (job_id,) = groups.submit("LONG_ONCE")
    groups.until("running", [job_id])
    groups.start()
    groups.signal(master.pid, SIGTERM)
    eventually(lambda: read(groups.url, "SELECT 1 FROM workers WHERE id = %s AND stopping_at < now()", [stopping]))

    groups.signal(pid, SIGKILL)
    groups.until("completed", [job_id])

    assert history(groups.url, job_id) == ["enqueued", "started", "interrupted", "started", "completed"]
    assert read(groups.url, "SELECT attempts, retries, crashes FROM jobs") == [(2, 0, 0)]
