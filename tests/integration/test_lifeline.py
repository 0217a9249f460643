"""The lifeline: a worker that is cut off, declared dead, or told to stop, and what becomes of what it runs."""

import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import dramatiq
import pytest
from dramatiq.middleware import Shutdown

from jobplatform import current_job, journal
from jobplatform.journal import workers
from tests.services.journal import read
from tests.services.long_jobs import Long
from tests.services.patience import eventually
from tests.services.workshop import Workshop


@pytest.fixture(autouse=True)
def _postgres_is_old(monkeypatch: pytest.MonkeyPatch) -> None:
    """Keepers look for the dead from the start."""
    monkeypatch.setattr(workers, "seconds_since_postgres_started", lambda: 3_600.0)


@pytest.fixture
def _slow_beat(monkeypatch: pytest.MonkeyPatch) -> None:
    """Slower than the keepers, which rescue what a dead worker runs before it knows of its death."""
    monkeypatch.setattr("jobplatform.lifeline.BEAT", 0.3)


@pytest.fixture
def _quick_beat(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("jobplatform.lifeline.BEAT", 0.02)


@pytest.fixture
def elsewhere(workshop: Workshop) -> Iterator[Callable[..., Workshop]]:
    """Makes further workshops on the same services, each a worker of its own."""
    made: list[Workshop] = []

    def make(**given: Any) -> Workshop:
        made.append(Workshop(replace(workshop.settings, **given)))
        return made[-1]

    yield make
    for other in made:
        other.close()


def rows(workshop: Workshop, columns: str, condition: str = "true") -> list[tuple[Any, ...]]:
    return read(workshop.settings.database_url, f"SELECT {columns} FROM workers WHERE {condition} ORDER BY id")


def told(workshop: Workshop, job_id: str) -> list[str]:
    """What happened to the job; its hint may have been taken by the worker that did not know yet, and sent again."""
    return [event for event in workshop.history(job_id) if event != "resent"]


def number(workshop: Workshop) -> int:
    lifeline = eventually(lambda: workshop.broker.recorder.lifeline)
    assert lifeline is not None
    worker = lifeline.wait_for_id()
    assert worker is not None
    return worker


def lock_holder(workshop: Workshop, worker: int) -> int | None:
    """The backend that holds a worker's lock."""
    found = read(
        workshop.settings.database_url,
        "SELECT pid FROM pg_locks WHERE locktype = 'advisory' AND classid = %s AND objid = %s AND granted",
        [workers.LOCK_SPACE, worker],
    )
    return found[0][0] if found else None


def declare_dead(workshop: Workshop, worker: int) -> None:
    """As a keeper does to a worker that it could not see."""
    read(workshop.settings.database_url, "UPDATE workers SET ended_at = now(), died = true WHERE id = %s", [worker])


@contextmanager
def stopping(worker: Any) -> Iterator[threading.Thread]:
    """Tell the worker to stop, as SIGTERM does, and wait for its end afterwards."""
    thread = threading.Thread(target=worker.stop)
    thread.start()
    yield thread
    thread.join(20)
    assert not thread.is_alive(), "the worker did not stop"


# Cut off.


def test_p20_a_worker_whose_lifeline_is_cut_has_its_lock_again_before_it_is_taken_for_dead(workshop: Workshop) -> None:
    """At its real pace: a beat a second, and death after three. Its job goes on undisturbed."""
    long = Long(workshop)
    job_id = long.actor.send().message_id
    with workshop.open():
        long.wait()
        worker = number(workshop)
        for _ in range(2):
            holder = eventually(lambda: lock_holder(workshop, worker), what="its lock")
            read(workshop.settings.database_url, "SELECT pg_terminate_backend(%s)", [holder])
            eventually(
                lambda lost=holder: lock_holder(workshop, worker) not in (None, lost),  # type: ignore[misc]
                seconds=5,
                what="its lock on a new connection",
            )
        long.over.set()
        workshop.until(job_id, "completed")

    assert workshop.history(job_id) == ["enqueued", "started", "completed"]
    assert rows(workshop, "id, died") == [(worker, False)]


@pytest.mark.usefixtures("_quick_beat")
def test_p20_the_lock_is_held_by_the_connection_that_beats(workshop: Workshop) -> None:
    Long(workshop)
    url = workshop.settings.database_url
    with workshop.open():
        worker = number(workshop)
        holder = eventually(lambda: lock_holder(workshop, worker))
        used = "SELECT query_start FROM pg_stat_activity WHERE pid = %s"
        ((first,),) = read(url, used, [holder])
        eventually(lambda: read(url, f"{used} AND query_start > %s", [holder, first]), what="its next beat")
        assert lock_holder(workshop, worker) == holder

    assert lock_holder(workshop, worker) is None, "it ended with the worker"


# Declared dead.


@pytest.mark.usefixtures("_slow_beat")
def test_p17_a_worker_that_was_declared_dead_interrupts_what_it_runs_and_goes_on_under_a_new_number(
    workshop: Workshop,
) -> None:
    long = Long(workshop)
    job_id = long.actor.send().message_id
    with workshop.open():
        long.wait()
        old = number(workshop)
        declare_dead(workshop, old)
        long.wait()
        new = eventually(lambda: number(workshop) != old and number(workshop))
        long.over.set()
        workshop.until(job_id, "completed")
        eventually(lambda: "fenced" in workshop.history(job_id), what="the ghost's outcome")
        assert lock_holder(workshop, new) is not None

    assert new > old
    assert long.ends == [(1, "Shutdown"), (2, "done")]
    assert [event for event in told(workshop, job_id) if event != "fenced"] == [
        "enqueued",
        "started",
        "rescued",
        "started",
        "completed",
    ]
    assert workshop.column(job_id, "result") == "attempt 2"
    assert [workshop.column(job_id, name) for name in ("attempts", "retries", "crashes")] == [2, 0, 1]
    assert rows(workshop, "id, died, ended_at IS NOT NULL") == [(old, True, True), (new, False, True)]
    assert read(
        workshop.settings.database_url,
        "SELECT event, attempt, worker FROM transitions WHERE worker IS NOT NULL ORDER BY id",
    )[0] == ("started", 1, old)


@pytest.mark.usefixtures("_slow_beat")
def test_p17_the_outcome_of_a_job_that_would_not_be_interrupted_is_fenced(workshop: Workshop) -> None:
    """It swallows the interruption, and returns: the row is another attempt's by then."""
    ghost_may_end, results = threading.Event(), []

    @workshop.actor("STUBBORN")
    def stubborn() -> str:
        attempt = current_job().attempt
        while attempt == 1 and not ghost_may_end.is_set():
            try:
                ghost_may_end.wait(0.01)
            except Shutdown:
                results.append("interrupted")
        return f"attempt {attempt}"

    job_id = stubborn.send().message_id
    with workshop.open():
        workshop.until(job_id, "running")
        eventually(lambda: workshop.broker.recorder._hands.attempts())
        declare_dead(workshop, number(workshop))
        workshop.until(job_id, "completed")
        ghost_may_end.set()
        eventually(lambda: workshop.history(job_id)[-1] == "fenced")

    assert results == ["interrupted"]
    assert workshop.column(job_id, "result") == "attempt 2"
    assert told(workshop, job_id) == ["enqueued", "started", "rescued", "started", "completed", "fenced"]


def test_p17_until_it_knows_its_claims_are_refused(workshop: Workshop, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("jobplatform.lifeline.BEAT", 3.0)
    ran = []

    @workshop.actor("PROBE")
    def probe(n: int) -> int:
        ran.append(n)
        return n

    with workshop.open():
        old = number(workshop)
        declare_dead(workshop, old)
        job_id = probe.send(n=1).message_id
        eventually(lambda: workshop.broker.client.llen("dramatiq:default") == 0, what="the hint to be taken")
        eventually(lambda: workshop.broker._holdings["default"].aside, what="the hint to be set aside")
        assert (workshop.status(job_id), ran) == ("queued", [])
        workshop.until(job_id, "completed")
        assert number(workshop) != old

    assert ran == [1]
    ((by,),) = read(workshop.settings.database_url, "SELECT worker FROM transitions WHERE event = 'started'")
    assert by > old


@pytest.mark.usefixtures("_slow_beat")
def test_p17_a_worker_may_be_declared_dead_any_number_of_times(workshop: Workshop) -> None:
    long = Long(workshop)
    job_id = long.actor.send().message_id
    with workshop.open():
        for _ in range(2):
            long.wait()
            declare_dead(workshop, number(workshop))
        long.wait()
        long.over.set()
        workshop.until(job_id, "completed")

    numbers = [worker for (worker,) in rows(workshop, "id")]
    assert len(numbers) == len(set(numbers)) == 3
    assert workshop.column(job_id, "crashes") == 2


# Told to stop.


def test_p21_the_stopping_mark_is_set_first_thing(workshop: Workshop) -> None:
    """At its real pace: not with the next beat, for whoever kills it may do so sooner."""
    long = Long(workshop)
    long.actor.send()
    worker = workshop_worker(workshop)
    long.wait()
    eventually(lambda: rows(workshop, "1", "last_seen_at > started_at"), what="its first beat")
    with stopping(worker):
        began = time.monotonic()
        eventually(lambda: rows(workshop, "1", "stopping_at IS NOT NULL"), what="the mark")
        took = time.monotonic() - began
        long.over.set()

    assert took < 0.6


def workshop_worker(workshop: Workshop) -> Any:
    """A worker that the test stops by itself."""
    worker = dramatiq.Worker(workshop.broker, worker_threads=2, worker_timeout=100)
    worker.start()
    return worker


def test_p21_a_job_that_ends_within_the_grace_completes(workshop: Workshop) -> None:
    long = Long(workshop)
    job_id = long.actor.send().message_id
    worker = workshop_worker(workshop)
    long.wait()
    with stopping(worker):
        eventually(lambda: rows(workshop, "1", "stopping_at IS NOT NULL"), what="the mark")
        long.over.set()

    assert workshop.history(job_id) == ["enqueued", "started", "completed"]
    assert rows(workshop, "stopping_at <= ended_at, died") == [(True, False)]


def test_p21_after_the_grace_a_job_is_interrupted_and_runs_elsewhere_at_once_with_no_retry_spent(
    elsewhere: Callable[..., Workshop],
) -> None:
    here, there = elsewhere(shutdown_grace=300), elsewhere(resend_grace=3_600_000)
    first, second = Long(here), Long(there)
    second.over.set()
    job_id = first.actor.send().message_id
    worker = workshop_worker(here)
    first.wait()
    with there.open(), stopping(worker):
        there.until(job_id, "completed", seconds=10)

    assert (first.ends, second.ends) == ([(1, "Shutdown")], [(2, "done")])
    assert there.history(job_id) == ["enqueued", "started", "interrupted", "started", "completed"]
    assert [there.column(job_id, name) for name in ("attempts", "retries", "crashes")] == [2, 0, 0]
    ((pause, took),) = read(
        there.settings.database_url,
        "SELECT interrupted.at - stopping_at, started.at - interrupted.at"
        " FROM transitions AS interrupted JOIN transitions AS started ON started.id > interrupted.id, workers"
        " WHERE interrupted.event = 'interrupted' AND started.event = 'started' AND workers.id = interrupted.worker",
    )
    assert 0.2 < pause.total_seconds() < 3
    assert took.total_seconds() < 1


@pytest.mark.usefixtures("_quick_beat")
@pytest.mark.parametrize(("on_crash", "status", "follow_ups"), [("fail", "failed", 1), ("retry", "queued", 0)])
def test_p21_an_interrupted_job_that_must_not_run_twice_is_failed(
    elsewhere: Callable[..., Workshop], on_crash: str, status: str, follow_ups: int
) -> None:
    """And what is to follow a failure follows this one, and no mere interruption (P13)."""
    here = elsewhere(shutdown_grace=0)

    @here.actor("SORRY")
    def sorry(message: dict[str, Any], error: dict[str, Any]) -> None: ...

    long = Long(here, on_crash=on_crash, on_failure="SORRY")
    job_id = long.actor.send().message_id
    worker = workshop_worker(here)
    long.wait()
    with stopping(worker):
        here.until(job_id, status)

    assert here.history(job_id)[:3] == ["enqueued", "started", "failed" if status == "failed" else "interrupted"]
    assert (here.column(job_id, "error") or {}).get("kind") == ("crashed" if status == "failed" else None)
    assert here.column(job_id, "crashes") == 0
    assert len(here.jobs("SORRY")) == follow_ups


@pytest.mark.usefixtures("_quick_beat")
def test_p21_a_stopping_worker_claims_nothing_more(workshop: Workshop) -> None:
    long = Long(workshop)
    job_id = long.actor.send().message_id
    worker = workshop_worker(workshop)
    long.wait()
    with stopping(worker):
        eventually(lambda: rows(workshop, "1", "stopping_at IS NOT NULL"), what="the mark")
        later = long.actor.send().message_id
        eventually(lambda: rows(workshop, "1", "last_seen_at > stopping_at + interval '0.3 s'"), what="more beats")
        assert workshop.status(later) == "queued"
        long.over.set()

    assert workshop.status(job_id) == "completed"
    assert "started" not in workshop.history(later)


@pytest.mark.usefixtures("_quick_beat")
def test_p15_a_job_that_was_asked_to_stop_does_not_run_elsewhere(elsewhere: Callable[..., Workshop]) -> None:
    """It takes its time to obey, and is interrupted meanwhile; or its worker dies: it is cancelled."""
    here = elsewhere(shutdown_grace=50)
    seen = threading.Event()

    @here.actor("SLOW")
    def slow() -> None:
        try:
            while True:
                time.sleep(0.005)
        except BaseException:
            seen.set()
            raise Shutdown from None

    job_id = slow.send().message_id
    worker = workshop_worker(here)
    here.until(job_id, "running")
    here.broker.recorder.writer.put(journal.Cancel(job_id)).result(10)
    assert seen.wait(10)
    with stopping(worker):
        here.until(job_id, "cancelled")

    assert here.history(job_id) == ["enqueued", "started", "cancel_requested", "cancelled"]


def test_p23_a_process_that_ends_itself_first_stops_taking_hints(
    workshop: Workshop, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else it would send them back only to take them again, round and round, until Dramatiq has heard the signal."""
    told: list[int] = []
    monkeypatch.setattr("jobplatform.lifeline.os.kill", lambda _, number: told.append(number))
    long = Long(workshop)
    client: Any = workshop.broker.client
    with workshop.open(threads=1):
        job_id = long.actor.send().message_id
        long.wait()
        waiting = [long.actor.send().message_id for _ in range(5)]
        lifeline = workshop.broker.recorder.lifeline
        assert lifeline is not None

        lifeline._end_process()
        more = long.actor.send().message_id

        assert told == [signal.SIGTERM]
        eventually(lambda: client.llen("dramatiq:default") == len(waiting) + 1, what="all hints left to others")
        long.over.set()
        workshop.until(job_id, "completed")

    assert client.llen("dramatiq:default") == len(waiting) + 1
    assert {workshop.status(other) for other in (*waiting, more)} == {"queued"}
