"""Taking hints out of Redis: at once, each of them, whatever lies between them."""

import threading
import time
from collections.abc import Iterator
from functools import partial
from typing import Any
from uuid import uuid4

import msgspec
import pytest

from jobplatform.consumer import JobConsumer
from jobplatform.hints import HintSender, acks_key, message_of
from jobplatform.job_actor import JobActor
from jobplatform.journal import Hint
from tests.services.patience import eventually
from tests.services.workshop import Workshop


@pytest.fixture
def probe(workshop: Workshop) -> JobActor[..., Any]:
    @workshop.actor("PROBE")
    def probe(n: int = 0) -> int:
        return n

    return probe


@pytest.fixture
def consumer(workshop: Workshop, probe: JobActor[..., Any]) -> Iterator[JobConsumer]:
    """What Dramatiq's consumer thread iterates over, with a prefetch of four and a wait of 50 ms."""
    assert probe.broker is workshop.broker
    consumer = workshop.broker.consume("default", prefetch=4, timeout=50)
    yield consumer
    consumer.close()


def send(workshop: Workshop, *job_ids: str) -> None:
    """Hints, also for jobs that do not exist."""
    HintSender(workshop.broker.client).send([Hint(job_id, "PROBE", "default", 1) for job_id in job_ids])


def send_body(workshop: Workshop, body: bytes) -> None:
    delivery = uuid4().hex
    client: Any = workshop.broker.client
    client.hset("dramatiq:default.msgs", delivery, body)
    client.rpush("dramatiq:default", delivery)


def ids(count: int) -> list[str]:
    return [str(uuid4()) for _ in range(count)]


def taken(consumer: JobConsumer) -> str | None:
    message = next(consumer)
    return None if message is None else message.message_id


def test_hints_come_in_their_order(workshop: Workshop, consumer: JobConsumer) -> None:
    send(workshop, *(sent := ids(3)))

    assert [taken(consumer) for _ in range(4)] == [*sent, None]


def test_an_idle_consumer_wakes_at_once(workshop: Workshop, probe: JobActor[..., Any]) -> None:
    """Its wait lasts four seconds and a half; a hint ends it."""
    consumer = workshop.broker.consume("default", prefetch=4, timeout=4_500)
    sent, woken = ids(1)[0], []
    thread = threading.Thread(target=lambda: woken.append((taken(consumer), time.monotonic())))
    thread.start()
    client: Any = workshop.broker.client
    eventually(lambda: waits(client, 1), what="its waiting")

    began = time.monotonic()
    send(workshop, sent)
    thread.join()

    ((message_id, at),) = woken
    assert message_id == sent
    assert at - began < 1
    assert probe.queue_name == "default"


def test_a_hint_wakes_one_of_those_who_wait(workshop: Workshop, probe: JobActor[..., Any]) -> None:
    """The others sleep on: to wake them would cost as much as the job."""
    other = Workshop(workshop.settings)
    other.actor("PROBE")(probe.fn)
    client: Any = workshop.broker.client
    got: list[str | None] = []

    def take(each: Workshop) -> None:
        got.append(taken(each.broker.consume("default", prefetch=4, timeout=4_500)))

    threads = []
    for number, each in enumerate((workshop, other), start=1):
        threads.append(threading.Thread(target=take, args=(each,)))
        threads[-1].start()
        eventually(partial(waits, client, number), what="its waiting")
    fetches = fetches_of(client)
    first, second = ids(2)

    send(workshop, first)
    threads[0].join()

    assert got == [first], "the one who had waited longest"
    assert waits(client, 1)
    assert fetches_of(client) == fetches + 1
    send(workshop, second)
    threads[1].join()
    assert got == [first, second]
    other.close()


def waits(client: Any, count: int) -> bool:
    """Whether so many consumers wait for a hint."""
    return bool(client.info("clients")["blocked_clients"] == count)


def fetches_of(client: Any) -> int:
    """Each leaves a sign of life."""
    return int(client.info("commandstats")["cmdstat_zadd"]["calls"])


