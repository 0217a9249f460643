"""The workloads. Each gives what it measured, by name; `cpu` is microseconds per job, or per read, by part."""

import http.client
import json
import random
import select
import statistics
import time
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from typing import Any, Final

from psycopg2.extensions import connection as Connection  # noqa: N812

from benchmarks import load
from benchmarks.meter import Bill, Meter
from benchmarks.stack import Stack
from jobplatform.errors import PlatformError

Measured = dict[str, Any]

JOB: Final = {"type": "NOTHING", "payload": {"n": 1, "text": "a small payload"}}
BODY: Final = json.dumps(JOB).encode()

#: How long requests in flight may take when the load client has gone, in seconds.
_SETTLE: Final = 0.1
_LOOK_EVERY: Final = 0.05
#: Of so many jobs the random ones are.
_READ: Final = 20_000
#: So many jobs must be left to do when all processes of a worker work.
FEWEST: Final = 50
#: How long nothing may be done while there is something to do, in seconds.
PATIENCE: Final = 30
_PACE: Final = 0.05
_WATCH: Final = """
CREATE FUNCTION tell_benchmark() RETURNS trigger LANGUAGE plpgsql AS
$$ BEGIN PERFORM pg_notify('benchmark', NEW.status || ' ' || NEW.id); RETURN NULL; END $$;
CREATE TRIGGER tell_benchmark AFTER UPDATE OF status ON jobs FOR EACH ROW
    WHEN (NEW.status IN ('running', 'completed') AND NEW.status <> OLD.status) EXECUTE FUNCTION tell_benchmark();
LISTEN benchmark;
"""
_UNWATCH: Final = "UNLISTEN *; DROP FUNCTION tell_benchmark() CASCADE;"


class TooFewJobs(PlatformError):
    """The jobs that waited were done before it could be measured how fast: there must be more of them (--scale)."""


class JobsLost(PlatformError):
    """Not all jobs were completed: some failed, or none was done for half a minute."""


def yardstick(stack: Stack, connection: Connection, count: int) -> Measured:
    """GET /health, which costs what the server and Falcon cost: by it runs on different machines can be compared."""
    meter = Meter(stack, connection)
    seen = load.get(stack.url, ["/health"], count)
    time.sleep(_SETTLE)
    bill = meter.bill()
    return {**_of(seen), **costs(bill.per(seen.answered), bill)}


def accept(
    stack: Stack, connection: Connection, count: int, body: bytes = BODY, clients: int = load.CLIENTS
) -> Measured:
    """w1: accept jobs from several connections, with no worker."""
    before = _number(connection, "SELECT count(*) FROM jobs")
    meter = Meter(stack, connection)
    seen = load.post(f"{stack.url}/jobs", body, count, clients)
    time.sleep(_SETTLE)
    bill = meter.bill()
    accepted = int(_number(connection, "SELECT count(*) FROM jobs") - before)
    return {**_of(seen), **costs(bill.per(accepted), bill)}


def drain(stack: Stack, connection: Connection) -> Measured:
    """w3: do the jobs that wait. The worker's start does not count, nor what it does until all processes work."""
    failed = _number(connection, _FAILED)
    stack.start_worker(connection)
    meter = Meter(stack, connection)
    began = time.time()
    _await_all_done(connection)
    bill = meter.bill()
    # Asked afterwards: among a million others that takes a while.
    ended = _last_end(connection, failed)
    done = int(_number(connection, f"SELECT count(*) FROM jobs WHERE finished_at > to_timestamp({began!r})"))
    if done < FEWEST:
        raise TooFewJobs()
    return {"rate": done / (ended - began), "jobs": done, **costs(bill.per(done), bill)}


def end_to_end(
    stack: Stack, connection: Connection, count: int, body: bytes = BODY, clients: int = load.CLIENTS
) -> Measured:
    """w2: accept and do jobs at the same time."""
    before, failed = _number(connection, _DONE), _number(connection, _FAILED)
    meter = Meter(stack, connection)
    began = time.time()
    seen = load.post(f"{stack.url}/jobs", body, count, clients)
    time.sleep(_SETTLE)
    _await_all_done(connection)
    bill = meter.bill()
    ended = _last_end(connection, failed)
    done = int(_number(connection, _DONE) - before)
    return {**_of(seen), "rate": done / (ended - began), **costs(bill.per(done), bill)}


def read(
    stack: Stack, connection: Connection, count: int, clients: int = load.CLIENTS, order: str = "created_at DESC"
) -> Measured:
    """w4: read random jobs from several connections, of those that come first in that order: the newest."""
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT id::text FROM jobs ORDER BY {order} LIMIT %s", (_READ,))
        paths = [f"/jobs/{row[0]}" for row in cursor.fetchall()]
    random.shuffle(paths)
    meter = Meter(stack, connection)
    seen = load.get(stack.url, paths, count, clients)
    time.sleep(_SETTLE)
    bill = meter.bill()
    return {**_of(seen), **costs(bill.per(seen.answered), bill)}


