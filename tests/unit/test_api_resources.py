"""What the resources answer, with an engine at the edge that answers at once."""

import asyncio
import logging
import time
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from falcon import inspect, testing

from api import problems
from api.app import App
from api.health import Probe
from jobplatform.errors import DatabaseUnavailable
from tests.services.stand_ins import GREETING, ID, JSON, StandInBroker, StandInReader


def test_the_events_of_a_job_are_listed(client: testing.TestClient) -> None:
    answer = client.simulate_get(f"/jobs/{ID}/events")

    assert answer.json == {
        "items": [
            {
                "id": 7,
                "event": "enqueued",
                "from": None,
                "to": "queued",
                "attempt": 0,
                "at": "2030-01-31T08:00:00.000000Z",
                "worker": None,
                "who": "anonymous",
                "requestId": "a-request",
                "detail": {"a": 2, "b": 1},
            }
        ]
    }


def test_the_types_are_listed_with_what_they_take(client: testing.TestClient) -> None:
    assert client.simulate_get("/types").json == {
        "items": [
            {
                "type": "GREETING",
                "description": "Greet somebody.",
                "schema": {
                    "title": "GREETING",
                    "type": "object",
                    "properties": {"name": {"type": "string"}, "shout": {"type": "boolean", "default": False}},
                    "required": ["name"],
                    "additionalProperties": False,
                },
            }
        ]
    }


@pytest.mark.parametrize(
    ("path", "type_"),
    [
        ("/nothing", "not-found"),
        ("/jobs/", "job-not-found"),
        ("/jobs/none", "job-not-found"),
        ("/jobs/none/events", "job-not-found"),
        (f"/jobs/{UUID(int=5)}", "job-not-found"),
        (f"/jobs/{UUID(int=5)}/events", "job-not-found"),
        (f"/jobs/{UUID(int=5)}?wait=1", "job-not-found"),
        (f"/jobs/{ID}/nothing", "not-found"),
    ],
)
def test_what_is_not_there_is_a_problem_of_its_own(client: testing.TestClient, path: str, type_: str) -> None:
    answer = client.simulate_get(path)

    assert answer.status_code == 404
    assert answer.headers["Content-Type"] == "application/problem+json"
    assert answer.json["type"] == f"/problems/{type_}"
    assert answer.json["instance"] == path.partition("?")[0]


@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [
        ("DELETE", "/jobs", {"GET", "HEAD", "POST", "OPTIONS"}),
        ("GET", "/jobs/batch", {"POST", "OPTIONS"}),
        ("POST", f"/jobs/{ID}", {"GET", "HEAD", "OPTIONS"}),
        ("PUT", "/health", {"GET", "HEAD", "OPTIONS"}),
    ],
)
def test_a_wrong_method_is_told_the_right_ones(
    client: testing.TestClient, method: str, path: str, allowed: set[str]
) -> None:
    answer = client.simulate_request(method, path)

    assert answer.status_code == 405
    assert set(answer.headers["Allow"].split(", ")) == allowed
    assert answer.json["type"] == "/problems/method-not-allowed"
    assert answer.json["detail"] == f"This path takes {answer.headers['Allow']}, and not {method}."


def test_what_we_did_wrong_is_logged_and_not_shown(
    client: testing.TestClient, reader: StandInReader, caplog: pytest.LogCaptureFixture
) -> None:
    reader.error = ZeroDivisionError("a secret")

    with caplog.at_level(logging.ERROR, "api"):
        answer = client.simulate_get(f"/jobs/{ID}")

    assert answer.status_code == 500
    assert answer.json["type"] == "/problems/internal-error"
    assert "secret" not in answer.text
    assert "Traceback" not in answer.text
    assert "ZeroDivisionError: a secret" in caplog.text


def test_no_path_can_forge_a_line_in_the_log(app: App, caplog: pytest.LogCaptureFixture) -> None:
    class Faulty:
        async def on_get(self, _req: Any, _resp: Any, name: str) -> None:
            raise DatabaseUnavailable if name.startswith("away") else ZeroDivisionError

    app.add_route("/faulty/{name}", Faulty())
    client = testing.TestClient(app)

    for name in ("away%0A[ERROR]%20forged%1B[2J", "wrong%0A[ERROR]%20forged%1B[2J"):
        client.simulate_get(f"/faulty/{name}")

    said = [record.getMessage() for record in caplog.records]
    assert len(said) == 2
    assert all("forged" in line and line.isprintable() for line in said)


def test_every_answer_says_what_it_is_and_how_long_it_may_be_kept(client: testing.TestClient) -> None:
    for path in ("/health", "/ready", "/types", f"/jobs/{ID}", f"/jobs/{ID}/events", "/nothing"):
        answer = client.simulate_get(path)
        assert answer.headers["X-Content-Type-Options"] == "nosniff"
        assert answer.headers["Cache-Control"] in ("no-store", "no-cache")


