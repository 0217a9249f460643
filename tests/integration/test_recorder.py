"""What the recorder makes of a job's way through a real worker: each hook, each kind of end."""

import threading
from typing import Any

import pytest
from dramatiq.middleware import Middleware, Shutdown, SkipMessage

from jobplatform import current_job
from jobplatform.errors import DatabaseUnavailable
from jobplatform.journal import Claim, Open
from tests.services.journal import new_job, open_jobs, read
from tests.services.patience import eventually
from tests.services.workshop import Workshop


class Trouble(Exception):
    """What an actor raises here."""


def test_a_job_runs_with_its_payload_and_its_result_is_kept(workshop: Workshop) -> None:
    @workshop.actor("GREET")
    def greet(name: str, times: int = 1) -> dict[str, Any]:
        return {"text": f"Hello {name}" * times, "job": current_job().id, "attempt": current_job().attempt}

    message = greet.send(name="Ada")

    workshop.finish(message.message_id)

    assert workshop.column(message.message_id, "result") == {
        "text": "Hello Ada",
        "job": message.message_id,
        "attempt": 1,
    }
    assert workshop.history(message.message_id) == ["enqueued", "started", "completed"]


def test_an_actor_that_returns_nothing_is_completed_without_a_result(workshop: Workshop) -> None:
    @workshop.actor("QUIET")
    def quiet() -> None: ...

    workshop.finish(job_id := quiet.send().message_id)

    assert (workshop.status(job_id), workshop.column(job_id, "result")) == ("completed", None)


def test_p10_an_actor_never_runs_unclaimed(workshop: Workshop, monkeypatch: pytest.MonkeyPatch) -> None:
    ran = []

    @workshop.actor("PROBE")
    def probe(n: int) -> None:
        ran.append(n)

    put, refused = workshop.broker.recorder.writer.put, threading.Event()

    def put_but_no_claim(item: Any) -> Any:
        if isinstance(item, Claim) and not refused.is_set():
            refused.set()
            raise DatabaseUnavailable
        return put(item)

    monkeypatch.setattr(workshop.broker.recorder.writer, "put", put_but_no_claim)
    job_id = probe.send(n=1).message_id
    with workshop.open():
        assert refused.wait(10)
        workshop.until(job_id, "completed")

    assert ran == [1], "not by the hint whose claim failed, but by the one that the keeper sent"
    assert workshop.history(job_id) == ["enqueued", "resent", "started", "completed"]


def test_p10_a_payload_that_does_not_fit_the_actor_is_an_outcome(workshop: Workshop) -> None:
    @workshop.actor("PROBE")
    def probe(n: int) -> None:  # noqa: ARG001
        raise AssertionError("must not run")

    (opened,) = open_jobs(new_job(payload='{"m": "x"}'))

    workshop.finish(opened.id)

    assert workshop.history(opened.id)[-2:] == ["started", "failed"]
    assert workshop.error(opened.id)["kind"] == "invalid_payload"


def test_p10_a_job_that_is_too_old_when_it_starts_is_failed_as_expired(workshop: Workshop) -> None:
    @workshop.actor("PROBE")
    def probe() -> None:
        raise AssertionError("must not run")

    job_id = probe.send_with_options(max_age=1).message_id
    eventually(lambda: workshop.column(job_id, "now() > created_at + interval '2 ms'"))

    workshop.finish(job_id)

    assert workshop.history(job_id) == ["enqueued", "started", "failed"]
    assert workshop.error(job_id)["kind"] == "expired"


@pytest.mark.parametrize(("fails", "skips", "kind"), [(False, True, "skipped"), (True, False, "skipped")])
def test_p10_what_another_middleware_refuses_after_the_claim_is_settled(
    workshop: Workshop, fails: bool, skips: bool, kind: str
) -> None:
    class Refusing(Middleware):
        def before_process_message(self, broker: Any, message: Any) -> None:  # noqa: ARG002
            if fails:
                message.fail()
            if skips:
                raise SkipMessage

    @workshop.actor("PROBE")
    def probe() -> None:
        raise AssertionError("must not run")

    workshop.broker.add_middleware(Refusing())

    workshop.finish(job_id := probe.send().message_id)

    assert (workshop.history(job_id)[-1], workshop.error(job_id)["kind"]) == ("failed", kind)


def test_p16_an_attempt_that_its_actor_skipped_can_be_struck_no_more(workshop: Workshop) -> None:
    """It was over, but its thread, which runs the next job, was still taken for its own."""
    struck: list[bool] = []

    class Late(Middleware):
        def after_skip_message(self, broker: Any, message: Any) -> None:  # noqa: ARG002
            struck.extend(each.strike(Shutdown) for each in workshop.broker.recorder._hands.attempts().values())

    @workshop.actor("SKIPPING")
    def skipping() -> None:
        raise SkipMessage

    workshop.broker.add_middleware(Late())
    workshop.finish(job_id := skipping.send().message_id)

    assert struck == [False]
    assert (workshop.history(job_id)[-1], workshop.error(job_id)["kind"]) == ("failed", "skipped")


def test_an_actor_sends_further_jobs_of_its_own(workshop: Workshop) -> None:
    @workshop.actor("PARENT")
    def parent() -> str:
        return child.send(n=1).message_id

    @workshop.actor("CHILD")
    def child(n: int) -> None: ...

    workshop.finish(parent_id := parent.send().message_id)

    assert workshop.jobs("CHILD") == [workshop.column(parent_id, "result")]


def test_an_actor_called_from_an_actor_is_a_plain_function(workshop: Workshop) -> None:
    @workshop.actor("INNER")
    def inner(n: int) -> int:
        return n + 1

    @workshop.actor("OUTER")
    def outer() -> int:
        return int(inner(1)) + int(inner(2))

    workshop.finish(job_id := outer.send().message_id)

    assert workshop.column(job_id, "result") == 5
    assert inner(1) == 2


def test_p9_a_hint_for_an_unknown_job_is_counted_and_logged(
    workshop: Workshop, caplog: pytest.LogCaptureFixture
) -> None:
    @workshop.actor("PROBE")
    def probe(n: int) -> None: ...

    job_id = probe.send(n=1).message_id
    read(workshop.settings.database_url, "DELETE FROM transitions; DELETE FROM jobs")
    with workshop.open():
        eventually(lambda: f"not on record: PROBE {job_id}" in caplog.text)
        eventually(lambda: workshop.broker.client.hlen("dramatiq:default.msgs") == 0, what="its acknowledgement")


def test_a_worker_is_on_record_from_its_start_to_its_end(workshop: Workshop) -> None:
    @workshop.actor("PROBE")
    def probe() -> None: ...

    url = workshop.settings.database_url
    with workshop.open(queues={"high"}):
        ((queues, types, threads, ended),) = eventually(
            lambda: read(url, "SELECT queues, types, threads, ended_at FROM workers")
        )
    ((stopping, ended_after),) = read(url, "SELECT stopping_at, ended_at FROM workers")

    assert (queues, types, threads, ended) == (["high"], ["PROBE"], 2, None)
    assert ended_after is not None
    assert stopping is None or stopping <= ended_after


def test_accepting_is_left_to_the_writer_also_where_the_broker_has_no_worker(workshop: Workshop) -> None:
    job = new_job()

    (opened,) = workshop.broker.recorder.writer.put(Open([job])).result(10)

    assert opened.id == job.id
    assert workshop.broker.client.llen("dramatiq:default") == 1
