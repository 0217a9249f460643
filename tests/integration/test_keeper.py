"""The keeper's look: what is due, what was lost, and what is left alone."""

import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from signal import SIGCONT, SIGSTOP, SIGTERM
from typing import Any

import msgspec
import pytest
import redis

from jobplatform.journal import Open
from jobplatform.keeper import Keeper
from jobplatform.local.postgres import Postgres
from jobplatform.local.valkey import Valkey
from jobplatform.settings import Settings
from jobplatform.writer import Writer
from tests.services.journal import connected, history, new_job, read, status
from tests.services.patience import eventually
from tests.services.processes import Processes
from tests.services.workshop import Workshop


class Look:
    """A keeper whose ticks one makes oneself."""

    def __init__(self, workshop: Workshop) -> None:
        # The worker that these tests put on record holds no lock, and is not to be found dead for it.
        self.keeper = Keeper(replace(workshop.settings, death_after=3_600_000, frozen_after=3_600_000))
        self.client: Any = workshop.broker.client
        self._url = workshop.settings.database_url

    def for_longer_than_a_grace(self) -> int:
        """Tick until what is lost by now must have been found. Returns the number of hints sent again."""
        self.keeper.tick()
        until = time.monotonic() + 0.35  # from the end of the first look on, however long it took
        while time.monotonic() < until:
            self.keeper.tick()
        self.keeper.tick()
        return self.resent()

    def resent(self) -> int:
        ((count,),) = read(self._url, "SELECT count(*) FROM transitions WHERE event = 'resent'")
        assert isinstance(count, int)
        return count


@pytest.fixture
def look(workshop: Workshop) -> Look:
    workshop.actor("PROBE")(lambda: None)
    a_live_worker(workshop)
    return Look(workshop)


def a_live_worker(workshop: Workshop, types: str = "{PROBE}") -> None:
    read(
        workshop.settings.database_url,
        "INSERT INTO workers (host, pid, version, broker, queues, types, threads, started_at, last_seen_at)"
        " VALUES ('here', 1, '0', 'none', '{high,default}', %s, 1, now(), now())",
        [types],
    )


def send(workshop: Workshop, count: int = 1) -> list[str]:
    return [workshop.broker.types["PROBE"].send().message_id for _ in range(count)]


def waiting(look: Look) -> list[str]:
    """The jobs whose hints wait in Redis, in their order."""
    deliveries = look.client.lrange("dramatiq:default", 0, -1)
    bodies = [look.client.hget("dramatiq:default.msgs", delivery) for delivery in deliveries]
    return [msgspec.json.decode(body)["message_id"] for body in bodies]


def test_p24_a_backlog_without_loss_is_left_alone(workshop: Workshop, look: Look) -> None:
    jobs = send(workshop, 30)

    assert look.for_longer_than_a_grace() == 0

    assert waiting(look) == jobs


def test_p24_hints_that_were_lost_are_sent_again_and_no_other(workshop: Workshop, look: Look) -> None:
    """Some from the middle of the backlog: they are known to be lost once the list has moved beyond them."""
    jobs = send(workshop, 10)
    deliveries = look.client.lrange("dramatiq:default", 0, -1)
    for delivery in deliveries[:2]:
        look.client.lrem("dramatiq:default", 1, delivery)

    assert look.for_longer_than_a_grace() == 2

    assert waiting(look) == [*jobs[2:], *jobs[:2]], "at the tail, under new stamps"
    assert look.for_longer_than_a_grace() == 2, "and not again"


def test_p24_after_a_flush_everything_is_sent_again_in_its_order(workshop: Workshop, look: Look) -> None:
    jobs = send(workshop, 10)
    look.client.flushall()

    assert look.for_longer_than_a_grace() == 10

    assert waiting(look) == jobs


@pytest.mark.parametrize("body", [None, b"no JSON", b"{}", b'{"options": {}}', b'{"options": {"dispatched_at": "x"}}',
                                  b'{"options": {"dispatched_at": 1e300}}', b"[" * 100_000])  # fmt: skip
def test_p24_a_head_that_cannot_be_read_says_nothing(workshop: Workshop, look: Look, body: bytes | None) -> None:
    send(workshop, 3)
    look.client.flushall()
    look.client.rpush("dramatiq:default", "odd")
    if body is not None:
        look.client.hset("dramatiq:default.msgs", "odd", body)

    assert look.for_longer_than_a_grace() == 0, "it is not an empty list"

    look.client.lpop("dramatiq:default")
    assert look.for_longer_than_a_grace() == 3


def test_p24_a_head_from_the_future_is_not_believed(workshop: Workshop, look: Look) -> None:
    send(workshop, 3)
    look.client.lpush("dramatiq:default", "odd")
    look.client.hset("dramatiq:default.msgs", "odd", b'{"options": {"dispatched_at": 99999999999999999}}')

    look.keeper.tick()
    assert look.resent() == 0, "not before a grace has passed"


def test_p24_without_redis_nothing_is_taken_for_lost(workshop: Workshop, look: Look, redis_server: Valkey) -> None:
    send(workshop, 3)
    redis_server.stop()

    assert look.for_longer_than_a_grace() == 0