def test_health_touches_nothing(client: testing.TestClient, reader: StandInReader) -> None:
    reader.error = DatabaseUnavailable()

    answer = client.simulate_get("/health")

    assert (answer.status_code, answer.json) == (200, {"status": "ok"})


def test_without_redis_the_api_is_ready_but_degraded(client: testing.TestClient) -> None:
    answer = client.simulate_get("/ready")

    assert answer.status_code == 200
    assert answer.json["status"] == "degraded"
    assert answer.json["checks"]["postgres"] == {"status": "ok"}
    assert answer.json["checks"]["redis"]["status"] == "unavailable"


def test_without_postgres_the_api_is_not_ready(client: testing.TestClient, reader: StandInReader) -> None:
    reader.error = DatabaseUnavailable("Postgres does not answer: connection refused")

    answer = client.simulate_get("/ready")

    assert answer.status_code == 503
    assert answer.json["status"] == "unavailable"
    assert answer.json["checks"]["postgres"]["status"] == "unavailable"
    assert answer.json["checks"]["postgres"]["detail"]


def test_a_silent_dependency_is_asked_once_and_given_up_after_a_second() -> None:
    questions = 0

    async def ask() -> None:
        nonlocal questions
        questions += 1
        await asyncio.sleep(60)

    async def look() -> tuple[float, list[str | None]]:
        probe = Probe(ask)
        before = time.monotonic()
        found = await asyncio.gather(*(probe.look() for _ in range(3)))
        return time.monotonic() - before, list(found)

    seconds, found = asyncio.run(look())

    assert found == ["It does not answer."] * 3
    assert seconds < 3
    assert questions == 1


def test_a_request_whose_body_never_begins_gets_ananswer_of(app: App) -> None:
    sent: list[dict[str, Any]] = []

    async def receive() -> dict[str, Any]:
        return {"type": "http.disconnect"}

    async def send(event: dict[str, Any]) -> None:
        sent.append(event)

    scope = testing.create_scope(method="POST", path="/jobs", headers={**JSON, "Content-Length": "5"})
    asyncio.run(app(scope, receive, send))

    start, body = sent
    assert start["status"] == 400
    assert b"/problems/incomplete-body" in body["body"]


@pytest.fixture
def incomplete() -> list[dict[str, Any]]:
    return [{"type": "http.request", "body": GREETING, "more_body": True}, {"type": "http.disconnect"}]


@pytest.mark.parametrize("headers", [{"Content-Length": str(len(GREETING) + 1)}, {"Transfer-Encoding": "chunked"}])
def test_a_body_that_stops_before_its_end_is_not_taken_as_whole(
    app: App, broker: StandInBroker, incomplete: list[dict[str, Any]], headers: dict[str, str]
) -> None:
    sent: list[dict[str, Any]] = []

    async def receive() -> dict[str, Any]:
        return incomplete.pop(0)

    async def send(event: dict[str, Any]) -> None:
        sent.append(event)

    asyncio.run(app(testing.create_scope(method="POST", path="/jobs", headers={**JSON, **headers}), receive, send))

    assert sent[0]["status"] == 400
    assert b"/problems/incomplete-body" in sent[1]["body"]
    assert broker.accepted == []


def test_a_chunked_body_is_counted_and_left_when_it_gets_too_long(app: App) -> None:
    sent: list[dict[str, Any]] = []
    received = 0

    async def receive() -> dict[str, Any]:
        nonlocal received
        received += 1
        return {"type": "http.request", "body": b" " * 10_000, "more_body": True}

    async def send(event: dict[str, Any]) -> None:
        sent.append(event)

    scope = testing.create_scope(method="POST", path="/jobs", headers={**JSON, "Transfer-Encoding": "chunked"})
    asyncio.run(app(scope, receive, send))

    assert sent[0]["status"] == 413
    assert received == 7


def test_a_websocket_is_refused_without_a_line_in_the_log(app: App, caplog: pytest.LogCaptureFixture) -> None:
    sent: list[dict[str, Any]] = []

    async def receive() -> dict[str, Any]:
        return {"type": "websocket.connect"}

    async def send(event: dict[str, Any]) -> None:
        sent.append(event)

    asyncio.run(app(testing.create_scope_ws(path="/jobs"), receive, send))

    assert sent == [{"type": "websocket.close"}]
    assert caplog.records == []


def test_every_kind_of_problem_is_documented() -> None:
    text = (Path(__file__).parents[2] / "docs" / "problems.md").read_text()

    for kind in problems.KINDS:
        assert f"## {kind.name}\n" in text
        assert f"{kind.status}" in text.partition(f"## {kind.name}\n")[2].partition("\n## ")[0]


def test_every_route_is_documented(app: App) -> None:
    text = (Path(__file__).parents[2] / "docs" / "http.md").read_text()

    for route in inspect.inspect_routes(app):
        path = route.path.replace("{job_id}", "{id}")
        if path == "/" or path.startswith("/ui/"):
            continue  # pages, for people and not for programs: docs/dashboard.md
        for method in route.methods:
            if not method.internal and method.method != "HEAD":
                assert f"`{method.method} {path}`" in text
