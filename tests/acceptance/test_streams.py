"""Streams as gunicorn serves them: real connections, real Postgres."""

import socket
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path
from select import select
from signal import SIGTERM
from typing import Any
from uuid import UUID

import httpx
import pytest

from jobplatform import journal
from jobplatform.client.server_sent import server_sent
from jobplatform.journal import Progress
from jobplatform.journal.cancel import Cancel
from jobplatform.local.ports import free_port
from jobplatform.local.postgres import Postgres
from jobplatform.local.valkey import Valkey
from jobplatform.states import Event
from tests.services.databases import fresh_database
from tests.services.invariants import assert_sound
from tests.services.journal import claimed_job, connected, queued_job, read, settle
from tests.services.patience import eventually
from tests.services.processes import Process, Processes

ROOT = Path(__file__).parents[2]

ACTORS = """
from jobplatform import actor

@actor("GREETING")
def greeting(name: str) -> None:
    pass
"""

STREAM = {"Accept": "text/event-stream"}


class Api:
    """A running API, and ways to listen to it."""

    def __init__(self, process: Process, port: int, database_url: str) -> None:
        self.process = process
        self.port = port
        self.database_url = database_url
        self.client = httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=20)

    @contextmanager
    def listening(self, path: str, after: int | None = None) -> Iterator["Stream"]:
        """A stream that has begun."""
        headers = STREAM if after is None else {**STREAM, "Last-Event-ID": str(after)}
        with self.client.stream("GET", path, headers=headers) as answer:
            yield Stream(answer)

    @contextmanager
    def connection(self, path: str) -> Iterator[socket.socket]:
        """A connection over which a stream was asked for, and has begun."""
        with socket.create_connection(("127.0.0.1", self.port), timeout=20) as connection:
            connection.sendall(f"GET {path} HTTP/1.1\r\nHost: x\r\nAccept: text/event-stream\r\n\r\n".encode())
            assert b": open" in _read_until(connection, b": open")
            yield connection

    def connections(self) -> int:
        """How many connections it has, those included that their clients have left."""
        rows = [row.split() for row in Path("/proc/net/tcp").read_text().splitlines()[1:]]
        established, left = "01", "08"
        return sum(row[1].endswith(f":{self.port:04X}") and row[3] in (established, left) for row in rows)


class Stream:
    """What a stream tells."""

    def __init__(self, answer: httpx.Response) -> None:
        self.answer = answer
        self._events = server_sent(answer.iter_bytes())

    def next(self, kind: str = "transition") -> dict[str, Any]:
        """The next event of a kind, with the id under which it was sent."""
        return next({**data, "sent as": number} for told, number, data in self._events if told == kind)

    def begins_behind(self) -> int:
        """The id with which a stream begins that was asked for none."""
        kind, number, _ = next(self._events)
        assert (kind, number is None) == ("", False)
        return number or 0

    def rest(self) -> list[dict[str, Any]]:
        """The transitions until the stream ends."""
        return [data for kind, _, data in self._events if kind == "transition"]


def _read_until(connection: socket.socket, wanted: bytes) -> bytes:
    said = b""
    while wanted not in said and (piece := connection.recv(65_536)):
        said += piece
    return said


@contextmanager
def _serving(
    processes: Processes, database_url: str, redis_url: str, folder: Path, *before: str, **settings: str
) -> Iterator[Api]:
    (folder / "some_actors.py").write_text(ACTORS)
    port = free_port()
    environment = {
        "DATABASE_URL": database_url,
        "REDIS_URL": redis_url,
        "PORT": str(port),
        "ACTORS": "some_actors",
        "PYTHONPATH": str(folder),
        **settings,
    }
    gunicorn = Path(sys.executable).with_name("gunicorn")
    process = processes.start(*before, gunicorn, environment=environment, folder=ROOT)
    process.wait_for("The API listens at")
    api = Api(process, port, database_url)
    with closing(api.client):
        eventually(lambda: api.client.get("/ready").status_code == 200, what="readiness")
        yield api


