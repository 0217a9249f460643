"""The broker's door: what is accepted, what reaches Redis, what is refused, and what happens when Redis is away."""

import random
import socket
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import replace
from datetime import timedelta
from signal import SIGCONT, SIGSTOP
from typing import Any

import dramatiq
import msgspec
import pytest
from dramatiq.middleware import (
    AgeLimit,
    Callbacks,
    GroupCallbacks,
    Middleware,
    Pipelines,
    Retries,
    ShutdownNotifications,
    TimeLimit,
)
from dramatiq.rate_limits.backends import StubBackend
from dramatiq.results import Results
from dramatiq.results.backends import StubBackend as StubResults

from jobplatform import broker as broker_module
from jobplatform.errors import DatabaseUnavailable, InvalidPayload, JobIdTaken, UnknownType, Unsupported
from jobplatform.job_actor import InvalidActor, JobActor
from jobplatform.local.postgres import Postgres
from jobplatform.local.valkey import Valkey
from jobplatform.recorder import Recorder
from tests.services.journal import read
from tests.services.workshop import Workshop


@pytest.fixture
def probe(workshop: Workshop) -> JobActor[..., Any]:
    @workshop.actor("PROBE")
    def probe(n: int = 0, text: str = "") -> int:  # noqa: ARG001
        return n

    return probe


def hints(workshop: Workshop, queue: str = "default") -> list[dict[str, Any]]:
    """What waits in Redis, in its order."""
    client: Any = workshop.broker.client
    deliveries = client.lrange(f"dramatiq:{queue}", 0, -1)
    return [msgspec.json.decode(client.hget(f"dramatiq:{queue}.msgs", delivery)) for delivery in deliveries]


def test_the_order_of_the_middleware_is_as_designed(workshop: Workshop) -> None:
    assert [type(middleware) for middleware in workshop.broker.middleware] == [
        Recorder,
        AgeLimit,
        Callbacks,
        Pipelines,
        Retries,
        ShutdownNotifications,
        TimeLimit,
    ]


def test_a_sent_job_is_on_record_and_its_hint_waits(workshop: Workshop, probe: JobActor[..., Any]) -> None:
    message = probe.send(n=1)

    assert workshop.history(message.message_id) == ["enqueued"]
    (hint,) = hints(workshop)
    assert (hint["message_id"], hint["actor_name"], hint["kwargs"]) == (message.message_id, "PROBE", {})


def test_positional_arguments_are_named_and_defaults_left_out(workshop: Workshop, probe: JobActor[..., Any]) -> None:
    message = probe.send(1)

    assert workshop.column(message.message_id, "payload") == {"n": 1}


def test_the_priority_names_the_queue(workshop: Workshop, probe: JobActor[..., Any]) -> None:
    probe.send_with_options(kwargs={"n": 1}, priority="high")

    (hint,) = hints(workshop, "high")
    assert hint["actor_name"] == "PROBE.high"
    with pytest.raises(Unsupported, match="high"):
        probe.send_with_options(priority="low")


@pytest.mark.parametrize("delay", [60_000, timedelta(minutes=1)])
def test_a_delay_is_parked_as_a_row_and_nothing_reaches_redis(
    workshop: Workshop, probe: JobActor[..., Any], delay: Any
) -> None:
    job_id = probe.send_with_options(delay=delay).message_id

    assert workshop.column(job_id, "extract(epoch FROM run_at - created_at)::int") == 60
    assert workshop.history(job_id) == ["scheduled"]
    assert workshop.broker.client.keys("*") == []


def test_there_are_no_delay_queues_and_no_consumers_for_them(workshop: Workshop, probe: JobActor[..., Any]) -> None:
    assert probe.queue_name == "default"
    with workshop.open() as worker:
        assert set(worker.consumers) == {"default", "high"}
    assert workshop.broker.get_declared_delay_queues() == set()


def test_a_payload_that_does_not_fit_is_refused_before_anything_is_written(
    workshop: Workshop, probe: JobActor[..., Any]
) -> None:
    for arguments in ({"n": "x"}, {"m": 1}, {"text": "\0"}, {"text": "\ud800"}, {"text": object()}):
        with pytest.raises(InvalidPayload):
            probe.send(**arguments)
    with pytest.raises(InvalidPayload, match="twice"):
        probe.send(1, n=1)

    assert read(workshop.settings.database_url, "SELECT 1 FROM jobs") == []


