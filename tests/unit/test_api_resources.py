"""What the resources answer, with an engine at the edge that answers at once."""

import asyncio
import logging
import time
from collections.abc import Collection, Sequence
from concurrent.futures import Future
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from falcon import inspect, testing

from api import problems
from api.app import App, create_app
from api.health import Probe
from jobplatform.broker import JobBroker
from jobplatform.errors import DatabaseUnavailable, RefusedByDatabase, SchemaMissing
from jobplatform.inquiries import Inquiries
from jobplatform.journal import Opened
from jobplatform.message import JobMessage
from jobplatform.queries import EventRow, JobRow
from jobplatform.reader import Reader
from jobplatform.settings import Settings
from jobplatform.states import Status

ID = UUID("01890a5d-ac96-774b-bcce-b302099a8057")
AT = datetime(2030, 1, 31, 8, 0, 0, tzinfo=UTC)
JSON = {"Content-Type": "application/json"}


def _answer(value: Any) -> "Future[Any]":
    future: Future[Any] = Future()
    if isinstance(value, Exception):
        future.set_exception(value)
    else:
        future.set_result(value)
    return future


class StandInBroker(JobBroker):
    """Accepts whatever is submitted, or fails as it is told to."""

    def __init__(self) -> None:
        super().__init__(Settings())
        self.accepted: list[JobMessage] = []
        self.error: Exception | None = None

    def submit(self, messages: Sequence[JobMessage], deadline: float | None = None) -> "Future[list[Opened]]":
        assert deadline is not None
        assert deadline > time.monotonic()
        if self.error:
            return _answer(self.error)
        self.accepted += messages
        return _answer([Opened(message.message_id, "queued", AT, message.run_at) for message in messages])


class StandInReader(Reader):
    """Knows one job, or fails as it is told to."""

    def __init__(self) -> None:
        self.row = JobRow(
            id=str(ID),
            type="GREETING",
            status=Status.QUEUED,
            priority="high",
            queue="high",
            attempts=0,
            payload='{"name": "Ada", "b": 1, "a": 2}',
            result=None,
            error=None,
            progress=None,
            created_at=AT,
            updated_at=AT,
            started_at=None,
            finished_at=None,
            run_at=None,
            tags=["nightly"],
            unique_key=None,
            cancel_requested=False,
        )
        self.looks = 0
        self.questions: list[list[str]] = []
        self.error: Exception | None = None

    def job(self, job_id: UUID | str) -> "Future[JobRow | None]":
        self.looks += 1
        return _answer(self.error or (self.row if job_id == str(ID) else None))

    def events(self, job_id: UUID | str) -> "Future[list[EventRow] | None]":
        event = EventRow(7, "enqueued", None, "queued", 0, AT, None, "anonymous", '{"b": 1, "a": 2}', "a-request")
        return _answer(self.error or ([event] if job_id == str(ID) else None))

    def statuses(self, ids: Collection[str]) -> "Future[dict[str, str]]":
        self.questions.append(list(ids))
        return _answer(self.error or ({self.row.id: self.row.status} if self.row.id in ids else {}))

    def ping(self) -> "Future[None]":
        return _answer(self.error)


@pytest.fixture
def broker() -> StandInBroker:
    broker = StandInBroker()

    @broker.actor("GREETING")
    def greeting(name: str, shout: bool = False) -> str:
        """Greet somebody.

        Nobody else.
        """
        return f"{name}{shout}"

    return broker


@pytest.fixture
def reader() -> StandInReader:
    return StandInReader()


@pytest.fixture
def app(broker: StandInBroker, reader: StandInReader) -> App:
    return create_app(broker, reader, Inquiries(), Settings(redis_url="redis://127.0.0.1:1", max_payload_bytes=1_000))


@pytest.fixture
def client(app: App) -> testing.TestClient:
    return testing.TestClient(app)


def _post(client: testing.TestClient, body: bytes, headers: dict[str, str] | None = None) -> testing.Result:
    return client.simulate_post("/jobs", body=body, headers=JSON if headers is None else headers)


GREETING = b'{"type": "GREETING", "payload": {"name": "Ada"}}'


def test_a_submitted_job_is_answered_with_its_place_and_all_its_fields(client: testing.TestClient) -> None:
    answer = _post(client, GREETING)

    job = answer.json
    assert answer.status_code == 201
    assert answer.headers["Location"] == f"/jobs/{job['jobId']}"
    assert answer.headers["Content-Type"] == "application/json"
    assert answer.headers["Cache-Control"] == "no-store"
    assert job == {
        "jobId": job["id"],
        "id": str(UUID(job["id"])),
        "type": "GREETING",
        "status": "queued",
        "priority": "default",
        "attempts": 0,
        "payload": {"name": "Ada"},
        "result": None,
        "error": None,
        "progress": None,
        "createdAt": "2030-01-31T08:00:00.000000Z",
        "updatedAt": "2030-01-31T08:00:00.000000Z",
        "startedAt": None,
        "finishedAt": None,
        "runAt": None,
        "tags": [],
        "uniqueKey": None,
        "cancelRequested": False,
    }