@pytest.fixture(scope="module")
def _served(postgres_server: Postgres, redis_server: Valkey, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Api]:
    processes = Processes()
    with fresh_database(postgres_server) as url:
        try:
            with _serving(processes, url, redis_server.url, tmp_path_factory.mktemp("api")) as api:
                yield api
        finally:
            processes.stop_all()


@pytest.fixture
def api(_served: Api) -> Iterator[Api]:
    """An API that the tests share, to whose database the journal of this process is connected."""
    with connected(_served.database_url):
        yield _served
    assert_sound(_served.database_url)
    assert [line for line in _served.process.lines if "Traceback" in line or "ERROR" in line] == []


def test_the_stream_of_all_tells_what_happens_from_now_on_and_goes_on_where_it_was_left(api: Api) -> None:
    queued_job()
    with api.listening("/events") as stream:
        job_id = queued_job()
        told = stream.next()

        headers = stream.answer.headers
        assert (told["jobId"], told["event"], told["type"], told["sent as"]) == (
            job_id,
            "enqueued",
            "PROBE",
            told["id"],
        )
        assert headers["Content-Type"].startswith("text/event-stream")
        assert (headers["Cache-Control"], headers["X-Accel-Buffering"]) == ("no-cache", "no")
        listed = api.client.get(f"/jobs/{job_id}/events").json()["items"]
        assert listed == [{name: told[name] for name in listed[0]}]

    with api.listening("/events") as quiet:
        behind = quiet.begins_behind()
    missed = [queued_job() for _ in range(3)]
    with api.listening("/events", after=behind) as stream:
        assert [stream.next()["jobId"] for _ in missed] == missed
    with api.listening("/events", after=told["id"]) as stream:
        missed.append(queued_job())
        assert [stream.next()["jobId"] for _ in missed] == missed
    with api.listening("/events?lastEventId=0") as stream:
        ids = [number for (number,) in read(api.database_url, "SELECT id FROM transitions ORDER BY id")]
        assert sorted(stream.next()["id"] for _ in ids) == ids


def test_the_stream_of_a_job_ends_with_it_and_who_comes_back_then_is_sent_away(api: Api) -> None:
    claim = claimed_job()
    path = f"/jobs/{claim.job_id}/events"
    with api.listening(path) as stream:
        assert [stream.next()["event"] for _ in range(2)] == ["enqueued", "started"]
        settle(claim, Event.RETRY_PLANNED)
        retried = stream.next()
        assert (retried["event"], retried["to"]) == ("retry_planned", "retrying")
    settle(claim, Event.COMPLETED)  # refused, and on record: no attempt runs
    with api.listening(path, after=retried["id"]) as stream:
        assert stream.next()["event"] == "fenced"

    done = claimed_job()
    settle(done)
    with api.listening(f"/jobs/{done.job_id}/events") as stream:
        told = stream.rest()
    assert [event["event"] for event in told] == ["enqueued", "started", "completed"]
    again = api.client.get(f"/jobs/{done.job_id}/events", headers={**STREAM, "Last-Event-ID": str(told[-1]["id"])})
    assert (again.status_code, again.content) == (204, b"")


def test_json_is_what_a_client_gets_that_does_not_ask_for_a_stream(api: Api) -> None:
    claim = claimed_job()
    settle(claim)

    def kind(accept: str) -> str:
        answer = api.client.get(f"/jobs/{claim.job_id}/events", headers={"Accept": accept})
        assert answer.headers["Vary"] == "Accept"
        return str(answer.headers["Content-Type"])

    plain = ("*/*", "application/json", "text/event-stream;q=0", "application/json, text/event-stream", "text/html")
    streamed = ("text/event-stream", "Text/Event-Stream, */*", "application/json;q=0.5, text/event-stream;q=0.9")
    assert {kind(accept) for accept in plain} == {"application/json"}
    assert {kind(accept) for accept in streamed} == {"text/event-stream"}