def test_a_batch_is_accepted_whole_or_not_at_all(workshop: Workshop, probe: JobActor[..., Any]) -> None:
    several = [probe.message_with_options(kwargs={"n": n}) for n in range(3)]

    opened = workshop.broker.submit(several).result(10)
    taken = workshop.broker.submit(
        [probe.message_with_options(kwargs={"n": 4}), replace(several[0], payload='{"n": 5}')]
    )

    assert [o.id for o in opened] == [m.message_id for m in several]
    with pytest.raises(JobIdTaken):
        taken.result(10)
    assert len(hints(workshop)) == 3
    assert read(workshop.settings.database_url, "SELECT count(*) FROM jobs") == [(3,)]


def test_the_same_message_sent_twice_is_one_job(workshop: Workshop, probe: JobActor[..., Any]) -> None:
    message = probe.send(n=1)
    workshop.broker.enqueue(message)

    assert workshop.jobs("PROBE") == [message.message_id]
    assert workshop.history(message.message_id) == ["enqueued"]


def test_other_middleware_hears_of_each_accepted_job(workshop: Workshop, probe: JobActor[..., Any]) -> None:
    heard: list[tuple[str, str]] = []

    class Listening(Middleware):
        def before_enqueue(self, broker: Any, message: Any, delay: Any) -> None:  # noqa: ARG002
            heard.append(("before", message.message_id))

        def after_enqueue(self, broker: Any, message: Any, delay: Any) -> None:  # noqa: ARG002
            heard.append(("after", message.message_id))

    workshop.broker.add_middleware(Listening())
    one, two = probe.send(n=1), probe.message_with_options(kwargs={"n": 2})
    workshop.broker.submit([two]).result(10)

    assert heard == [("before", one.message_id), ("after", one.message_id), ("before", two.message_id),
                     ("after", two.message_id)]  # fmt: skip


def test_the_recorder_stays_first_and_sees_all_there_is(workshop: Workshop) -> None:
    with pytest.raises(Unsupported):
        workshop.broker.add_middleware(Middleware(), before=Recorder)


def test_results_and_groups_are_refused(workshop: Workshop, probe: JobActor[..., Any]) -> None:
    with pytest.raises(Unsupported, match="journal keeps results"):
        workshop.broker.add_middleware(Results(backend=StubResults()))
    with pytest.raises(Unsupported, match="Groups"):
        workshop.broker.add_middleware(GroupCallbacks(StubBackend()))
    group = dramatiq.group([probe.message_with_options(kwargs={"n": 1})], broker=workshop.broker)
    group.add_completion_callback(probe.message_with_options(kwargs={"n": 2}))
    with pytest.raises((Unsupported, RuntimeError)):
        group.run()
    assert workshop.jobs("PROBE") == []


def test_pipelines_are_refused(workshop: Workshop, probe: JobActor[..., Any]) -> None:
    one, two = probe.message_with_options(kwargs={"n": 1}), probe.message_with_options(kwargs={"n": 2})
    with pytest.raises(Unsupported, match="Pipelines"):
        one | two
    with pytest.raises(Unsupported, match="Pipelines"):
        dramatiq.pipeline([one, two], broker=workshop.broker).run()
    with pytest.raises(Unsupported, match="Pipelines"):
        workshop.actor("PIPED", pipe_ignore=True)(lambda: None)
    with pytest.raises(Unsupported):
        probe.send_with_options(pipe_target={})
    assert workshop.jobs("PROBE") == []


@pytest.mark.parametrize(
    ("kind", "options"),
    [("lower", {}), ("TRAILING_", {}), ("SOUND", {"max_retires": 1}), ("SOUND", {"on_crash": "explode"})],
)
def test_an_actor_that_cannot_work_is_refused_when_it_is_declared(
    workshop: Workshop, kind: str, options: dict[str, Any]
) -> None:
    with pytest.raises(InvalidActor):
        workshop.actor(kind, **options)(lambda: None)


def test_coroutines_and_parameters_without_names_are_refused(workshop: Workshop) -> None:
    async def coroutine() -> None: ...

    def stars(*numbers: int) -> None: ...

    def anything(value: object) -> None: ...

    with pytest.raises(InvalidActor, match="coroutine"):
        workshop.actor("ASYNC")(coroutine)
    with pytest.raises(InvalidActor, match="by name only"):
        workshop.actor("STARS")(stars)
    with pytest.raises(InvalidActor, match="object"):
        workshop.actor("ANYTHING")(anything)


