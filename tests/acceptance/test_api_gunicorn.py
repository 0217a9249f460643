"""The API as gunicorn serves it: real connections, real Postgres, real Redis."""

import json
import os
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from signal import SIGTERM
from statistics import median
from uuid import UUID

import httpx
import pytest
import redis

from jobplatform.api_key import new_key
from jobplatform.local.postgres import Postgres
from jobplatform.local.valkey import Valkey
from tests.services.gunicorn_api import GREETING, JSON, Api, everything, who_answers
from tests.services.patience import eventually
from tests.services.processes import Processes

ROOT = Path(__file__).parents[2]
BIN = Path(sys.executable).parent

ACTORS = '''
from typing import Any
from jobplatform import actor

@actor("GREETING")
def greeting(name: str) -> dict[str, str]:
    """Greet somebody."""
    return {"text": f"Hello {name}"}

@actor("ANYTHING")
def anything(value: Any = None) -> Any:
    """Give back what was given."""
    return value
'''

SLOW_ACTORS = f"""
import os, pathlib, time

print(os.getpid(), "imports the actors", flush=True)
while not (pathlib.Path(__file__).parent / "go-on").exists():
    time.sleep(0.01)
{ACTORS}
"""


@pytest.fixture
def environment(tmp_path: Path, database_url: str, redis_url: str, free_port: int) -> dict[str, str]:
    (tmp_path / "some_actors.py").write_text(ACTORS)
    return {
        "DATABASE_URL": database_url,
        "REDIS_URL": redis_url,
        "PORT": str(free_port),
        "ACTORS": "some_actors",
        "PYTHONPATH": str(tmp_path),
    }


@pytest.fixture
def start(
    processes: Processes, environment: dict[str, str], database_url: str, free_port: int
) -> Iterator[Callable[..., Api]]:
    started: list[Api] = []

    def start(*options: str) -> Api:
        process = processes.start(BIN / "gunicorn", *options, environment=environment, folder=ROOT)
        process.wait_for("The API listens at")
        api = Api(process, free_port, database_url)
        started.append(api)
        eventually(lambda: api.client.get("/health").status_code == 200, what="an answer to /health")
        return api

    yield start
    for api in started:
        api.client.close()


@pytest.fixture
def api(start: Callable[..., Api]) -> Api:
    return start()


def _head(length: int | None, *headers: str) -> bytes:
    lines = ["POST /jobs HTTP/1.1", "Host: x", "Content-Type: application/json", *headers]
    if length is not None:
        lines.append(f"Content-Length: {length}")
    return "\r\n".join([*lines, "", ""]).encode()


def test_a_submitted_job_is_on_record_and_redis_holds_its_id_alone(api: Api, redis_url: str) -> None:
    answer = api.submit(b'{"type": "GREETING", "priority": "high", "payload": {"name": "Ada \xc3\x84"}}')
    job_id = answer.json()["jobId"]

    assert answer.status_code == 201
    assert api.query(f"SELECT status, queue, payload::text FROM jobs WHERE id = '{job_id}'") == [
        ("queued", "high", '{"name": "Ada Ä"}')
    ]
    shown = api.client.get(answer.headers["Location"])
    assert {"jobId": job_id, **shown.json()} == answer.json()
    events = api.client.get(f"/jobs/{job_id}/events").json()["items"]
    assert [(e["event"], e["from"], e["to"], e["attempt"], e["who"]) for e in events] == [
        ("enqueued", None, "queued", 0, "anonymous")
    ]
    with redis.Redis.from_url(redis_url) as client:
        (body,) = client.hgetall("dramatiq:high.msgs").values()
    assert job_id.encode() in body
    assert b"Ada" not in body


def test_a_job_for_later_waits_as_a_row_and_redis_knows_nothing_of_it(api: Api, redis_url: str) -> None:
    job = api.submit(b'{"type":"GREETING","payload":{"name":"Ada"},"runAt":"9999-12-31T23:59:59.5+00:00"}').json()
    past = api.submit(b'{"type":"GREETING","payload":{"name":"Ada"},"runAt":"0001-01-01T00:00:00Z"}').json()

    assert (job["status"], job["runAt"]) == ("scheduled", "9999-12-31T23:59:59.500000Z")
    assert api.client.get(f"/jobs/{job['id']}").json() == {k: v for k, v in job.items() if k != "jobId"}
    assert past["status"] == "queued"
    with redis.Redis.from_url(redis_url) as client:
        assert client.hlen("dramatiq:default.msgs") == 1


