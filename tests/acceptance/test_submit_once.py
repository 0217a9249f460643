"""Submitting to two processes of the API at once: one job for one key, and no submit that waits for a batch."""

import asyncio
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.services.api_server import ApiServer
from tests.services.fleet import Fleet
from tests.services.journal import read
from tests.services.processes import Processes

AT_ONCE = 50
JOB: dict[str, Any] = {"type": "ECHO", "payload": {"value": 1}}
#: Of a request's id so much is the same for all requests to one process.
PROCESS = 24


@pytest.fixture
def url(database_url: str, redis_url: str, processes: Processes, tmp_path: Path) -> Iterator[str]:
    server = ApiServer(Fleet(database_url, redis_url, processes, tmp_path), processes)
    server.start()
    yield server.url
    server.stop()


async def post(client: httpx.AsyncClient, path: str, body: Any, key: str | None = None) -> httpx.Response:
    headers = {"Idempotency-Key": key} if key else {}
    return await client.post(path, content=json.dumps(body), headers={"Content-Type": "application/json", **headers})


def test_one_key_sent_fifty_times_at_once_to_two_processes_makes_one_job(url: str, database_url: str) -> None:
    async def all_at_once(key: str) -> list[httpx.Response]:
        limits = httpx.Limits(max_connections=AT_ONCE)
        async with httpx.AsyncClient(base_url=url, limits=limits, timeout=30, trust_env=False) as client:
            return await asyncio.gather(*(post(client, "/jobs", JOB, key) for _ in range(AT_ONCE)))

    processes = set()
    for turn in range(3):
        answers = asyncio.run(all_at_once(f"key-{turn}"))
        processes |= {answer.headers["X-Request-Id"][:PROCESS] for answer in answers}
        assert sorted(answer.status_code for answer in answers) == [200] * (AT_ONCE - 1) + [201]
        assert {"Idempotency-Replayed" in answer.headers for answer in answers if answer.status_code == 201} == {False}
        assert {answer.headers.get("Idempotency-Replayed") for answer in answers if answer.status_code == 200} == {
            "true"
        }
        assert len({answer.json()["jobId"] for answer in answers}) == 1

    assert read(database_url, "SELECT count(*) FROM jobs") == [(3,)]
    assert len(processes) == 2, "both processes were asked"


def test_submits_are_accepted_beside_large_batches(url: str, database_url: str) -> None:
    batches, singles = 2, 200

    async def both() -> list[httpx.Response]:
        async with httpx.AsyncClient(base_url=url, timeout=60, trust_env=False) as client:
            large = [asyncio.create_task(post(client, "/jobs/batch", {"jobs": [JOB] * 10_000})) for _ in range(batches)]
            answers: list[httpx.Response] = []
            while len(answers) < singles or not all(task.done() for task in large):
                keys = [None, None, f"key-{len(answers)}"]
                answers += await asyncio.gather(*(post(client, "/jobs", JOB, key) for key in keys))
            return [*answers, *await asyncio.gather(*large)]

    answers = asyncio.run(both())

    assert {answer.status_code for answer in answers} == {201}
    jobs = batches * 10_000 + len(answers) - batches
    assert read(database_url, "SELECT count(*) FROM jobs") == [(jobs,)]
    in_batches = "SELECT count(*) FROM transitions GROUP BY xid::text HAVING count(*) >= 10000"
    assert read(database_url, in_batches) == [(10_000,)] * batches, "each batch is one transaction"
