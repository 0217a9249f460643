"""What becomes of an attempt: retries are planned and follow-ups sent inside it, and the after-hook alone settles."""

import threading
from math import nan
from typing import Any

import dramatiq
import msgspec
import pytest
from dramatiq.middleware import Middleware, Retries, SkipMessage, TimeLimitExceeded

from jobplatform import current_job
from jobplatform.delay import LONGEST_DELAY, milliseconds
from jobplatform.journal import Settle
from jobplatform.states import Event
from tests.services.journal import new_job, open_jobs, read
from tests.services.workshop import Workshop


class Trouble(Exception):
    """What these actors raise."""


def test_p11_retries_plans_inside_the_attempt_and_the_after_hook_alone_settles(workshop: Workshop) -> None:
    @workshop.actor("FLAKY")
    def flaky() -> int:
        if current_job().attempt < 3:
            raise Trouble(f"attempt {current_job().attempt}")
        return current_job().attempt

    workshop.finish(job_id := flaky.send().message_id)

    again = ["retry_planned", "released", "started"]
    assert workshop.history(job_id) == ["enqueued", "started", *again, *again, "completed"]
    assert (workshop.column(job_id, "result"), workshop.column(job_id, "retries")) == (3, 2)
    errors = read(
        workshop.settings.database_url,
        "SELECT detail->'error' FROM transitions WHERE event = 'retry_planned' ORDER BY id",
    )
    assert [(e["kind"], e["type"], e["message"]) for (e,) in errors] == [
        ("error", "Trouble", "attempt 1"),
        ("error", "Trouble", "attempt 2"),
    ]
    assert "flaky" in errors[0][0]["traceback"]


@pytest.fixture
def _no_first_outcome(workshop: Workshop, monkeypatch: pytest.MonkeyPatch, error: type[BaseException]) -> None:
    """The thread is struck between the actor's end and the writer: the attempt is in no hand any more."""
    monkeypatch.setattr("jobplatform.lifeline.BEAT", 0.02)
    put, struck = workshop.broker.recorder.writer.put, threading.Event()

    def put_no_first_outcome(item: Any) -> Any:
        if isinstance(item, Settle) and not struck.is_set():
            struck.set()
            raise error
        return put(item)

    monkeypatch.setattr(workshop.broker.recorder.writer, "put", put_no_first_outcome)


@pytest.mark.usefixtures("_no_first_outcome")
@pytest.mark.parametrize("error", [MemoryError, TimeLimitExceeded])
def test_p6_an_outcome_that_could_not_be_handed_over_is_no_jobs_end(workshop: Workshop) -> None:
    @workshop.actor("PROBE")
    def probe() -> int:
        return current_job().attempt

    workshop.finish(job_id := probe.send().message_id)

    assert workshop.history(job_id) == ["enqueued", "started", "interrupted", "started", "completed"]
    assert (workshop.column(job_id, "result"), workshop.column(job_id, "retries")) == (2, 0)


@pytest.mark.usefixtures("_no_first_outcome")
@pytest.mark.parametrize("error", [MemoryError, TimeLimitExceeded])
def test_p21_a_lost_outcome_is_no_reason_to_run_what_must_not_run_twice(workshop: Workshop) -> None:
    @workshop.actor("PROBE", on_crash="fail")
    def probe() -> int:
        return current_job().attempt

    workshop.finish(job_id := probe.send().message_id)

    assert workshop.history(job_id) == ["enqueued", "started", "failed"]
    assert workshop.error(job_id)["kind"] == "crashed"


@pytest.mark.usefixtures("_no_first_outcome")
@pytest.mark.parametrize("error", [MemoryError])
def test_p21_what_never_reached_its_actor_runs_also_if_it_must_not_run_twice(workshop: Workshop) -> None:
    class Refusing(Middleware):
        def before_process_message(self, broker: Any, message: Any) -> None:  # noqa: ARG002
            if workshop.column(message.message_id, "attempts") == 1:
                raise SkipMessage

    @workshop.actor("PROBE", on_crash="fail")
    def probe() -> int:
        return current_job().attempt

    workshop.broker.add_middleware(Refusing())
    workshop.finish(job_id := probe.send().message_id)

    assert workshop.history(job_id) == ["enqueued", "started", "interrupted", "started", "completed"]


def test_p11_when_retries_gives_up_the_job_is_failed(workshop: Workshop) -> None:
    @workshop.actor("HOPELESS", max_retries=1)
    def hopeless() -> None:
        raise Trouble

    workshop.finish(job_id := hopeless.send().message_id)

    assert workshop.history(job_id)[-3:] == ["released", "started", "failed"]
    assert (workshop.column(job_id, "attempts"), workshop.column(job_id, "retries")) == (2, 1)


def test_p11_an_exception_that_no_retry_would_help_against_fails_at_once(workshop: Workshop) -> None:
    @workshop.actor("THROWING", throws=(Trouble,))
    def throwing() -> None:
        raise Trouble("for good")

    workshop.finish(job_id := throwing.send().message_id)

    assert workshop.history(job_id) == ["enqueued", "started", "failed"]
    assert workshop.error(job_id)["message"] == "for good"