def test_waiting_for_a_job_ends_when_a_worker_has_done_it(
    api: Api, processes: Processes, environment: dict[str, str]
) -> None:
    worker = processes.start(BIN / "dramatiq", "jobplatform.worker", "-p", "1", "-t", "2", environment=environment)
    job_id = api.submit().json()["jobId"]

    answer = api.client.get(f"/jobs/{job_id}", params={"wait": 30})

    job = answer.json()
    assert (job["status"], job["attempts"], job["result"]) == ("completed", 1, {"text": "Hello Ada"}), worker.output
    assert job["createdAt"] <= job["startedAt"] <= job["finishedAt"] <= job["updatedAt"]
    again = api.client.get(f"/jobs/{job_id}", headers={"If-None-Match": answer.headers["ETag"]})
    assert again.status_code == 304
    events = api.client.get(f"/jobs/{job_id}/events").json()["items"]
    assert [(e["event"], e["attempt"]) for e in events] == [("enqueued", 0), ("started", 1), ("completed", 1)]
    assert events[1]["worker"]


def test_while_postgres_is_away_nothing_is_accepted_and_nothing_is_lost(
    api: Api, postgres_server: Postgres, redis_url: str
) -> None:
    kept = api.submit().json()["jobId"]
    with redis.Redis.from_url(redis_url) as client:
        client.flushall()
        postgres_server.stop()
        before = time.monotonic()
        answer = api.submit()
        seconds = time.monotonic() - before

        assert answer.status_code == 503
        assert seconds < 2
        assert int(answer.headers["Retry-After"]) > 0
        assert api.client.get(f"/jobs/{kept}").status_code == 503
        ready = api.client.get("/ready")
        assert (ready.status_code, ready.json()["checks"]["postgres"]["status"]) == (503, "unavailable")
        assert api.client.get("/health").status_code == 200
        assert client.keys() == []

        postgres_server.start()
        eventually(lambda: api.client.get("/ready").status_code == 200, what="readiness")
        assert api.client.get(f"/jobs/{answer.json()['jobId']}").status_code == 404
        assert api.client.get(f"/jobs/{kept}").status_code == 200
        assert api.submit().status_code == 201


def test_while_redis_is_away_jobs_are_accepted_at_once(api: Api, redis_server: Valkey) -> None:
    redis_server.stop()
    before = time.monotonic()
    answers = [api.submit().status_code for _ in range(5)]
    seconds = time.monotonic() - before

    assert answers == [201] * 5
    assert seconds < 1
    ready = eventually(lambda: (r := api.client.get("/ready").json())["status"] != "ok" and r, what="degradation")
    assert (ready["status"], ready["checks"]["redis"]["status"]) == ("degraded", "unavailable")
    assert api.query("SELECT count(*) FROM jobs WHERE status = 'queued'") == [(5,)]


#: Values that JSON can tell: each is stored and shown as it was written.
STORABLE = [
    b'"\\\\u0000 is no NUL"',
    b'"\\ud83d\\ude00 and \xf0\x9f\x98\x80"',
    b"1" + b"0" * 300,
    b"1e2",
    b'{"z": 1, "a": 2, "z": 3}',
    b"[" * 500 + b"]" * 500,
    b'"' + b"x" * 1_000_000 + b'"',
]
REFUSED = [
    b'"\\u0000"',
    b'{"\\u0000": 1}',
    b'"\\ud800"',
    b'"\xff"',
    b"9" * 5_000,
    b"1e999",
    b"NaN",
    b"[" * 100_000 + b"]" * 100_000,
    b'"' + b"x" * 1_048_576 + b'"',
]


def test_odd_values_are_kept_as_they_are_or_refused_but_never_break_anything(api: Api) -> None:
    for value in STORABLE:
        answer = api.submit(b'{"type":"ANYTHING","payload":{"value":%s}}' % value)
        assert answer.status_code == 201, (value[:50], answer.text)
        shown = api.client.get(answer.headers["Location"]).content
        assert b'"payload":{"value":%s}' % value in shown, value[:50]
    for value in REFUSED:
        answer = api.submit(b'{"type":"ANYTHING","payload":{"value":%s}}' % value)
        assert answer.status_code in (400, 413, 422), (value[:50], answer.text)
        assert answer.headers["Content-Type"] == "application/problem+json"
    assert api.query("SELECT count(*) FROM jobs") == [(len(STORABLE),)]