def test_what_a_process_was_woken_by_outlasts_its_connection(workshop: Workshop, consumer: JobConsumer) -> None:
    """The one that takes its place puts it back first."""
    client: Any = workshop.broker.client
    send(workshop, *(sent := ids(2)))
    assert consumer._wait_for_hint()
    assert client.llen("dramatiq:default") == 1, "no other process has it"

    successor = workshop.broker.consume("default", prefetch=4, timeout=50)

    assert [taken(successor) for _ in range(3)] == [*sent, None]
    assert client.keys("dramatiq:__woken__*") == []


def test_a_hint_that_wakes_a_stopping_worker_goes_on_to_the_others(
    workshop: Workshop, probe: JobActor[..., Any]
) -> None:
    """Not only when it has ended: its last jobs may take half a minute."""
    consumer = workshop.broker.consume("default", prefetch=4, timeout=4_500)
    client: Any = workshop.broker.client
    got: list[str | None] = []
    thread = threading.Thread(target=lambda: got.append(taken(consumer)))
    thread.start()
    eventually(partial(waits, client, 1), what="its waiting")
    assert workshop.broker.stop_fetching() == []
    sent = ids(1)[0]

    send(workshop, sent)

    eventually(lambda: client.llen(f"dramatiq:{probe.queue_name}") == 1, what="the hint")
    assert client.keys("dramatiq:__woken__*") == []
    thread.join()
    assert got == [None]


def test_a_hint_that_woke_a_worker_whose_queue_was_paused_goes_back(
    workshop: Workshop, consumer: JobConsumer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also if the answer was lost by which it was woken."""
    assert next(consumer) is None, "and with that it has shown life"
    client: Any = workshop.broker.client
    blmove = client.blmove

    def lose_the_answer(*words: Any) -> None:
        assert blmove(*words) is not None
        workshop.broker.rest({"default"})

    monkeypatch.setattr(client, "blmove", lose_the_answer)
    sent = ids(2)

    def find_nothing_a_moment_before() -> bool:
        send(workshop, *sent)
        return False

    monkeypatch.setattr(consumer, "_fetch", find_nothing_a_moment_before)

    assert next(consumer) is None
    assert next(consumer) is None

    assert client.llen("dramatiq:default") == 2
    assert client.keys("dramatiq:__woken__*") == []
    monkeypatch.undo()
    workshop.broker.rest(())
    assert [taken(consumer) for _ in sent] == sent


def test_a_consumer_that_has_set_something_aside_waits_for_less_long(
    workshop: Workshop, consumer: JobConsumer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It sends round what it cannot take now, and shall hardly be the first to be woken by it."""
    waited: list[float] = []
    monkeypatch.setattr(workshop.broker.client, "blmove", lambda *words: waited.append(words[2]))
    send(workshop, *ids(1))
    message = next(consumer)
    assert message is not None
    assert next(consumer) is None

    workshop.broker.set_aside(message)
    assert next(consumer) is None

    assert waited == [0.05, pytest.approx(0.015)]


def test_no_more_is_taken_than_there_is_room_for(workshop: Workshop, consumer: JobConsumer) -> None:
    send(workshop, *ids(6))
    held = [next(consumer) for _ in range(4)]

    assert next(consumer) is None
    assert workshop.broker.client.llen("dramatiq:default") == 2

    for message in held:
        assert message is not None
        consumer.ack(message)
    assert taken(consumer) is not None


def test_acknowledgements_travel_with_the_next_fetch(workshop: Workshop, consumer: JobConsumer) -> None:
    client: Any = workshop.broker.client
    send(workshop, *ids(1))
    message = next(consumer)
    assert message is not None
    consumer.ack(message)
    assert client.hlen("dramatiq:default.msgs") == 1

    assert next(consumer) is None

    assert client.hlen("dramatiq:default.msgs") == 0
    assert client.keys("dramatiq:__acks__*") == []


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"no JSON",
        b"[]",
        b"{}",
        b'{"queue_name": "default"}',
        b'{"actor_name": "PROBE"}',
        b'{"actor_name": 7, "message_id": "01a20bf7-4f1d-7846-8743-9f7b3774537b"}',
        b'{"actor_name": "PROBE", "message_id": "\\ud800"}',
        b'{"actor_name": "PROBE", "message_id": "\xff"}',
        b"[" * 100_000,
    ],
)
def test_a_hint_that_cannot_be_read_is_set_aside_and_those_around_it_run(
    workshop: Workshop, probe: JobActor[..., Any], body: bytes
) -> None:
    before = probe.send(n=1).message_id
    send_body(workshop, body)
    after = probe.send(n=2).message_id

    with workshop.open(threads=1) as worker:
        for job_id in (before, after):
            workshop.until(job_id, "completed")
        client: Any = workshop.broker.client
        eventually(lambda: client.hlen("dramatiq:default.msgs") == 0, what="an end to the bad one")
        assert all(thread.is_alive() for thread in (*worker.workers, *worker.consumers.values()))
        assert workshop.broker._holdings["default"].open == 0, "its place is free again"

    assert workshop.history(before) == workshop.history(after) == ["enqueued", "started", "completed"]