def pick_up(stack: Stack, connection: Connection, count: int) -> Measured:
    """w5: one job each 50 ms, on an otherwise idle stack. From before the POST until others can see it committed."""
    started: list[float] = []
    completed: list[float] = []
    answered: list[float] = []
    with _watching(connection), closing(http.client.HTTPConnection(stack.host, stack.port)) as client:
        meter, own, since = Meter(stack, connection), time.process_time(), time.monotonic()
        for _ in range(count):
            began = time.monotonic()
            client.request("POST", "/jobs", BODY, {"Content-Type": "application/json"})
            job_id = json.loads(client.getresponse().read())["id"]
            answered.append(time.monotonic() - began)
            for status, at in _told(connection, job_id):
                {"running": started, "completed": completed}[status].append(at - began)
                if status == "completed":
                    break
            time.sleep(max(0.0, began + _PACE - time.monotonic()))
        bill = meter.bill()
        client_cpu = (time.process_time() - own) / (time.monotonic() - since)
    return {
        **_percentiles("accepted", answered),
        **_percentiles("started", started),
        **_percentiles("completed", completed),
        "client_cpu": client_cpu,
        **costs(bill.per(count), bill),
    }


def idle(stack: Stack, connection: Connection, seconds: float) -> Measured:
    """What the stack uses each second while nothing happens."""
    meter = Meter(stack, connection)
    time.sleep(seconds)
    bill = meter.bill()
    return costs({part: used / seconds for part, used in bill.parts.items()}, bill)


def redis_memory(stack: Stack, connection: Connection, payload_bytes: int, count: int) -> float:
    """Bytes that Redis holds for each queued job with a payload of about that size, with no worker."""
    payload = {"n": 1, "text": "x" * payload_bytes}
    body = json.dumps({"type": "NOTHING", "payload": payload}).encode()
    before = _number(connection, "SELECT count(*) FROM jobs")
    with closing(stack.redis()) as client, closing(http.client.HTTPConnection(stack.host, stack.port)) as http_client:
        client.flushall()
        for _ in range(count):
            http_client.request("POST", "/jobs", body, {"Content-Type": "application/json"})
            http_client.getresponse().read()
        held = sum(client.memory_usage(key, samples=0) or 0 for key in client.scan_iter("dramatiq:*"))
    accepted = _number(connection, "SELECT count(*) FROM jobs") - before
    return held / accepted


def costs(cpu: dict[str, float], bill: Bill) -> Measured:
    """The bill by parts, and what else the machine did."""
    return {"cpu": cpu, "others": bill.others, "steal": bill.steal}


_DONE: Final = "SELECT count(*) FROM jobs WHERE status = 'completed'"
_FAILED: Final = "SELECT count(*) FROM jobs WHERE status = 'failed'"
_ANY_LEFT: Final = (
    "SELECT (EXISTS (SELECT FROM jobs WHERE status = 'queued') OR EXISTS (SELECT FROM jobs WHERE status = 'running'))"
    "::integer"
)


def _await_all_done(connection: Connection) -> None:
    """Wait until no job is left to do."""
    done, since = -1.0, time.monotonic()
    while _number(connection, _ANY_LEFT):
        time.sleep(_LOOK_EVERY)
        if time.monotonic() - since > PATIENCE:
            if (now := _number(connection, _DONE)) == done:
                raise JobsLost()
            done, since = now, time.monotonic()


def _last_end(connection: Connection, failed: float) -> float:
    """The time at which the last job was done. So many had failed before."""
    if _number(connection, _FAILED) > failed:
        raise JobsLost()
    return _number(connection, "SELECT extract(epoch FROM max(finished_at)) FROM jobs")


def _number(connection: Connection, question: str) -> float:
    with connection.cursor() as cursor:
        cursor.execute(question)
        row = cursor.fetchone()
    return float(row[0]) if row is not None else 0.0


@contextmanager
def _watching(connection: Connection) -> Iterator[None]:
    """Have it told when a job starts and completes, as that is committed."""
    with connection.cursor() as cursor:
        cursor.execute(_WATCH)
    try:
        yield
    finally:
        with connection.cursor() as cursor:
            cursor.execute(_UNWATCH)


def _told(connection: Connection, job_id: str) -> Iterator[tuple[str, float]]:
    """What a job's status becomes, with the times at which that is told."""
    while True:
        while connection.notifies:
            status, _, of = connection.notifies.pop(0).payload.partition(" ")
            if of == job_id:
                yield status, time.monotonic()
        if not any(select.select([connection], [], [], PATIENCE)):
            raise JobsLost()
        connection.poll()


def _of(seen: load.Load) -> Measured:
    return {"rate": seen.rate, "p50_ms": seen.p50_ms, "p99_ms": seen.p99_ms, "client_cpu": seen.client_cpu}


def _percentiles(name: str, seconds: Sequence[float]) -> Measured:
    hundredths = statistics.quantiles(seconds, n=100, method="inclusive")
    return {f"{name}_p50_ms": 1000 * hundredths[49], f"{name}_p99_ms": 1000 * hundredths[98]}
