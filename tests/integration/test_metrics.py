"""GET /metrics: what Prometheus reads there is what is on record, after real transitions."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace

import pytest
from falcon import testing
from prometheus_client import Metric
from prometheus_client.openmetrics.parser import text_string_to_metric_families as parsed_open_metrics
from prometheus_client.parser import text_string_to_metric_families as parsed

from jobplatform import journal
from jobplatform.journal import PauseQueue
from jobplatform.keeper import Keeper
from jobplatform.settings import Settings
from jobplatform.states import Event
from tests.services.journal import (
    WORKER,
    a_claim,
    claimed_job,
    live_worker,
    new_job,
    open_jobs,
    queued_job,
    read,
    settle,
)
from tests.services.reading import reading_client

TEXT = "text/plain; version=0.0.4; charset=utf-8"
OPEN_METRICS = "application/openmetrics-text; version=1.0.0; charset=utf-8"
#: What Prometheus 3 asks with.
OF_PROMETHEUS = (
    "application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.6,"
    "application/openmetrics-text;version=0.0.1;q=0.5,text/plain;version=1.0.0;escaping=allow-utf-8;q=0.4,"
    "text/plain;version=0.0.4;q=0.3,*/*;q=0.2"
)

Samples = dict[tuple[str, ...], float]


@pytest.fixture
def client(journal_url: str, redis_url: str) -> Iterator[testing.TestClient]:
    read(journal_url, "TRUNCATE keepers")
    with reading_client(journal_url, redis_url) as made:
        yield made


def samples(client: testing.TestClient) -> Samples:
    """Each sample's value, by its name and the values of its labels, in the order of their names."""
    answer = client.simulate_get("/metrics")
    assert (answer.status_code, answer.headers["Content-Type"]) == (200, TEXT)
    return samples_of(parsed(answer.text))


def samples_of(families: Iterable[Metric]) -> Samples:
    return {
        (sample.name.removeprefix("jobplatform_"), *(value for _, value in sorted(sample.labels.items()))): sample.value
        for family in families
        for sample in family.samples
    }


def named(found: Samples, name: str) -> Samples:
    """Those of one metric, but for what is 0."""
    return {key: value for key, value in found.items() if key[0] == name and value}


def test_jobs_are_counted_as_the_record_has_them(journal_url: str, client: testing.TestClient) -> None:
    lives: tuple[Callable[[], object], ...] = (
        queued_job,
        lambda: queued_job(type="OTHER", queue="high"),
        lambda: open_jobs(new_job(delay_ms=60_000)),
        claimed_job,
        lambda: settle(claimed_job()),
        lambda: settle(claimed_job(), Event.FAILED),
        lambda: settle(claimed_job(queue="high"), Event.RETRY_PLANNED, delay_ms=60_000),
    )
    samples(client)  # a first look, to which what comes after it is added

    for live in lives:
        live()
        on_record = read(journal_url, "SELECT status, type, count(*) FROM jobs GROUP BY status, type")
        assert named(samples(client), "jobs") == {
            ("jobs", status, type_): count for status, type_, count in on_record
        }, live

    found = samples(client)
    assert len(found) == len([line for line in client.simulate_get("/metrics").text.splitlines() if line[0] != "#"])
    assert found["jobs", "cancelled", "OTHER"] == 0, "each status of a type is there from the first"
    assert named(found, "queue_depth") == {("queue_depth", "default"): 1, ("queue_depth", "high"): 1}
    assert named(found, "queue_running") == {("queue_running", "default"): 1}


def test_queues_tell_of_their_waiting_and_their_pauses(journal_url: str, client: testing.TestClient) -> None:
    idle = samples(client)
    assert idle["queue_oldest_waiting_seconds", "high"] == 0
    assert ("queue_latency_seconds", "high") not in idle

    settle(claimed_job(queue="high"))
    waits = queued_job(queue="high")
    read(journal_url, "UPDATE jobs SET dispatched_at = now() - interval '90 s' WHERE id = %s", [waits])
    journal.commit([PauseQueue("high")])

    found = samples(client)
    assert 90 <= found["queue_oldest_waiting_seconds", "high"] < 150
    assert 0 <= found["queue_latency_seconds", "high"] < 60
    assert (found["queue_paused", "high"], found["queue_paused", "default"]) == (1, 0)
    shown = {queue["name"]: queue for queue in client.simulate_get("/queues").json["items"]}
    assert shown["high"]["depth"] == found["queue_depth", "high"] == 1