@pytest.mark.parametrize(
    "nonsense",
    [
        {"message_id": "no uuid"},
        {"message_id": 7},
        {"queue_name": "another"},
        {"queue_name": 7},
        {"options": []},
        {"options": {"eta": 1}},
        {"options": {"redis_message_id": "another"}},
        {"args": 1, "kwargs": []},
        {"message_timestamp": "yesterday"},
        {"more": True},
    ],
    ids=str,
)
def test_a_hint_that_talks_nonsense_costs_nothing_but_itself(
    workshop: Workshop, probe: JobActor[..., Any], nonsense: dict[str, Any]
) -> None:
    delivery, body = message_of(Hint(str(uuid4()), "PROBE", "default", 1))
    client: Any = workshop.broker.client
    client.hset("dramatiq:default.msgs", delivery, msgspec.json.encode({**msgspec.json.decode(body), **nonsense}))
    client.rpush("dramatiq:default", delivery)
    job_id = probe.send(n=1).message_id

    with workshop.open(threads=1) as worker:
        workshop.until(job_id, "completed")
        eventually(lambda: client.hlen("dramatiq:default.msgs") == 0, what="its acknowledgement")
        assert all(thread.is_alive() for thread in (*worker.workers, *worker.consumers.values()))
        assert workshop.broker._holdings["default"].open == 0


def test_p14_a_hint_of_a_type_unknown_here_is_acknowledged_and_its_job_stays_queued(
    workshop: Workshop, probe: JobActor[..., Any]
) -> None:
    other = Workshop(workshop.settings)
    other.actor("ELSEWHERE")(lambda: None)
    job_id = other.broker.types["ELSEWHERE"].send().message_id
    known = probe.send(n=1).message_id

    with workshop.open():
        workshop.until(known, "completed")
        client: Any = workshop.broker.client
        eventually(lambda: client.hlen("dramatiq:default.msgs") == 0)

    assert workshop.history(job_id) == ["enqueued"], "not sent again where nobody knows it"
    assert not [key for key in client.keys("*") if b"XQ" in key], "no dead letters"
    other.finish(job_id)
    other.close()
    assert workshop.history(job_id) == ["enqueued", "resent", "started", "completed"]


def test_a_hint_that_comes_twice_runs_its_job_once(workshop: Workshop, probe: JobActor[..., Any]) -> None:
    job_id = probe.send(n=1).message_id
    send(workshop, job_id, job_id)

    with workshop.open(threads=4):
        workshop.until(job_id, "completed")
        client: Any = workshop.broker.client
        eventually(lambda: client.hlen("dramatiq:default.msgs") == 0)

    assert workshop.history(job_id) == ["enqueued", "started", "completed"]