def test_p24_while_redis_refuses_writes_no_hint_is_sent_in_vain_and_its_pause_made_longer(
    workshop: Workshop, look: Look
) -> None:
    send(workshop, 3)
    look.client.flushall()
    assert look.for_longer_than_a_grace() == 3
    look.client.flushall()

    look.client.config_set("maxmemory", 1)
    try:
        refused = [look.for_longer_than_a_grace() for _ in range(3)][-1] - 3
    finally:
        look.client.config_set("maxmemory", 0)

    assert refused == 0
    eventually(lambda: look.for_longer_than_a_grace() == 6, what="the hints are sent once Redis takes them")
    assert len(waiting(look)) == 3


def test_p26_a_redis_that_hung_a_moment_ago_gets_the_hints_that_it_lost(
    workshop: Workshop, look: Look, redis_server: Valkey, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After a hang the keeper sends nothing for a while; but when a look shows that Redis is back, it does."""
    monkeypatch.setattr("jobplatform.hints._PAUSE_OF_A_HUNG_SERVER", 60.0)
    jobs = send(workshop, 3)
    look.client.flushall()
    workshop.broker.types["PROBE"].send_with_options(delay=1)
    redis_server.signal(SIGSTOP)
    try:
        eventually(
            lambda: look.keeper.tick() and look.keeper._sender._troubled, what="a release that Redis did not take"
        )
    finally:
        redis_server.signal(SIGCONT)

    eventually(lambda: look.for_longer_than_a_grace() >= 3)
    assert set(jobs) < set(waiting(look))


def test_p24_a_hint_that_is_in_hand_but_not_claimed_gets_a_second_one_after_a_grace(
    workshop: Workshop, look: Look
) -> None:
    """Prefetched by a worker that is stuck: to the list it looks as if it were lost."""
    (job_id,) = send(workshop)
    look.client.lpop("dramatiq:default")

    look.keeper.tick()
    assert look.resent() == 0
    assert look.for_longer_than_a_grace() == 1
    assert waiting(look) == [job_id]


def test_p25_a_hint_lost_again_and_again_is_sent_after_longer_and_longer_pauses(workshop: Workshop, look: Look) -> None:
    (job_id,) = send(workshop)
    until = time.monotonic() + 2.5
    while time.monotonic() < until:
        look.client.delete("dramatiq:default")
        look.keeper.tick()

    gaps = read(
        workshop.settings.database_url,
        "SELECT extract(epoch FROM at - lag(at) OVER (ORDER BY id))::float FROM transitions WHERE job_id = %s",
        [job_id],
    )
    pauses = [gap for (gap,) in gaps[1:]]
    assert len(pauses) in (2, 3), pauses
    assert all(pause >= 0.3 * 2**place for place, pause in enumerate(pauses)), pauses


def test_p25_what_redis_forgot_is_sent_again_without_a_pause_however_often_it_was(
    workshop: Workshop, look: Look
) -> None:
    """And by each keeper that looks: which one noticed does not matter."""
    look.keeper.tick()
    (job_id,) = send(workshop)
    read(workshop.settings.database_url, "UPDATE jobs SET resends = 15 WHERE id = %s", [job_id])
    look.client.delete("dramatiq:default")
    assert look.for_longer_than_a_grace() == 0, "the pause of a job that was sent in vain so often is long"

    look.client.flushall()
    Look(workshop).keeper.tick()

    assert look.for_longer_than_a_grace() == 1
    assert waiting(look) == [job_id]
    assert look.for_longer_than_a_grace() == 1, "and once for each loss"
    assert read(workshop.settings.database_url, "SELECT resends FROM jobs") == [(1,)]


def test_p25_without_a_worker_that_knows_the_type_nothing_is_sent(workshop: Workshop) -> None:
    workshop.actor("PROBE")(lambda: None)
    a_live_worker(workshop, "{OTHER}")
    look = Look(workshop)
    send(workshop)
    look.client.flushall()

    assert look.for_longer_than_a_grace() == 0


def test_a_due_job_is_released_and_never_early(workshop: Workshop, look: Look) -> None:
    job_id = workshop.broker.types["PROBE"].send_with_options(delay=250).message_id
    pauses = []

    while workshop.status(job_id) == "scheduled":
        pauses.append(look.keeper.tick())

    assert workshop.column(job_id, "dispatched_at >= run_at")
    assert workshop.column(job_id, "extract(epoch FROM dispatched_at - run_at) < 1")
    assert waiting(look) == [job_id]
    assert max(pauses) <= workshop.settings.keeper_tick / 1000
    assert look.resent() == 0


def test_a_tick_is_as_soon_as_the_next_job_is_due(workshop: Workshop) -> None:
    workshop.actor("PROBE")(lambda: None)
    slow = Keeper(Settings(database_url=workshop.settings.database_url, redis_url=workshop.settings.redis_url))
    assert slow.tick() == 1.0

    workshop.broker.types["PROBE"].send_with_options(delay=500)

    assert 0 < slow.tick() <= 0.5


def test_several_keepers_send_each_lost_hint_once(workshop: Workshop, look: Look) -> None:
    send(workshop, 20)
    look.client.flushall()
    others = [Look(workshop) for _ in range(3)]

    def keep(one: Look) -> None:
        with connected(workshop.settings.database_url):
            one.for_longer_than_a_grace()

    threads = [threading.Thread(target=keep, args=[one]) for one in (look, *others)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert look.resent() == len(waiting(look)) == 20


def test_the_output_folder_is_swept_from_time_to_time_a_batch_at_a_tick(
    workshop: Workshop, look: Look, monkeypatch: pytest.MonkeyPatch
) -> None:
    done: list[str] = []

    def sweep(folder: str) -> Iterator[list[Path]]:
        for n in range(3):
            done.append(f"{n} of {folder}")
            yield []

    monkeypatch.setattr("jobplatform.keeper.sweep", sweep)
    look.keeper.tick()
    assert done == []
    monkeypatch.setattr(look.keeper, "_sweep_at", time.monotonic())
    look.keeper.tick()
    assert len(done) == 1
    monkeypatch.setattr(look.keeper, "_sweep_at", time.monotonic())  # before the sweep has ended, which goes on

    for _ in range(4):
        look.keeper.tick()

    assert done == [f"{n} of {workshop.settings.output_dir}" for n in range(3)]


def test_keepers_that_start_together_sweep_at_different_times(workshop: Workshop) -> None:
    first = [Keeper(workshop.settings)._sweep_at - time.monotonic() for _ in range(8)]

    assert 0 <= min(first) < max(first) <= 600
    assert max(first) - min(first) > 10


def test_an_output_folder_that_cannot_be_swept_stops_nothing(
    workshop: Workshop, look: Look, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def refuse(_: str) -> Iterator[list[Path]]:
        yield []
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("jobplatform.keeper.sweep", refuse)
    monkeypatch.setattr(look.keeper, "_sweep_at", time.monotonic())

    for _ in range(3):
        assert look.keeper.tick() == workshop.settings.keeper_tick / 1000

    assert caplog.text.count("Permission denied") == 1


@contextmanager
def _a_scheduled_job(url: str) -> Iterator[str]:
    with connected(url):
        writer = Writer(lambda _: None)
        job = new_job(delay_ms=200)
        writer.put(Open([job])).result(10)
        writer.close(5)
        yield job.id


def test_a_keeper_alone_keeps_through_an_outage_and_ends_at_sigterm(
    database_url: str, redis_url: str, processes: Processes, postgres_server: Postgres, tmp_path: Path
) -> None:
    environment = {"DATABASE_URL": database_url, "REDIS_URL": redis_url, "KEEPER_TICK": "50"}
    keeper = processes.start(sys.executable, "-m", "jobplatform", "keeper", environment=environment, folder=tmp_path)
    keeper.wait_for("The keeper looks every 50 ms.")
    postgres_server.stop()
    keeper.wait_for("The keeper waits for Postgres")
    postgres_server.start()
    keeper.wait_for("The keeper keeps again.")

    with _a_scheduled_job(database_url) as job_id:
        eventually(lambda: status(database_url, job_id) == "queued")

    assert history(database_url, job_id) == ["scheduled", "released"]
    with redis.Redis.from_url(redis_url) as client:
        assert eventually(lambda: client.llen("dramatiq:default")) == 1
    keeper.signal(SIGTERM)
    assert keeper.wait(10) == 0


@pytest.mark.parametrize("missing", ["DATABASE_URL", "REDIS_URL"])
def test_a_keeper_without_its_services_says_so_in_one_line(missing: str, processes: Processes, tmp_path: Path) -> None:
    given = {"DATABASE_URL": "postgresql://127.0.0.1/x", "REDIS_URL": "redis://127.0.0.1"}
    del given[missing]
    keeper = processes.start(sys.executable, "-m", "jobplatform", "keeper", environment=given, folder=tmp_path)

    assert keeper.wait(10) == 1
    assert keeper.lines == ["A keeper needs DATABASE_URL and REDIS_URL. `python -m jobplatform up` brings both."]


def test_idempotency_keys_that_have_expired_are_deleted_batch_by_batch_and_then_now_and_again(
    look: Look, workshop: Workshop, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("jobplatform.keeper.BATCH_SIZE", 2)
    url = workshop.settings.database_url
    insert = "INSERT INTO idempotency_keys SELECT 'ada', %s, '', '{}', clock_timestamp() + %s * interval '1 second'"
    for name, seconds in (("a", -1), ("b", -1), ("c", -1), ("d", 60)):
        read(url, insert, [name, seconds])

    pauses = [look.keeper.tick(), look.keeper.tick()]

    assert read(url, "SELECT key FROM idempotency_keys") == [("d",)]
    assert pauses[0] < pauses[1], "there was more to delete"
    read(url, "UPDATE idempotency_keys SET expires_at = clock_timestamp()")
    look.keeper.tick()
    assert read(url, "SELECT key FROM idempotency_keys") == [("d",)], "not at every tick"
    look.keeper._sweep_at = time.monotonic()
    look.keeper.tick()
    assert read(url, "SELECT key FROM idempotency_keys") == []
