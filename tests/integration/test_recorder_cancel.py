"""Running jobs that are called off, and rows that nobody holds."""

import threading
import time
from typing import Any

import pytest

from jobplatform import Cancelled, current_job, journal
from jobplatform.journal import Cancel, Claim
from tests.services.journal import SUSPECT_FROM, new_job, open_jobs, read
from tests.services.patience import eventually
from tests.services.workshop import Workshop


class Trouble(Exception):
    """What an actor raises here."""


def _running(workshop: Workshop, type: str = "LONG") -> tuple[Any, threading.Event]:  # noqa: A002
    """An actor that runs until it is cancelled, or told to end."""
    over = threading.Event()

    @workshop.actor(type, max_retries=1)
    def long(end: str = "") -> str:
        while not over.is_set():
            time.sleep(0.01)
        if end == "error":
            raise Trouble
        return "done"

    return long, over


def _cancel(workshop: Workshop, job_id: str) -> None:
    workshop.broker.recorder.writer.put(Cancel(job_id)).result(10)


@pytest.fixture
def _quick_beat(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("jobplatform.lifeline.BEAT", 0.02)


@pytest.mark.usefixtures("_quick_beat")
def test_p15_a_running_job_that_is_called_off_is_cancelled(workshop: Workshop) -> None:
    long, _ = _running(workshop)
    job_id = long.send().message_id
    with workshop.open():
        workshop.until(job_id, "running")
        _cancel(workshop, job_id)
        workshop.until(job_id, "cancelled")

    assert workshop.history(job_id) == ["enqueued", "started", "cancel_requested", "cancelled"]


@pytest.mark.parametrize(("end", "status"), [("", "completed"), ("error", "cancelled")])
def test_p15_what_ends_before_the_cancel_reaches_it_ends_as_it_ends(workshop: Workshop, end: str, status: str) -> None:
    """With a beat of a second, the actor is faster: success wins, and a retry is cancelled."""
    long, over = _running(workshop)
    job_id = long.send(end=end).message_id
    with workshop.open():
        workshop.until(job_id, "running")
        eventually(lambda: workshop.broker.recorder.lifeline)
        _cancel(workshop, job_id)
        over.set()
        workshop.until(job_id, status)

    assert workshop.history(job_id) == ["enqueued", "started", "cancel_requested", status]


@pytest.mark.usefixtures("_quick_beat")
def test_p13_a_cancel_is_no_failure_that_anything_follows(workshop: Workshop) -> None:
    @workshop.actor("LONG", max_retries=0, on_failure="SORRY", on_retry_exhausted="SORRY")
    def long() -> None:
        while True:
            time.sleep(0.01)

    @workshop.actor("SORRY")
    def sorry(message: dict[str, Any], error: dict[str, Any]) -> None: ...

    job_id = long.send().message_id
    with workshop.open():
        workshop.until(job_id, "running")
        _cancel(workshop, job_id)
        workshop.until(job_id, "cancelled")

    assert workshop.jobs("SORRY") == []


@pytest.mark.usefixtures("_quick_beat")
@pytest.mark.parametrize(("swallows", "end"), [(True, "completed"), (False, "cancelled")])
def test_p16_an_actor_may_clean_up_and_may_even_go_on(workshop: Workshop, swallows: bool, end: str) -> None:
    cleaned = []

    @workshop.actor("CAREFUL")
    def careful() -> str:
        try:
            while True:
                time.sleep(0.01)
        except Cancelled:
            cleaned.append(current_job().id)
            if not swallows:
                raise
        return "done"

    job_id = careful.send().message_id
    with workshop.open():
        workshop.until(job_id, "running")
        _cancel(workshop, job_id)
        workshop.until(job_id, end)

    assert cleaned == [job_id]


@pytest.mark.usefixtures("_quick_beat")
def test_p16_a_cancel_hits_its_own_attempt_and_never_the_next_one_on_the_thread(workshop: Workshop) -> None:
    """Short jobs on one thread, every other one called off as late as possible."""
    struck: list[int] = []
    ended: list[int] = []

    @workshop.actor("SHORT")
    def short(n: int) -> None:
        if n % 2 == 0:
            asked.set()
            workshop.broker.recorder.writer.put(Cancel(current_job().id))
        try:
            until = time.monotonic() + 0.01 + n % 7 * 0.005
            while time.monotonic() < until:
                time.sleep(0.001)
        except Cancelled:
            struck.append(n)
            raise
        ended.append(n)

    asked = threading.Event()
    jobs = [short.send(n=n).message_id for n in range(60)]
    with workshop.open(threads=1):
        statuses = [workshop.until(job_id, "completed", "cancelled", "failed") for job_id in jobs]

    assert asked.is_set()
    assert statuses[1::2] == ["completed"] * 30, "nobody called these off"
    assert sorted(struck + ended) == list(range(60)), "each ran once, to its end or to its cancel"
    assert {n for n, status in enumerate(statuses) if status == "cancelled"} == set(struck)
    assert struck, "or this has shown nothing"


@pytest.mark.usefixtures("_quick_beat")
def test_p6_a_row_that_nobody_holds_is_given_back_and_runs(workshop: Workshop) -> None:
    """As if the claim's answer had come when nobody waited for it any more."""

    @workshop.actor("PROBE")
    def probe(n: int) -> int:  # noqa: ARG001
        return current_job().attempt

    with workshop.open():
        lifeline = workshop.broker.recorder.lifeline
        assert lifeline is not None
        worker = lifeline.wait_for_id()
        assert worker is not None
        (opened,) = open_jobs(new_job())
        (answer,), _ = journal.commit([Claim(opened.id, "PROBE", opened.id, worker, SUSPECT_FROM)])
        assert answer.attempt == 1
        workshop.until(opened.id, "completed")

    assert workshop.history(opened.id) == ["enqueued", "started", "interrupted", "started", "completed"]
    assert workshop.column(opened.id, "result") == 2


@pytest.mark.usefixtures("_quick_beat")
def test_p6_what_is_held_is_not_given_back(workshop: Workshop) -> None:
    long, over = _running(workshop)
    job_id = long.send().message_id
    with workshop.open():
        workshop.until(job_id, "running")
        url = workshop.settings.database_url
        ((seen,),) = read(url, "SELECT last_seen_at FROM workers")
        eventually(lambda: read(url, "SELECT 1 FROM workers WHERE last_seen_at > %s + interval '0.2 s'", [seen]))
        over.set()
        workshop.until(job_id, "completed")

    assert workshop.history(job_id) == ["enqueued", "started", "completed"]