def test_all_that_was_submitted_reaches_the_broker(client: testing.TestClient, broker: StandInBroker) -> None:
    _post(
        client,
        b'{"type":"GREETING","payload":{"name":"Ada"},"priority":"high","maxRetries":5,"runAt":"2031-01-01T01:00:00+01:00"}',
    )

    (message,) = broker.accepted
    assert message.actor_name == "GREETING.high"
    assert message.queue_name == "high"
    assert message.payload == '{"name":"Ada"}'
    assert message.run_at == datetime(2031, 1, 1, tzinfo=UTC)
    assert message.options == {"max_retries": 5}
    assert message.who == "anonymous"


def test_a_type_s_high_twin_is_no_type_of_its_own(client: testing.TestClient) -> None:
    answer = _post(client, b'{"type": "GREETING.high", "payload": {"name": "Ada"}}')

    assert answer.status_code == 422
    assert answer.json["errors"] == [{"pointer": "/type", "detail": "is unknown: the known types are GREETING"}]


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Content-Type": "text/plain"},
        {"Content-Type": "application/x-www-form-urlencoded"},
        {"Content-Type": "application/problem+json"},
        {"Content-Type": "application/json5"},
        {"Content-Type": "application/json", "Content-Encoding": "gzip"},
    ],
)
def test_a_body_that_does_not_say_plain_json_is_unsupported(
    client: testing.TestClient, headers: dict[str, str]
) -> None:
    answer = _post(client, GREETING, headers)

    assert answer.status_code == 415
    assert answer.json["type"] == "/problems/unsupported-media-type"


@pytest.mark.parametrize(
    "headers",
    [
        {"Content-Type": "application/json; charset=utf-8"},
        {"Content-Type": "Application/JSON"},
        {"Content-Type": "application/json", "Content-Encoding": "identity"},
        {"Content-Type": "application/json", "Accept": "text/html"},
    ],
)
def test_a_body_that_says_plain_json_in_its_own_way_is_read(
    client: testing.TestClient, headers: dict[str, str]
) -> None:
    assert _post(client, GREETING, headers).status_code == 201


def test_a_body_that_says_it_is_too_long_is_refused_unread(client: testing.TestClient) -> None:
    answer = _post(client, b"x" * 70_000)

    assert answer.status_code == 413
    assert answer.json["type"] == "/problems/too-large"


def test_a_payload_over_its_limit_is_too_large_though_its_body_is_not(client: testing.TestClient) -> None:
    assert _post(client, b'{"type": "GREETING", "payload": {"name": "%s"}}' % (b"x" * 1_000)).status_code == 413


def test_nothing_faulty_reaches_the_broker(client: testing.TestClient, broker: StandInBroker) -> None:
    for body in (b"{", b"{}", b'{"type": "NOPE", "payload": {}}', b'{"type": "GREETING", "payload": {"name": 1}}'):
        assert _post(client, body).status_code in (400, 422)

    assert broker.accepted == []


def test_without_postgres_a_submit_says_that_its_fate_is_unknown_and_where_to_look(
    client: testing.TestClient, broker: StandInBroker
) -> None:
    broker.error = DatabaseUnavailable()

    answer = _post(client, GREETING)

    assert answer.status_code == 503
    assert int(answer.headers["Retry-After"]) > 0
    assert answer.json["type"] == "/problems/unavailable"
    assert "not known whether the job was accepted" in answer.json["detail"]
    assert f"/jobs/{UUID(answer.json['jobId'])}" in answer.json["detail"]


def test_a_database_without_schema_is_named_as_such(client: testing.TestClient, reader: StandInReader) -> None:
    reader.error = SchemaMissing()

    answer = client.simulate_get(f"/jobs/{ID}")

    assert answer.status_code == 503
    assert "python -m jobplatform migrate" in answer.json["detail"]


def test_a_value_that_the_database_refuses_is_the_client_s_fault(
    client: testing.TestClient, broker: StandInBroker
) -> None:
    broker.error = RefusedByDatabase("invalid input syntax for type json")

    answer = _post(client, GREETING)

    assert answer.status_code == 422
    assert answer.json["type"] == "/problems/invalid-job"


def test_a_job_is_shown_with_its_payload_as_it_was_sent(client: testing.TestClient) -> None:
    answer = client.simulate_get(f"/jobs/{ID}")

    assert answer.status_code == 200
    assert list(answer.json) == [
        "id",
        "type",
        "status",
        "priority",
        "attempts",
        "payload",
        "result",
        "error",
        "progress",
        "createdAt",
        "updatedAt",
        "startedAt",
        "finishedAt",
        "runAt",
        "tags",
        "uniqueKey",
        "cancelRequested",
    ]
    assert b'"payload":{"name": "Ada", "b": 1, "a": 2}' in answer.content


def test_a_version_that_the_client_has_is_not_sent_again(client: testing.TestClient) -> None:
    etag = client.simulate_get(f"/jobs/{ID}").headers["ETag"]

    for known in (etag, f'"other", {etag}', f"W/{etag}", "*"):
        answer = client.simulate_get(f"/jobs/{ID}", headers={"If-None-Match": known})
        assert (answer.status_code, answer.content, answer.headers["ETag"]) == (304, b"", etag)
    assert client.simulate_get(f"/jobs/{ID}", headers={"If-None-Match": '"other"'}).status_code == 200