def test_a_body_that_stalls_before_its_end_is_refused_even_if_it_reads_well(start: Callable[..., Api]) -> None:
    api = start("--timeout", "2")
    chunked = _head(None, "Transfer-Encoding: chunked") + b"%x\r\n%s\r\n" % (len(GREETING), GREETING)
    answers = {}

    def stall(name: str, request: bytes) -> None:
        answers[name] = api.say(request)

    stalls = [
        threading.Thread(target=stall, args=args)
        for args in (
            ("nothing", _head(20)),
            ("half", _head(len(GREETING)) + GREETING[:20]),
            ("whole but said to be longer", _head(len(GREETING) + 1) + GREETING),
            ("whole but for the last chunk", chunked),
        )
    ]
    for thread in stalls:
        thread.start()
    for thread in stalls:
        thread.join()

    assert {name: answer[0] for name, answer in answers.items()} == dict.fromkeys(answers, 400)
    assert all(json.loads(body)["type"] == "/problems/incomplete-body" for _, _, body in answers.values())
    assert len(answers) == 4
    assert api.query("SELECT count(*) FROM jobs") == [(0,)]


def test_a_body_that_is_too_long_is_refused_before_it_has_arrived(api: Api) -> None:
    before = time.monotonic()
    announced, _, body = api.say(_head(500_000_000) + b"{")
    assert announced == 413
    assert json.loads(body)["type"] == "/problems/too-large"

    chunk = b"10000\r\n" + b"x" * 65_536 + b"\r\n"
    counted, _, _ = api.say(_head(None, "Transfer-Encoding: chunked"), *[chunk] * 1_000)
    assert counted == 413
    assert time.monotonic() - before < 5


def test_a_client_that_leaves_does_not_take_its_job_along(api: Api) -> None:
    for _ in range(5):
        with api.connection() as connection:
            connection.sendall(_head(len(GREETING)) + GREETING)

    eventually(lambda: api.query("SELECT count(*) FROM jobs") == [(5,)], what="five jobs")


def test_a_slow_client_is_served_and_holds_up_nobody(api: Api) -> None:
    request = _head(len(GREETING), "Connection: close") + GREETING
    half = len(request) - 30
    with api.connection() as slow:
        slow.sendall(request[:half])
        assert api.submit().status_code == 201
        slow.sendall(request[half : half + 10])
        assert api.submit().status_code == 201
        slow.sendall(request[half + 10 :])
        assert everything(slow).startswith(b"HTTP/1.1 201")


def test_pipelined_requests_are_answered_in_their_order(api: Api) -> None:
    get = b"GET /health HTTP/1.1\r\nHost: x\r\n"
    requests = (
        _head(len(GREETING)) + GREETING,
        get + b"\r\n",
        _head(1) + b"{",
        _head(len(GREETING)) + GREETING,
        get + b"Connection: close\r\n\r\n",
    )
    with api.connection() as connection:
        connection.sendall(b"".join(requests))
        answers = everything(connection).split(b"HTTP/1.1 ")[1:]

    assert [answer[:3] for answer in answers] == [b"201", b"200", b"400", b"201", b"200"]


def test_sigterm_answers_all_that_is_under_way_and_leaves_nothing(api: Api, free_port: int) -> None:
    job_id = api.submit().json()["jobId"]
    answers: list[httpx.Response] = []

    def wait() -> None:
        answers.append(httpx.get(f"http://127.0.0.1:{free_port}/jobs/{job_id}", params={"wait": 30}, timeout=40))

    waiting = [threading.Thread(target=wait) for _ in range(20)]
    for thread in waiting:
        thread.start()
    with api.connection() as idle:
        idle.sendall(b"GET /health HTTP/1.1\r\nHost: x\r\n\r\n")
        assert idle.recv(65_536).startswith(b"HTTP/1.1 200")
        eventually(lambda: _connections_to(free_port) >= 22, what="twenty waiting clients")
        before = time.monotonic()
        api.process.signal(SIGTERM)
        exit_code = api.process.wait(20)
    for thread in waiting:
        thread.join()

    assert exit_code == 0
    assert time.monotonic() - before < 6
    assert [answer.status_code for answer in answers] == [200] * 20
    assert [line for line in api.process.lines if "Traceback" in line or "ERROR" in line] == []


@pytest.mark.parametrize("loop", ["uvloop", "asyncio"])
def test_sigterm_ends_a_worker_that_is_still_starting(
    loop: str, processes: Processes, environment: dict[str, str], tmp_path: Path
) -> None:
    (tmp_path / "some_actors.py").write_text(SLOW_ACTORS)
    one = environment | {"WEB_CONCURRENCY": "1"}
    process = processes.start(BIN / "gunicorn", "--asgi-loop", loop, environment=one, folder=ROOT)
    worker = int(process.wait_for("imports the actors").split()[0])
    os.kill(worker, SIGTERM)  # which it sees before it sees the file

    (tmp_path / "go-on").touch()

    eventually(lambda: not Path(f"/proc/{worker}").exists(), what="the end of the worker that was told to stop")
    assert process.running


