"""What dead workers had taken from Redis is put back at once, and nothing waits for a Redis that is away."""

import time
from dataclasses import replace
from typing import Any

import pytest
import redis

from jobplatform import journal
from jobplatform import keeper as keeper_module
from jobplatform.hints import acks_key, message_of, woken_key
from jobplatform.journal import Hint, workers
from jobplatform.keeper import Keeper
from tests.services.journal import live_worker, queued_job, read
from tests.services.workshop import Workshop


@pytest.fixture(autouse=True)
def _postgres_is_old(monkeypatch: pytest.MonkeyPatch) -> None:
    """Keepers look for the dead from the start."""
    monkeypatch.setattr(workers, "seconds_since_postgres_started", lambda: 3_600.0)


def test_the_deliveries_of_a_dead_worker_return_to_redis_at_once(workshop: Workshop) -> None:
    """With the keeper's second look: no hint is missed and sent again first, which takes an hour here."""
    live_worker(9, broker="gone", types=["PROBE"], queues=["high", "default"])
    read(workshop.settings.database_url, "UPDATE workers SET last_seen_at = now() - interval '4 s' WHERE id = 9")
    client: Any = workshop.broker.client
    jobs = {}
    for queue in ("high", "default"):
        delivery, body = message_of(Hint(queued_job(queue=queue), "PROBE", queue, 1))
        woken_by, its_body = message_of(Hint(queued_job(queue=queue), "PROBE", queue, 2))
        client.hset(f"dramatiq:{queue}.msgs", mapping={delivery: body, woken_by: its_body})
        client.sadd(acks_key("gone", queue), delivery, "acknowledged-meanwhile")
        client.rpush(woken_key("gone", queue), woken_by)
        jobs[queue] = [delivery.encode(), woken_by.encode()]
    keeper = Keeper(replace(workshop.settings, resend_grace=3_600_000))

    keeper.tick()
    assert client.exists(acks_key("gone", "high"), acks_key("gone", "default")) == 2
    keeper.tick()

    assert {queue: client.lrange(f"dramatiq:{queue}", 0, -1) for queue in jobs} == jobs
    assert client.keys("dramatiq:__*gone*") == []


def test_what_was_taken_returns_from_whoever_shows_redis_no_life(
    workshop: Workshop, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also if it died before it was on record, and once Redis is back. Whoever lives keeps what it holds."""
    client: Any = workshop.broker.client
    taken = {}
    for broker, silent in (("unheard-of", 21), ("busy", 5), (b"no text \xff", 30)):
        client.zadd("dramatiq:__heartbeats__", {broker: (client.time()[0] - silent) * 1000})
        if isinstance(broker, str):
            delivery, body = message_of(Hint(queued_job(), "PROBE", "default", 1))
            client.hset("dramatiq:default.msgs", delivery, body)
            client.rpush(woken_key(broker, "default"), delivery)
            taken[broker] = delivery.encode()
    with monkeypatch.context() as away:
        away.setattr(keeper_module, "_SILENT_EVERY", 0.0)
        keeper = Keeper(replace(workshop.settings, resend_grace=3_600_000))
        away.setattr(keeper._sender, "_return", _away)
        keeper.tick()
        assert client.llen("dramatiq:default") == 0
    keeper._sender.resume()

    keeper.tick()

    assert client.lrange("dramatiq:default", 0, -1) == [taken["unheard-of"]]
    assert client.lrange(woken_key("busy", "default"), 0, -1) == [taken["busy"]]
    assert client.zrange("dramatiq:__heartbeats__", 0, -1) == [b"busy"]


def test_a_worker_that_waits_shows_redis_life_by_its_clock(workshop: Workshop, monkeypatch: pytest.MonkeyPatch) -> None:
    client: Any = workshop.broker.client
    monkeypatch.setattr(time, "time", lambda: 0.0)
    consumer = workshop.broker.consume("default", prefetch=1, timeout=1)
    before = client.time()[0] * 1000

    assert next(consumer) is None

    ((broker, heard),) = client.zrange("dramatiq:__heartbeats__", 0, -1, withscores=True)
    assert broker.decode() == workshop.broker.broker_id
    assert before <= heard <= (client.time()[0] + 1) * 1000


def _away(*_: Any, **__: Any) -> None:
    raise redis.ConnectionError("away")


def test_a_death_is_declared_and_its_jobs_are_rescued_though_redis_is_away(
    workshop: Workshop, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    live_worker(9, broker="gone")
    job_id = queued_job()
    journal.commit([journal.Claim(job_id, "PROBE", job_id, 9, 2)])
    read(workshop.settings.database_url, "UPDATE workers SET last_seen_at = now() - interval '4 s' WHERE id = 9")
    keeper = Keeper(workshop.settings)
    monkeypatch.setattr(keeper._client, "execute_command", _away)
    monkeypatch.setattr(keeper._sender, "_return", _away)

    keeper.tick()
    keeper.tick()

    assert workshop.history(job_id)[:3] == ["enqueued", "started", "rescued"]
    assert caplog.text.count("Redis takes no hints") == 1