def test_what_a_lost_answer_took_from_the_queue_is_taken_back(workshop: Workshop, consumer: JobConsumer) -> None:
    """The fetch was done, its answer never came: the deliveries are this broker's, and nobody here has them."""
    lost, held = ids(1)[0], ids(1)[0]
    send(workshop, held, lost)
    message = next(consumer)
    assert message is not None
    client: Any = workshop.broker.client
    (delivery,) = client.smembers(consumer._acks) - {str(message.options["redis_message_id"]).encode()}
    holding = workshop.broker._holdings["default"]
    holding.held.discard(delivery.decode())
    holding.fetched.clear()

    again = workshop.broker.consume("default", prefetch=4, timeout=50)

    assert [taken(again), taken(again)] == [lost, None], "and what is held here is not delivered twice"


def test_what_was_fetched_before_a_connection_was_lost_is_not_forgotten(
    workshop: Workshop, consumer: JobConsumer
) -> None:
    """Dramatiq makes a new consumer after any trouble; what the old one had not yet given out comes all the same."""
    send(workshop, *(sent := ids(3)))
    first = taken(consumer)

    again = workshop.broker.consume("default", prefetch=4, timeout=50)

    assert [first, taken(again), taken(again)] == sent


def test_a_worker_that_stops_gives_back_what_it_has_not_begun(workshop: Workshop, probe: JobActor[..., Any]) -> None:
    over, began = threading.Event(), threading.Event()

    @workshop.actor("LONG")
    def long() -> None:
        began.set()
        over.wait(10)

    long.send()
    waiting = [probe.send(n=n).message_id for n in range(3)]
    client: Any = workshop.broker.client
    with workshop.open(threads=1):
        assert began.wait(10)
        eventually(lambda: client.llen("dramatiq:default") == 2, what="its prefetch of two")
        threading.Timer(0.1, over.set).start()

    assert client.llen("dramatiq:default") == 3
    assert [workshop.history(job_id) for job_id in waiting] == [["enqueued"]] * 3


def test_a_consumer_that_follows_one_whose_hands_are_full_waits_for_room(
    workshop: Workshop, consumer: JobConsumer
) -> None:
    send(workshop, *ids(6))
    held = [next(consumer) for _ in range(4)]

    again = workshop.broker.consume("default", prefetch=4, timeout=50)

    assert next(again) is None
    for message in held:
        assert message is not None
        again.ack(message)
    assert taken(again) is not None


def test_what_a_pause_refuses_while_hints_go_back_goes_back_too(
    workshop: Workshop, consumer: JobConsumer, monkeypatch: pytest.MonkeyPatch
) -> None:
    sent = sorted(ids(3))
    send(workshop, *sent)
    first, second, third = (next(consumer) for _ in sent)
    holding = workshop.broker._holdings["default"]
    put_back = consumer._put_back_script

    def and_meanwhile_another_is_refused(**given: Any) -> Any:
        answer = put_back(**given)
        if third is not None and len(given["args"]) == 2:
            holding.put_back(third)
            holding.rest(True)
        return answer

    monkeypatch.setattr(consumer, "_put_back_script", and_meanwhile_another_is_refused)
    for message in (first, second):
        assert message is not None
        holding.put_back(message)
    holding.rest(True)

    assert next(consumer) is None

    client: Any = workshop.broker.client
    assert client.llen("dramatiq:default") == 3
    assert (holding.held, holding.going_back) == (set(), [])


def test_a_delivery_whose_id_is_no_text_harms_no_other(workshop: Workshop, consumer: JobConsumer) -> None:
    client: Any = workshop.broker.client
    acks = acks_key(workshop.broker.broker_id, "default")
    client.hset("dramatiq:default.msgs", b"\xff", b"no JSON")
    client.rpush("dramatiq:default", b"\xff", b"\xfe")
    send(workshop, *(sent := ids(1)))

    assert [taken(consumer), taken(consumer)] == [*sent, None]

    assert client.hkeys("dramatiq:default.XQ.msgs") == [b"\xff"], "set aside"
    assert workshop.broker._holdings["default"].held == {*map(bytes.decode, client.smembers(acks))}
