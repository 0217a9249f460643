"""Batches that take their time on the way: what a process holds of them has a limit, and the small ones get by."""

import json
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from socket import create_connection

import httpx
import pytest

from tests.services.api_server import ApiServer
from tests.services.fleet import Fleet
from tests.services.patience import eventually
from tests.services.processes import Processes

LONGEST = 2_000_000
SMALL = {"type": "ECHO", "payload": {"value": 1}}
LARGE = {"type": "ECHO", "payload": {"value": "x" * 950_000}}
JSON = {"Content-Type": "application/json"}


@pytest.fixture
def server(database_url: str, redis_url: str, processes: Processes, tmp_path: Path) -> Iterator[ApiServer]:
    fleet = Fleet(database_url, redis_url, processes, tmp_path)
    server = ApiServer(fleet, processes, WEB_CONCURRENCY="1", MAX_BODY_BYTES=str(LONGEST))
    server.start()
    yield server
    server.stop()


def test_no_more_large_bodies_are_taken_in_than_there_is_room_for(server: ApiServer) -> None:
    def batch(*jobs: object) -> httpx.Response:
        body = json.dumps({"jobs": jobs})
        return httpx.post(f"{server.url}/jobs/batch", content=body, headers=JSON, timeout=20, trust_env=False)

    head = (
        f"POST /jobs/batch HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: {LONGEST}\r\n\r\n"
    )
    with ExitStack() as slow:
        for _ in range(4):
            connection = slow.enter_context(create_connection(("127.0.0.1", server.port)))
            connection.sendall(head.encode() + b" " * (LONGEST - 1))
        eventually(lambda: batch(LARGE, LARGE).status_code == 503, what="a refusal")

        refused, small = batch(LARGE, LARGE), batch(SMALL)

        assert (refused.json()["type"], "Nothing was accepted" in refused.json()["detail"]) == (
            "/problems/unavailable",
            True,
        )
        assert refused.headers["Retry-After"]
        assert small.status_code == 201
    eventually(lambda: batch(LARGE, LARGE).status_code == 201, what="room")