@pytest.mark.parametrize("delay", [None, 0, 40])
def test_p11_an_actor_may_ask_for_another_attempt_and_say_when(workshop: Workshop, delay: int | None) -> None:
    @workshop.actor("ASKING")
    def asking() -> None:
        if current_job().attempt == 1:
            raise dramatiq.Retry("later", delay=delay)

    workshop.finish(job_id := asking.send().message_id)

    assert workshop.history(job_id) == ["enqueued", "started", "retry_planned", "released", "started", "completed"]
    ((pause,),) = read(
        workshop.settings.database_url,
        "SELECT (detail->>'run_at')::timestamptz - at FROM transitions WHERE event = 'retry_planned'",
    )
    if delay is not None:
        assert pause.total_seconds() == delay / 1000


@pytest.mark.parametrize("delay", [1.5, -40, 10**30, nan])
def test_p11_whatever_delay_an_actor_asks_for_is_one_that_can_be_recorded(workshop: Workshop, delay: Any) -> None:
    @workshop.actor("ASKING")
    def asking() -> None:
        if current_job().attempt == 1:
            raise dramatiq.Retry("later", delay=delay)

    job_id = asking.send().message_id
    with workshop.open():
        workshop.until(job_id, "retrying" if delay > LONGEST_DELAY else "completed")

    assert workshop.history(job_id)[:3] == ["enqueued", "started", "retry_planned"]
    ((pause,),) = read(
        workshop.settings.database_url,
        "SELECT (detail->>'run_at')::timestamptz - at FROM transitions WHERE event = 'retry_planned'",
    )
    assert pause.total_seconds() == milliseconds(delay) / 1000


@pytest.mark.parametrize("delay", [1.5, -40, 10**30])
def test_whatever_delay_a_job_is_sent_with_is_one_that_can_be_recorded(workshop: Workshop, delay: Any) -> None:
    @workshop.actor("PROBE")
    def probe() -> None: ...

    job_id = probe.send_with_options(delay=delay).message_id

    pause = workshop.column(job_id, "run_at - created_at")
    assert pause.total_seconds() == milliseconds(delay) / 1000