def test_what_cannot_be_streamed_is_a_problem_before_anything_is_sent(api: Api) -> None:
    job_id, other = queued_job(), queued_job()
    with api.listening(f"/jobs/{other}/events") as stream:
        foreign = stream.next()["id"]

    def problem(path: str, known: str | None = None) -> tuple[int, str]:
        headers = STREAM if known is None else {**STREAM, "Last-Event-ID": known}
        answer = api.client.get(path, headers=headers)
        assert answer.headers["Content-Type"] == "application/problem+json"
        return answer.status_code, answer.json()["type"]

    assert problem(f"/jobs/{UUID(int=5)}/events") == (404, "/problems/job-not-found")
    assert problem(f"/jobs/{UUID(int=5)}/events", "7") == (404, "/problems/job-not-found")
    assert problem("/jobs/none/events") == (404, "/problems/job-not-found")
    for known in ("x", "-1", "1.5", "9" * 18, "9" * 40):
        assert problem("/events", known) == (400, "/problems/invalid-parameter"), known
        assert problem(f"/jobs/{job_id}/events", known) == (400, "/problems/invalid-parameter"), known
    assert problem(f"/jobs/{job_id}/events", str(foreign)) == (400, "/problems/invalid-parameter")
    assert problem("/events?lastEventId=1&lastEventId=2") == (400, "/problems/invalid-parameter")
    for known in ("x", "9" * 18):
        assert api.client.get(f"/events?lastEventId={known}").json()["detail"].startswith("lastEventId ")
        given = {"Last-Event-ID": known}
        assert api.client.get("/events?lastEventId=7", headers=given).json()["detail"].startswith("Last-Event-ID ")


def test_head_is_the_head_alone(api: Api) -> None:
    for path in ("/events", f"/jobs/{queued_job()}/events"):
        answer = api.client.head(path, headers=STREAM)

        assert (answer.status_code, answer.content) == (200, b"")
        assert answer.headers["Content-Type"] == "text/event-stream"
        assert "Content-Length" not in answer.headers
    assert api.client.head(f"/jobs/{UUID(int=5)}/events", headers=STREAM).status_code == 404


def test_progress_is_told_to_who_watches_the_job_and_to_who_watches_all(api: Api) -> None:
    claim = claimed_job()
    with api.listening(f"/jobs/{claim.job_id}/events") as of_job, api.listening("/events") as of_all:
        journal.commit([Progress(claim.job_id, 1, claim.token, '{"done":1,"total":4}')])

        for stream in (of_job, of_all):
            told = stream.next("progress")
            assert (told["jobId"], told["attempt"], told["progress"]) == (claim.job_id, 1, {"done": 1, "total": 4})
            assert told["sent as"] is None