@pytest.mark.parametrize(
    "change",
    [{"status": Status.RUNNING}, {"attempts": 1}, {"updated_at": AT + timedelta(microseconds=1)}, {"progress": "{}"}],
)
def test_every_change_of_a_job_changes_its_version(
    client: testing.TestClient, reader: StandInReader, change: dict[str, Any]
) -> None:
    before = client.simulate_get(f"/jobs/{ID}").headers["ETag"]
    reader.row = reader.row._replace(**change)

    assert client.simulate_get(f"/jobs/{ID}").headers["ETag"] != before


@pytest.mark.parametrize("path", ["/health", "/ready", "/types", f"/jobs/{ID}", f"/jobs/{ID}/events"])
def test_whatever_can_be_read_has_a_head(client: testing.TestClient, path: str) -> None:
    whole, head = client.simulate_get(path), client.simulate_head(path)

    assert head.status_code == whole.status_code
    assert head.headers["Content-Length"] == str(len(whole.content))
    assert head.content == b""


@pytest.mark.parametrize("wait", ["31", "-1", "x", "", "1e1", "nan", "inf", "1_0", "0x1", " 1", "1,2", "30.5"])
def test_a_wait_that_is_no_number_of_seconds_up_to_thirty_is_refused(client: testing.TestClient, wait: str) -> None:
    answer = client.simulate_get(f"/jobs/{ID}", params={"wait": wait})

    assert answer.status_code == 400
    assert answer.json["type"] == "/problems/invalid-parameter"


def test_waiting_for_an_unfinished_job_ends_with_the_time(client: testing.TestClient, reader: StandInReader) -> None:
    before = time.monotonic()
    answer = client.simulate_get(f"/jobs/{ID}", params={"wait": "0.3"})

    assert answer.json["status"] == "queued"
    assert 0.25 < time.monotonic() - before < 3
    assert len(reader.questions) > 2
    assert reader.looks == 1


def test_waiting_for_a_final_job_takes_one_look(client: testing.TestClient, reader: StandInReader) -> None:
    reader.row = reader.row._replace(status=Status.COMPLETED, finished_at=AT)

    assert client.simulate_get(f"/jobs/{ID}", params={"wait": "30"}).json["status"] == "completed"
    assert reader.looks == 1


@pytest.mark.parametrize(
    ("preferences", "applied"),
    [
        ("wait=20", "wait=20"),
        ("respond-async, Wait = 5", "wait=5"),
        ('wait="7"; foo', "wait=7"),
        ("wait=3, wait=4", "wait=3"),
        ("wait=3600", "wait=30"),
        ("wait=0", "wait=0"),
        ("wait=-1", None),
        ("wait=soon", None),
        ("await=5", None),
        ("handling=lenient", None),
    ],
)
def test_a_preference_to_wait_is_applied_and_said_to_be_so(
    client: testing.TestClient, reader: StandInReader, preferences: str, applied: str | None
) -> None:
    reader.row = reader.row._replace(status=Status.COMPLETED, finished_at=AT)

    answer = client.simulate_get(f"/jobs/{ID}", headers={"Prefer": preferences})

    assert answer.status_code == 200
    assert answer.headers.get("Preference-Applied") == applied
    assert len(reader.questions) == (applied not in (None, "wait=0"))


def test_many_who_wait_share_one_question_and_each_is_told_of_its_own_job(app: App, reader: StandInReader) -> None:
    async def wait() -> list[testing.Result]:
        conductor = testing.ASGIConductor(app)
        waiting = [asyncio.create_task(conductor.simulate_get(f"/jobs/{ID}", params={"wait": "30"})) for _ in range(50)]
        other = asyncio.create_task(conductor.simulate_get(f"/jobs/{UUID(int=5)}", params={"wait": "30"}))
        await other
        reader.row = reader.row._replace(status=Status.COMPLETED, finished_at=AT)
        return [await other, *await asyncio.gather(*waiting)]

    other, *answers = asyncio.run(wait())

    assert other.status_code == 404
    assert {answer.json["status"] for answer in answers} == {"completed"}
    assert len(reader.questions) < 5
    assert max(map(len, reader.questions)) == 2


def test_waiting_ends_at_once_when_the_app_closes(app: App) -> None:
    async def wait() -> testing.Result:
        conductor = testing.ASGIConductor(app)
        waiting = asyncio.create_task(conductor.simulate_get(f"/jobs/{ID}", params={"wait": "30"}))
        await asyncio.sleep(0.05)
        app.closing.set()
        return await waiting

    before = time.monotonic()
    answer = asyncio.run(wait())

    assert answer.json["status"] == "queued"
    assert time.monotonic() - before < 5


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


def test_a_request_whose_body_never_begins_gets_an_answer(app: App) -> None:
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
        for method in route.methods:
            if not method.internal and method.method != "HEAD":
                assert f"`{method.method} {path}`" in text
