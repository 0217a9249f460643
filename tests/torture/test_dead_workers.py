"""Workers that die, seem dead, or kill themselves with a job."""

import os
import time
from signal import SIGCONT, SIGKILL, SIGSTOP

from tests.torture.conftest import StartPlatform


def test_jobs_of_a_killed_worker_run_elsewhere_within_five_seconds(start_platform: StartPlatform) -> None:
    platform = start_platform()
    platform.settle_postgres()
    job_id = platform.submit("PROBE_LONG", seconds=2)
    pid = platform.running_in(job_id)

    killed_at = time.time()
    os.kill(pid, SIGKILL)
    platform.wait_for("completed", job_id)

    assert platform.events(job_id) == ["enqueued", "started", "rescued", "started", "completed"]
    assert platform.times(job_id, "started")[1] - killed_at < 5


def test_a_worker_whose_interpreter_is_held_by_c_code_keeps_its_job(start_platform: StartPlatform) -> None:
    """P20: three times as long as DEATH_AFTER no thread of the process could say that it lives."""
    platform = start_platform(DEATH_AFTER="3000")
    platform.settle_postgres()

    job_id = platform.submit("PROBE_GIL", seconds=9)
    platform.wait_for("completed", job_id)

    assert platform.events(job_id) == ["enqueued", "started", "completed"]
    assert platform.effects(job_id) == [1]


def test_a_worker_frozen_beyond_the_limit_is_fenced_and_goes_on_under_a_new_number(
    start_platform: StartPlatform,
) -> None:
    platform = start_platform(FROZEN_AFTER="5000")
    platform.settle_postgres()
    job_id = platform.submit("PROBE_SLEEP", seconds=1)
    pid = platform.running_in(job_id)

    os.kill(pid, SIGSTOP)
    try:
        platform.wait_for("completed", job_id)
    finally:
        os.kill(pid, SIGCONT)
    platform.until(lambda: "fenced" in platform.events(job_id), 20, "the ghost is fenced")

    assert platform.row(job_id)["attempts"] == 2
    assert platform.row(job_id)["status"] == "completed"
    platform.until(lambda: pid in platform.workers().values(), 20, "the ghost is on record again")


def test_a_poison_job_fails_after_exactly_crash_limit_deaths_while_its_neighbours_complete(
    start_platform: StartPlatform,
) -> None:
    """P22."""
    platform = start_platform(CRASH_LIMIT="3")
    platform.settle_postgres()

    neighbours = [platform.submit("PROBE_SLEEP", seconds=0.5) for _ in range(8)]
    poison = platform.submit("PROBE_POISON")
    neighbours += [platform.submit("PROBE_SLEEP", seconds=0.5) for _ in range(20)]
    platform.wait_for("failed", poison, seconds=60)
    platform.wait_for("completed", *neighbours, seconds=60)

    row = platform.row(poison)
    assert (row["crashes"], row["attempts"], row["error"]["kind"]) == (3, 3, "crashed")
    assert platform.events(poison) == ["enqueued", *["started", "rescued"] * 2, "started", "failed"]


def test_a_deploy_interrupts_jobs_which_run_elsewhere_at_once_and_lose_no_retry(start_platform: StartPlatform) -> None:
    """P21."""
    platform = start_platform(SHUTDOWN_GRACE="500")
    job_id = platform.submit("PROBE_LONG", seconds=4)
    pid = platform.running_in(job_id)
    (group,) = [group for group in platform.stack.of("worker") if pid in group.children()]

    group.child.stop_soon()
    platform.until(lambda: platform.row(job_id)["attempts"] == 2, 10, "the job runs elsewhere")

    assert platform.events(job_id)[:4] == ["enqueued", "started", "interrupted", "started"]
    assert platform.times(job_id, "started")[1] - platform.times(job_id, "interrupted")[0] < 1
    platform.wait_for("completed", job_id)
    row = platform.row(job_id)
    assert (row["retries"], row["crashes"]) == (0, 0)
