"""A worker's own life: registering late, stopping while Postgres is away, noticing a lost thread."""

import os
import signal
import threading
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import dramatiq
import pytest
from dramatiq.middleware import Middleware, Shutdown
from dramatiq.threading import raise_thread_exception

from jobplatform import current_job, journal
from jobplatform.answer import Answer
from jobplatform.journal import Claim, LogLine, Settle
from jobplatform.local.postgres import Postgres
from jobplatform.models import database
from tests.services.journal import read
from tests.services.patience import eventually
from tests.services.workshop import Workshop

NOBODY = "00000000-0000-0000-0000-000000000000"


@pytest.fixture(autouse=True)
def _quick_beat(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("jobplatform.lifeline.BEAT", 0.05)


@pytest.fixture
def signals(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """What this process would have sent to itself."""
    sent: list[int] = []
    monkeypatch.setattr(os, "kill", lambda pid, number: sent.append(number) if pid == os.getpid() else None)
    return sent


def test_a_worker_that_starts_without_postgres_works_as_soon_as_it_is_there(
    workshop: Workshop, postgres_server: Postgres
) -> None:
    @workshop.actor("PROBE")
    def probe() -> None: ...

    job_id = probe.send().message_id
    database.close()
    postgres_server.stop()
    try:
        with workshop.open():
            postgres_server.start()
            workshop.until(job_id, "completed")
    finally:
        postgres_server.start()

    assert workshop.history(job_id)[-2:] == ["started", "completed"]
    assert workshop.column(job_id, "attempts") == 1


def test_an_outcome_of_a_worker_that_stops_is_written_before_it_ends(
    workshop: Workshop, postgres_server: Postgres
) -> None:
    """Postgres is away when the actor returns and the worker is told to stop, and comes back a moment later."""
    over = threading.Event()

    @workshop.actor("LONG")
    def long() -> str:
        assert over.wait(15)
        return "done"

    job_id = long.send().message_id
    with workshop.open() as worker:
        workshop.until(job_id, "running")
        database.close()
        postgres_server.stop()
        over.set()
        stopping = threading.Thread(target=worker.stop)
        stopping.start()
        eventually(lambda: all(not thread.is_alive() for thread in worker.consumers.values()))
        postgres_server.start()
        stopping.join()

    assert workshop.history(job_id) == ["enqueued", "started", "completed"]
    assert read(workshop.settings.database_url, "SELECT count(*) FROM workers WHERE ended_at IS NOT NULL") == [(1,)]


def test_p21_a_stopping_worker_interrupts_its_jobs_after_the_grace_though_postgres_is_away(
    workshop: Workshop, postgres_server: Postgres
) -> None:
    here = Workshop(replace(workshop.settings, shutdown_grace=100))
    ended = threading.Event()

    @here.actor("LONG")
    def long() -> None:
        try:
            while not ended.wait(0.01):
                pass
        except Shutdown:
            ended.set()
            raise

    job_id = long.send().message_id
    worker = dramatiq.Worker(here.broker, worker_threads=1, worker_timeout=100)
    worker.start()
    here.until(job_id, "running")
    database.close()
    postgres_server.stop()
    stopping = threading.Thread(target=worker.stop)
    stopping.start()
    try:
        assert ended.wait(10)
    finally:
        ended.set()
        postgres_server.start()
        stopping.join()
        here.close()

    assert workshop.history(job_id) == ["enqueued", "started", "interrupted"]


def test_p23_a_worker_whose_master_is_gone_ends_also_before_it_is_on_record(
    workshop: Workshop, postgres_server: Postgres, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("jobplatform.lifeline._ORPHANS_PATIENCE", 0.1)
    told = threading.Event()
    database.close()
    postgres_server.stop()
    try:
        with workshop.open():
            lifeline = workshop.broker.recorder.lifeline
            assert lifeline is not None
            monkeypatch.setattr(lifeline, "_end_process", told.set)
            monkeypatch.setattr(lifeline, "_parent", -1)

            assert told.wait(10)
            assert lifeline._id is None
    finally:
        postgres_server.start()


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
@pytest.mark.parametrize("kind", ["workers", "consumers", "writer"])
def test_p23_whichever_thread_is_lost_the_process_ends_itself(
    workshop: Workshop, signals: list[int], kind: str, caplog: pytest.LogCaptureFixture
) -> None:
    @workshop.actor("PROBE")
    def probe() -> None: ...

    with workshop.open() as worker:
        eventually(lambda: workshop.broker.recorder.lifeline and workshop.broker.recorder.lifeline._id)
        workshop.until(probe.send().message_id, "completed")
        threads: dict[str, Any] = {
            "workers": worker.workers[0],
            "consumers": worker.consumers["default"],
            "writer": workshop.broker.recorder.writer._thread,
        }
        _end(threads[kind])
        if kind == "writer":
            workshop.broker.recorder.writer.put(LogLine(NOBODY, 1, "wakes it"))

        assert eventually(lambda: signals) == [signal.SIGTERM]
        assert workshop.broker.recorder.lifeline is not None
        assert workshop.broker.recorder.lifeline.stopping, "and claims nothing more"

    assert "The worker lost a thread" in caplog.text


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_p23_a_writer_that_dies_with_an_outcome_ends_the_process_and_loses_nothing(
    workshop: Workshop, signals: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Others ask for things all the time, so another thread of the writer's goes on before anybody has looked."""
    commit, dead = journal.commit, threading.Event()

    def die_once_of_an_outcome(items: Any) -> Any:
        if not dead.is_set() and any(isinstance(item, Settle) for item in items):
            dead.set()
            raise SystemExit
        return commit(items)

    monkeypatch.setattr(journal, "commit", die_once_of_an_outcome)

    @workshop.actor("PROBE")
    def probe() -> None: ...

    job_id = probe.send().message_id
    with workshop.open():
        workshop.until(job_id, "completed")
        assert dead.is_set()
        assert eventually(lambda: signals) == [signal.SIGTERM]

    assert workshop.history(job_id) == ["enqueued", "started", "completed"]


def _end(thread: threading.Thread) -> None:
    """End it by an exception that no thread of ours raises itself; it hears of that when it does something."""
    assert thread.ident is not None
    raise_thread_exception(thread.ident, SystemExit)


def test_p10_a_claim_that_gets_no_answer_before_the_worker_stops_starts_nothing(
    workshop: Workshop, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Postgres hangs: the claim waits for a row that somebody holds, until the worker is told to stop."""
    monkeypatch.setattr("jobplatform.claims._LOOK_UP", 0.05)

    @workshop.actor("PROBE")
    def probe() -> None:
        raise AssertionError("must not run")

    put, claims = workshop.broker.recorder.writer.put, []

    def put_nothing_of_claims(item: Any) -> Any:
        if isinstance(item, Claim):
            claims.append(item)
            return Answer()
        return put(item)

    monkeypatch.setattr(workshop.broker.recorder.writer, "put", put_nothing_of_claims)
    job_id = probe.send().message_id
    with workshop.open():
        eventually(lambda: claims)

    assert workshop.history(job_id)[0] == "enqueued"
    assert workshop.status(job_id) == "queued"


def test_p21_a_claim_that_is_granted_when_the_worker_stops_is_given_back_though_the_job_must_not_run_twice(
    workshop: Workshop, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its actor never began: the job is interrupted, not failed."""
    monkeypatch.setattr("jobplatform.claims._LOOK_UP", 0.05)

    @workshop.actor("PROBE", on_crash="fail")
    def probe() -> None:
        raise AssertionError("must not run")

    put, asked = workshop.broker.recorder.writer.put, threading.Event()

    class GrantedWhenNobodyWaits(Answer[Any]):
        def __init__(self, claim: Claim) -> None:
            super().__init__()
            self._claim = claim

        def add_done_callback(self, fn: Callable[[Answer[Any]], object]) -> None:
            self.set_result(put(self._claim).result(10))
            super().add_done_callback(fn)

    def put_claims_late(item: Any) -> Any:
        if not isinstance(item, Claim):
            return put(item)
        asked.set()
        return GrantedWhenNobodyWaits(item)

    monkeypatch.setattr(workshop.broker.recorder.writer, "put", put_claims_late)
    job_id = probe.send().message_id
    with workshop.open():
        assert asked.wait(10)

    workshop.until(job_id, "queued")
    assert workshop.history(job_id)[:3] == ["enqueued", "started", "interrupted"]


def test_p17_a_claim_that_is_just_arriving_when_its_worker_is_declared_dead_is_interrupted_too(
    workshop: Workshop,
) -> None:
    """It had not reached its actor when the worker interrupted what it ran, and then ran on for nobody."""
    url, ends = workshop.settings.database_url, []

    class Dying(Middleware):
        def before_process_message(self, broker: Any, message: Any) -> None:  # noqa: ARG002
            ((worker, attempt),) = read(url, "SELECT worker, attempts FROM jobs")
            if attempt == 1:
                read(url, "UPDATE workers SET ended_at = now(), died = true WHERE id = %s", [worker])
                eventually(lambda: read(url, "SELECT 1 FROM workers WHERE id > %s", [worker]), what="its new number")

    @workshop.actor("PROBE")
    def probe() -> None:
        try:
            eventually(lambda: current_job().attempt > 1, seconds=5, what="its interruption")
        except BaseException as error:
            ends.append(type(error))
            raise

    workshop.broker.add_middleware(Dying())
    workshop.finish(job_id := probe.send().message_id)

    assert ends == [Shutdown]
    assert [event for event in workshop.history(job_id) if event not in ("resent", "fenced")] == [
        "enqueued",
        "started",
        "rescued",
        "started",
        "completed",
    ]


def test_an_attempt_knows_itself_on_its_own_thread_only(workshop: Workshop) -> None:
    seen: list[str] = []

    @workshop.actor("PROBE")
    def probe() -> None:
        other = threading.Thread(target=lambda: seen.append(current_job().id))
        other.start()
        other.join()
        seen.append(current_job().id)

    workshop.finish(job_id := probe.send().message_id)

    assert seen == ["", job_id]