def test_p11_without_retries_to_decide_the_rows_policy_does(
    workshop: Workshop, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A hook of `Retries` that fails is swallowed by Dramatiq: the error is retried all the same."""

    def broken(*_: Any, **__: Any) -> None:
        raise Trouble("inside the hook")

    monkeypatch.setattr(Retries, "after_process_message", broken)

    @workshop.actor("FLAKY", max_retries=1)
    def flaky() -> None:
        raise Trouble("in the actor")

    workshop.finish(job_id := flaky.send().message_id)

    assert workshop.history(job_id) == ["enqueued", "started", "retry_planned", "released", "started", "failed"]
    assert workshop.error(job_id)["message"] == "in the actor"


def test_p11_an_end_that_cannot_be_told_fails_the_job(workshop: Workshop) -> None:
    """Its options are from a time, or a hand, that did not check them. Once, it was given back and ran for ever."""

    @workshop.actor("PROBE")
    def probe(n: int) -> None:  # noqa: ARG001
        raise Trouble("in the actor")

    (opened,) = open_jobs(new_job(options='{"max_retries": "3"}'))

    workshop.finish(opened.id)

    assert workshop.history(opened.id) == ["enqueued", "resent", "started", "failed"]
    assert workshop.error(opened.id)["type"] == "TypeError"
    assert "Trouble: in the actor" in workshop.error(opened.id)["traceback"]


def test_p12_counters_and_options_come_from_the_row_whatever_the_hint_says(workshop: Workshop) -> None:
    seen = []

    class Looking(Middleware):
        def before_process_message(self, broker: Any, message: Any) -> None:  # noqa: ARG002
            seen.append((message.options["retries"], message.options.get("max_retries"), message.message_timestamp))

    @workshop.actor("PROBE")
    def probe(n: int) -> None:  # noqa: ARG001
        raise Trouble

    workshop.broker.add_middleware(Looking())
    job_id = probe.send_with_options(kwargs={"n": 1}, max_retries=1).message_id
    (delivery,) = workshop.broker.client.lrange("dramatiq:default", 0, -1)
    _forge(
        workshop,
        delivery,
        args=["nonsense"],
        kwargs={"m": 2},
        options={"retries": "many", "max_retries": 0, "min_backoff": "x", "traceback": "no", "max_age": 1},
    )

    workshop.finish(job_id)

    created = int(workshop.column(job_id, "created_at").timestamp() * 1000)
    assert seen == [(0, 1, created), (1, 1, created)]
    assert workshop.history(job_id)[-3:] == ["released", "started", "failed"]
    assert workshop.error(job_id)["type"] == "Trouble"


def _forge(workshop: Workshop, delivery: Any, **fields: Any) -> None:
    """Change what a hint in Redis says."""
    client: Any = workshop.broker.client
    hint = msgspec.json.decode(client.hget("dramatiq:default.msgs", delivery))
    options = {**hint["options"], **fields.pop("options", {})}
    client.hset("dramatiq:default.msgs", delivery, msgspec.json.encode({**hint, **fields, "options": options}))


def test_p13_a_follow_up_gets_what_the_actor_returned(workshop: Workshop) -> None:
    @workshop.actor("FIRST", on_success="NEXT")
    def first() -> list[int]:
        return [1, 2]

    @workshop.actor("NEXT")
    def following(message: dict[str, Any], result: Any) -> Any:
        return {"from": message["message_id"], "result": result}

    workshop.finish(job_id := first.send().message_id)
    (follow_up,) = workshop.jobs("NEXT")
    workshop_again = Workshop(workshop.settings)
    workshop_again.actor("NEXT")(following.fn)
    workshop_again.finish(follow_up)
    workshop_again.close()

    assert workshop.column(follow_up, "result") == {"from": job_id, "result": [1, 2]}
    ((transactions,),) = read(
        workshop.settings.database_url,
        "SELECT count(DISTINCT xid::text) FROM transitions"
        " WHERE (job_id, event) IN ((%s, 'completed'), (%s, 'enqueued'))",
        [job_id, follow_up],
    )
    assert transactions == 1, "opened with the outcome it follows"


def test_p13_a_follow_up_of_a_refused_outcome_is_dropped(workshop: Workshop) -> None:
    @workshop.actor("GHOST", on_success="NEXT")
    def ghost() -> str:
        if current_job().attempt == 1:
            _give_back(workshop, current_job().id)
        return f"attempt {current_job().attempt}"

    @workshop.actor("NEXT")
    def following(message: dict[str, Any], result: Any) -> Any: ...

    workshop.finish(job_id := ghost.send().message_id)

    events = workshop.history(job_id)
    events.remove("fenced")  # when, depends on how fast the second attempt is
    assert events == ["enqueued", "started", "interrupted", "started", "completed"]
    assert workshop.column(job_id, "result") == "attempt 2"
    assert len(workshop.jobs("NEXT")) == 1


def _give_back(workshop: Workshop, job_id: str) -> None:
    """As if the worker had been taken for dead."""
    ((attempt, token, worker),) = read(
        workshop.settings.database_url, "SELECT attempts, token::text, worker FROM jobs WHERE id = %s", [job_id]
    )
    lost = Settle(job_id, "GHOST", "default", attempt, token, worker, Event.INTERRUPTED)
    workshop.broker.recorder.writer.put(lost).result(10)


def test_p13_each_failed_attempt_may_have_a_follow_up_and_the_last_one_another(workshop: Workshop) -> None:
    @workshop.actor("HOPELESS", max_retries=1, on_failure="SORRY", on_retry_exhausted="GIVEN_UP")
    def hopeless() -> None:
        raise Trouble("no way")

    @workshop.actor("SORRY")
    def sorry(message: dict[str, Any], error: dict[str, str]) -> Any:  # noqa: ARG001
        return error

    @workshop.actor("GIVEN_UP")
    def given_up(message: dict[str, Any], counts: dict[str, Any]) -> Any:  # noqa: ARG001
        return counts

    with workshop.open():
        workshop.until(hopeless.send().message_id, "failed")
        for follow_up in (*workshop.jobs("SORRY"), *workshop.jobs("GIVEN_UP")):
            workshop.until(follow_up, "completed")

    assert [workshop.column(i, "result") for i in workshop.jobs("SORRY")] == [
        {"type": "Trouble", "message": "no way"}
    ] * 2
    assert [workshop.column(i, "result") for i in workshop.jobs("GIVEN_UP")] == [{"retries": 1, "max_retries": 1}]


def test_p14_an_actor_that_sends_its_own_message_asks_for_a_retry(workshop: Workshop) -> None:
    messages: list[Any] = []

    @workshop.actor("AGAIN")
    def again() -> None:
        if current_job().attempt == 1:
            workshop.broker.enqueue(messages[0], delay=1)

    messages.append(again.send())
    workshop.finish(job_id := messages[0].message_id)

    assert workshop.history(job_id) == ["enqueued", "started", "retry_planned", "released", "started", "completed"]


def test_p14_a_retry_keeps_its_queue(workshop: Workshop) -> None:
    ran_on = []

    class Looking(Middleware):
        def before_process_message(self, broker: Any, message: Any) -> None:  # noqa: ARG002
            ran_on.append((message.queue_name, message.actor_name))

    @workshop.actor("FLAKY", max_retries=1)
    def flaky() -> None:
        raise Trouble

    workshop.broker.add_middleware(Looking())
    workshop.finish(job_id := flaky.send_with_options(priority="high").message_id)

    assert ran_on == [("high", "FLAKY.high")] * 2
    assert (workshop.column(job_id, "queue"), workshop.column(job_id, "priority")) == ("high", "high")