def _connections_to(port: int) -> int:
    rows = Path("/proc/net/tcp").read_text().splitlines()[1:]
    return sum(1 for row in rows if row.split()[1].endswith(f":{port:04X}") and row.split()[3] == "01")


def test_starting_is_one_line_and_serving_none(api: Api) -> None:
    api.submit()
    api.client.get("/nothing")
    api.submit(b"{")
    api.process.stop()

    assert api.process.lines == [f"The API listens at http://127.0.0.1:{api.port} with 2 workers."]


@pytest.mark.parametrize(
    ("wrong", "named"),
    [
        ({"DATABASE_URL": ""}, "DATABASE_URL"),
        ({"REDIS_URL": ""}, "REDIS_URL"),
        ({"DATABASE_URL": "mysql://localhost/jobs"}, "DATABASE_URL"),
        ({"PORT": "none"}, "PORT"),
        ({"WEB_CONCURRENCY": "0"}, "WEB_CONCURRENCY"),
        ({"HOST": "0.0.0.0"}, "ALLOW_ANONYMOUS"),  # noqa: S104
        ({"GUNICORN_CMD_ARGS": "--bind 127.0.0.1:0 --bind 0.0.0.0:0"}, "ALLOW_ANONYMOUS"),
        ({"GUNICORN_CMD_ARGS": "--bind :0"}, "ALLOW_ANONYMOUS"),
        ({"API_KEYS": "ada:submit:00"}, "API_KEYS"),
        ({"ACTORS": "no_such_module"}, "no_such_module"),
    ],
)
def test_a_wrong_setting_is_one_clear_line_and_no_server(
    processes: Processes, free_port: int, wrong: dict[str, str], named: str
) -> None:
    right = {
        "DATABASE_URL": "postgresql://127.0.0.1:1/none",
        "REDIS_URL": "redis://127.0.0.1:1",
        "PORT": str(free_port),
    }
    gunicorn = processes.start(BIN / "gunicorn", environment={**right, **wrong}, folder=ROOT)

    assert gunicorn.wait() == 1
    assert len(gunicorn.lines) == 1, gunicorn.output
    assert named in gunicorn.lines[0]


def test_beyond_loopback_it_serves_when_that_is_wanted(
    processes: Processes, environment: dict[str, str], free_port: int
) -> None:
    wanted = {**environment, "HOST": "0.0.0.0", "ALLOW_ANONYMOUS": "true"}  # noqa: S104
    processes.start(BIN / "gunicorn", environment=wanted, folder=ROOT).wait_for("The API listens at")

    eventually(
        lambda: httpx.get(f"http://127.0.0.1:{free_port}/health").status_code == 200, what="an answer to /health"
    )
    assert UUID(httpx.post(f"http://127.0.0.1:{free_port}/jobs", content=GREETING, headers=JSON).json()["jobId"])


def test_beyond_loopback_it_serves_whoever_has_a_key(
    processes: Processes, environment: dict[str, str], free_port: int
) -> None:
    key, entry = new_key("ada", "submit+read")
    keyed = {**environment, "HOST": "0.0.0.0", "API_KEYS": str(entry)}  # noqa: S104
    processes.start(BIN / "gunicorn", environment=keyed, folder=ROOT).wait_for("The API listens at")

    with httpx.Client(base_url=f"http://127.0.0.1:{free_port}", timeout=20) as client:
        assert client.post("/jobs", content=GREETING, headers=JSON).status_code == 401
        client.headers["Authorization"] = f"Bearer {key}"
        asked = {**JSON, "X-Request-Id": "order-17"}
        job_id = client.post("/jobs", content=GREETING, headers=asked).json()["jobId"]
        assert client.post(f"/jobs/{job_id}/cancel").status_code == 403
        (event,) = client.get(f"/jobs/{job_id}/events").json()["items"]
    assert (event["who"], event["requestId"]) == ("ada", "order-17")


def test_connections_that_come_at_once_are_shared_by_the_processes(start: Callable[..., Api]) -> None:
    """As a proxy's do. What the other process gets is left to chance, but it is not next to nothing, as it was."""
    api = start("--workers", "2")
    eventually(lambda: len(who_answers(api, 8)) == 2, what="both processes")

    shares = [min(counted.values()) if len(counted := who_answers(api, 32)) == 2 else 0 for _ in range(9)]

    assert median(shares) >= 7, shares