def test_workers_are_told_by_their_status_with_their_threads_and_memory(
    journal_url: str, client: testing.TestClient
) -> None:
    nobody = dict.fromkeys(("workers", "worker_slots", "worker_slots_busy", "worker_resident_memory_bytes"), 0)
    live_worker(1, threads=8, memory=1_000)
    live_worker(2, threads=4, memory=500)
    live_worker(3, threads=2)
    live_worker(4, threads=16, memory=7)
    read(journal_url, "UPDATE workers SET stopping_at = now() WHERE id = 2")
    read(journal_url, "UPDATE workers SET last_seen_at = now() - interval '1 min' WHERE id = 3")
    read(journal_url, "UPDATE workers SET ended_at = now(), died = true WHERE id = 4")
    journal.commit([replace(a_claim(queued_job()), worker=worker) for worker in (1, 1, WORKER, 2)])

    found = samples(client)

    def of(status: str) -> dict[str, float]:
        return {name: found[name, status] for name in nobody}

    assert of("alive") == dict(zip(nobody, (2, 9, 3, 1_000), strict=True))
    assert of("stopping") == dict(zip(nobody, (1, 4, 1, 500), strict=True))
    assert of("silent") == dict(zip(nobody, (1, 2, 0, 0), strict=True))


def test_keepers_tell_when_one_last_looked_and_what_all_have_done(
    journal_url: str, redis_url: str, client: testing.TestClient
) -> None:
    assert samples(client)["keeper_last_tick_age_seconds",] == float("inf"), "nobody keeps, which must not look well"
    read(
        journal_url,
        "INSERT INTO keepers (host, pid, started_at, ticked_at, released, rescued, resent, ended_at)"
        " VALUES ('here', 1, now(), now() - interval '1 h', 10, 20, 30, now())",
    )
    gone = samples(client)
    assert 3_600 <= gone["keeper_last_tick_age_seconds",] < 3_660
    due = open_jobs(new_job(delay_ms=1), new_job(delay_ms=1))
    keeper = Keeper(Settings(database_url=journal_url, redis_url=redis_url))

    while read(journal_url, "SELECT count(*) FROM transitions WHERE event = 'released'") != [(len(due),)]:
        keeper.tick()
    keeper._tell()

    found = samples(client)
    assert found["keeper_last_tick_age_seconds",] < 60
    assert {name: found[name,] for name in ("released_total", "rescued_total", "resent_total")} == {
        "released_total": 12,
        "rescued_total": 20,
        "resent_total": 30,
    }


def test_without_redis_all_else_is_told(journal_url: str, client: testing.TestClient) -> None:
    queued_job()
    with_redis = samples(client)
    with reading_client(journal_url, "redis://127.0.0.1:1") as other:
        without = samples(other)

    assert (with_redis["redis_up",], without["redis_up",]) == (1, 0)
    assert with_redis.keys() == without.keys()
    assert without["jobs", "queued", "PROBE"] == 1


@pytest.mark.parametrize(
    ("accept", "answered"),
    [
        ("*/*", TEXT),
        ("text/plain", TEXT),
        ("application/openmetrics-text", OPEN_METRICS),
        (OF_PROMETHEUS, OPEN_METRICS),
        ("application/openmetrics-text;q=0.1,text/plain", TEXT),
        ("application/openmetrics-text;version=1.x", TEXT),
        ("application/openmetrics-text;q=high", TEXT),
        ("application/json", TEXT),
        ("", TEXT),
    ],
)
def test_the_format_is_what_is_asked_for_and_else_the_oldest(
    client: testing.TestClient, accept: str, answered: str
) -> None:
    answer = client.simulate_get("/metrics", headers={"Accept": accept})

    assert answer.status_code == 200
    assert answer.headers["Content-Type"] == answered
    assert answer.headers["Vary"] == "Accept"
    assert answer.headers["Cache-Control"] == "no-store"
    found = samples_of((parsed if answered == TEXT else parsed_open_metrics)(answer.text))
    assert found.keys() == samples(client).keys()
    head = client.simulate_head("/metrics", headers={"Accept": accept})
    assert (head.status_code, head.text) == (200, "")