def test_every_watcher_of_either_process_is_told_of_every_submitted_job_once(api: Api) -> None:
    watchers, submitters, each = 12, 4, 25

    def submit() -> None:
        with httpx.Client(base_url=api.client.base_url, timeout=20) as client:
            for number in range(each):
                answer = client.post("/jobs", json={"type": "GREETING", "payload": {"name": str(number)}})
                accepted.append(answer.json()["jobId"])

    def watch(stream: Stream, told: list[str]) -> None:
        told += [stream.next()["jobId"] for _ in range(submitters * each)]

    accepted: list[str] = []
    told: list[list[str]] = [[] for _ in range(watchers)]
    with ExitStack() as stack:
        streams = [stack.enter_context(api.listening("/events")) for _ in range(watchers)]
        threads = [threading.Thread(target=watch, args=pair) for pair in zip(streams, told, strict=True)]
        threads += [threading.Thread(target=submit) for _ in range(submitters)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(30)

    assert len(accepted) == submitters * each
    assert {tuple(sorted(ids)) for ids in told} == {tuple(sorted(accepted))}


def test_sigterm_ends_streams_and_whoever_waits_at_once(
    processes: Processes, database_url: str, redis_url: str, tmp_path: Path
) -> None:
    with _serving(processes, database_url, redis_url, tmp_path) as api, connected(database_url):
        _stop_while_many_listen(api, queued_job())


def _stop_while_many_listen(api: Api, job_id: str) -> None:
    answers: list[httpx.Response] = []
    endings: list[bytes] = []

    def wait() -> None:
        answers.append(httpx.get(f"{api.client.base_url}/jobs/{job_id}", headers={"Prefer": "wait=30"}, timeout=40))

    def listen(connection: socket.socket) -> None:
        endings.append(_read_until(connection, b"never"))

    with ExitStack() as stack:
        paths = ["/events", f"/jobs/{job_id}/events"] * 10
        connections = [stack.enter_context(api.connection(path)) for path in paths]
        threads = [threading.Thread(target=listen, args=(connection,)) for connection in connections]
        threads += [threading.Thread(target=wait) for _ in range(10)]
        for thread in threads:
            thread.start()
        eventually(lambda: api.connections() >= 30, what="thirty clients")
        before = time.monotonic()
        api.process.signal(SIGTERM)
        exit_code = api.process.wait(20)
        seconds = time.monotonic() - before
        for thread in threads:
            thread.join(10)

    assert exit_code == 0
    assert seconds < 3
    assert all(ending.endswith(b"0\r\n\r\n") for ending in endings)
    assert len(endings) == 20
    assert [answer.status_code for answer in answers] == [200] * 10
    assert [line for line in api.process.lines if "Traceback" in line or "ERROR" in line] == []


def test_more_clients_than_can_stay_do_not_keep_others_out(
    processes: Processes, database_url: str, redis_url: str, tmp_path: Path
) -> None:
    few_files = ("sh", "-c", 'ulimit -n 160 && exec "$0"')
    with (
        _serving(processes, database_url, redis_url, tmp_path, *few_files, WEB_CONCURRENCY="1") as api,
        connected(database_url),
        ExitStack() as stack,
    ):
        job_id = queued_job()
        asks = f"GET /jobs/{job_id} HTTP/1.1\r\nHost: x\r\nPrefer: wait=30\r\nConnection: close\r\n\r\n".encode()
        for _ in range(20):
            stack.enter_context(api.connection("/events"))
        waiting = [stack.enter_context(socket.create_connection(("127.0.0.1", api.port), 20)) for _ in range(110)]
        for connection in waiting:
            connection.sendall(asks)
        eventually(lambda: len(select(waiting, [], [], 0)[0]) >= 22, what="answers to who cannot wait")

        answers = [_read_until(connection, b"}").lower() for connection in select(waiting, [], [], 0)[0]]
        assert {b"preference-applied: wait=0" in answer for answer in answers} == {True}
        assert api.client.get(f"/jobs/{job_id}?wait=15").elapsed.total_seconds() < 10
        refused = api.client.get("/events")
        assert (refused.status_code, refused.headers["Retry-After"]) == (503, "5")
        assert [line for line in api.process.lines if "Traceback" in line or "socket.accept" in line] == []


def test_clients_that_go_are_let_go_and_the_feed_rests(api: Api) -> None:
    with ExitStack() as stack:
        for path in ["/events", f"/jobs/{queued_job()}/events"] * 10:
            stack.enter_context(api.connection(path))
        eventually(lambda: api.connections() >= 20, what="twenty clients")

    others = "application_name = 'jobplatform' AND query ~ 'pg_snapshot_xmin|batch' AND pid <> pg_backend_pid()"
    resting = f"SELECT bool_and(now() - query_start > interval '1 s') FROM pg_stat_activity WHERE {others}"
    eventually(lambda: api.connections() <= 2, seconds=5, what="the end of all connections but the tests' own")
    eventually(lambda: read(api.database_url, resting) == [(True,)], what="rest")


def test_a_client_that_does_not_read_harms_nobody(api: Api) -> None:
    with api.connection("/events"), api.listening("/events") as stream:
        big = "x" * 100_000
        for _ in range(30):
            job_id = queued_job()
            journal.commit([Cancel(job_id, who="somebody", reason=big)])
            assert [stream.next()["jobId"] for _ in range(2)] == [job_id] * 2

        assert api.client.get("/health").status_code == 200