def test_a_message_for_an_unknown_actor_is_refused(workshop: Workshop) -> None:
    message: Any = dramatiq.Message("default", "NOBODY", (), {}, {})

    with pytest.raises(UnknownType):
        workshop.broker.enqueue(message)


def test_a_plain_dramatiq_message_becomes_a_job_with_its_payload_on_record(
    workshop: Workshop, probe: JobActor[..., Any]
) -> None:
    message: Any = dramatiq.Message("default", "PROBE", (), {"n": 3}, {"max_retries": 1})

    workshop.broker.enqueue(message)

    assert workshop.jobs(probe.type) == [message.message_id]
    assert workshop.column(message.message_id, "payload") == {"n": 3}
    assert workshop.column(message.message_id, "options") == {"max_retries": 1}


def test_an_option_of_the_wrong_kind_is_refused_to_a_job_and_to_an_actor(
    workshop: Workshop, probe: JobActor[..., Any]
) -> None:
    with pytest.raises(Unsupported, match="max_retries is a whole number, not '3'"):
        probe.send_with_options(max_retries="3")
    with pytest.raises(InvalidActor, match="OTHER: throws is an exception class"):
        workshop.actor("OTHER", throws=[ValueError])(lambda: None)

    assert workshop.jobs("PROBE") == []


def test_ids_do_not_collide_when_a_program_seeds_the_random_numbers(
    workshop: Workshop, probe: JobActor[..., Any]
) -> None:
    ids = set()
    for _ in range(3):
        random.seed(0)
        ids.add(probe.send(n=1).message_id)

    assert len(ids) == 3
    client: Any = workshop.broker.client
    assert len(set(client.lrange("dramatiq:default", 0, -1))) == 3


def test_redis_memory_does_not_depend_on_the_payload(workshop: Workshop, probe: JobActor[..., Any]) -> None:
    client: Any = workshop.broker.client

    def size(text: str) -> int:
        client.flushall()
        for _ in range(100):
            probe.send(n=1, text=text)
        return int(client.memory_usage("dramatiq:default") + client.memory_usage("dramatiq:default.msgs", samples=0))

    small, large = size(""), size("x" * 100_000)

    assert abs(large - small) < small * 0.1
    assert large < 100 * 1_000, "bytes a job"


def test_without_postgres_a_send_fails_clearly_and_redis_holds_nothing(
    workshop: Workshop, probe: JobActor[..., Any], postgres_server: Postgres, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(broker_module, "SEND_TIMEOUT", 0.3)
    postgres_server.stop()
    try:
        with pytest.raises(DatabaseUnavailable):
            probe.send(n=1)
        assert workshop.broker.client.keys("*") == []
    finally:
        postgres_server.start()


def test_p26_without_redis_a_job_is_accepted_and_runs_when_redis_is_back(
    workshop: Workshop, probe: JobActor[..., Any], redis_server: Valkey
) -> None:
    redis_server.stop()
    began = time.monotonic()
    job_ids = [probe.send(n=n).message_id for n in range(20)]
    took = time.monotonic() - began
    redis_server.start()

    workshop.finish(*job_ids)

    assert took < 5, "all of them together"
    assert workshop.history(job_ids[0]) == ["enqueued", "resent", "started", "completed"]


@contextmanager
def frozen(server: Valkey) -> Iterator[None]:
    server.signal(SIGSTOP)
    try:
        yield
    finally:
        server.signal(SIGCONT)


def test_p26_a_frozen_redis_does_not_stall_an_open_beyond_a_second(
    probe: JobActor[..., Any], redis_server: Valkey
) -> None:
    probe.send(n=0)  # connected
    with frozen(redis_server):
        times = []
        for n in range(8):
            began = time.monotonic()
            probe.send(n=n)
            times.append(time.monotonic() - began)

    assert max(times) < 1.5, "half a second for the one that finds out, and something for a busy machine"
    assert sorted(times)[4] < 0.3, "the others do not even try"


def test_p26_a_socket_that_never_answers_does_not_stall_an_open_either(workshop: Workshop) -> None:
    with closing(socket.create_server(("127.0.0.1", 0))) as silent:
        url = f"redis://127.0.0.1:{silent.getsockname()[1]}/0"
        other = Workshop(replace(workshop.settings, redis_url=url))
        other.actor("PROBE")(lambda: None)
        began = time.monotonic()
        job_id = other.broker.types["PROBE"].send().message_id
        took = time.monotonic() - began
        other.broker.recorder.writer.close(10)

    assert took < 1.5
    assert workshop.status(job_id) == "queued"
