"""``python -m benchmarks.million``: what it takes to look at a million jobs, over HTTP, with each filter.

``--jobs`` and ``--calls`` set how many jobs there are, and how often each call is made. At last come the dashboard's
pages, while ``--beside`` jobs a second are submitted and done.
"""

import argparse
import http.client
import statistics
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from itertools import cycle
from multiprocessing import Process
from typing import Any, Final
from urllib.parse import urlencode

import msgspec
from psycopg2.extensions import connection as Connection  # noqa: N812

from api.filters import job_filter
from api.metrics import record
from api.parameters import Parameters
from benchmarks.filling import fill
from benchmarks.paced import submit
from benchmarks.plans import scans_of
from benchmarks.stack import Stack, running_stack
from jobplatform.connection import give_up_connection, open_connection
from jobplatform.journal import add_up
from jobplatform.models import connect_to
from jobplatform.queries.counts import Counts
from jobplatform.queries.facts import facts
from jobplatform.queries.failures import failures
from jobplatform.queries.glance import glance
from jobplatform.queries.listing import page
from jobplatform.queries.queues import queues
from jobplatform.queries.tallies import RANGES, window
from jobplatform.states import QUEUES

#: The filters of lists. Each is followed from page to page, and again from its first where it ends.
FILTERS: Final[tuple[dict[str, str], ...]] = (
    {},
    {"order": "oldest"},
    {"limit": "500"},
    {"status": "completed"},
    {"status": "failed"},
    {"status": "queued,running,retrying"},
    {"type": "COMMON_TYPE"},
    {"type": "RARE_TYPE"},
    {"type": "RARE_TYPE", "status": "completed"},
    {"type": "COMMON_TYPE", "status": "failed"},
    {"type": "RARE_TYPE", "status": "failed"},
    {"priority": "high"},
    {"priority": "high", "type": "COMMON_TYPE"},
    {"tag": "nightly"},
    {"tag": "special"},
    {"tag": "nightly", "status": "failed"},
    {"createdBefore": "2020-01-01T00:00:00Z"},
    {"createdAfter": "2020-01-01T00:00:00Z", "status": "cancelled"},
    {"q": "user4711@"},
    {"q": "no such text"},
    {"q": "no such text", "status": "failed"},
    {"q": "$.to=user4711@example.com"},
    {"q": "$.data.0.id=0"},
    {"q": "$.data.0.id=0", "tag": "nightly"},
)

#: What the dashboard is asked for, each as its first page.
PAGES: Final = (
    "/",
    "/?window=7d",
    "/ui/jobs",
    "/ui/jobs?q=status:failed",
    "/ui/jobs?q=type:RARE_TYPE",
    "/ui/jobs?q=tag:special+status:failed",
    "/ui/jobs?q=payload.to:user4711@example.com",
    "/ui/jobs?q=no+such+text",
    "/ui/failures",
    "/ui/workers",
    "/ui/queues",
    "/ui/types",
)


def main() -> None:
    """Measure, and print a table."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.million", description=__doc__)
    parser.add_argument("--jobs", type=int, default=1_000_000)
    parser.add_argument("--calls", type=int, default=200)
    parser.add_argument("--beside", type=int, default=300)
    parser.add_argument("--pages-only", action="store_true")
    given = parser.parse_args()
    with running_stack() as (stack, connection):
        began = time.monotonic()
        fill(connection, given.jobs)
        print(f"{given.jobs:,} jobs were made in {time.monotonic() - began:.0f} s.\n")
        connect_to(stack.postgres.url("benchmark"))
        open_connection()
        try:
            began = time.monotonic()
            while add_up(pause=0):
                pass
            print(f"What had happened was added up in {time.monotonic() - began:.0f} s.\n")
            print(f"| {given.calls} times each | p50, ms | p95, ms | p99, ms | most, ms | shown, median | finds by |")
            print("|---|---|---|---|---|---|---|")
            for name, calls, query in () if given.pages_only else _cases(connection):
                print(_line(stack, name, calls, query, given.calls), flush=True)
            stack.start_worker(connection)
            with _beside(stack, given.beside):
                for name, calls, query, most in _pages():
                    print(_line(stack, name, calls, query, min(most, given.calls)), flush=True)
        finally:
            give_up_connection()


@contextmanager
def _beside(stack: Stack, per_second: int) -> Iterator[None]:
    """Submit so many jobs a second meanwhile, by a process of its own."""
    submitter = Process(target=submit, args=(stack.host, stack.port, per_second, 3_600), daemon=True)
    submitter.start()
    try:
        yield
    finally:
        submitter.terminate()
        submitter.join()


Next = Callable[[dict[str, Any]], str]


def _cases(connection: Connection) -> Iterator[tuple[str, Next, Callable[[], object]]]:
    yield "/health", lambda _: "/health", lambda: None  # what the machine and the server take by themselves
    for parameters in FILTERS:
        which = job_filter(Parameters(parameters))
        query = partial(page, which, parameters.get("order") != "oldest", None, 50)
        name = "&".join(f"{name}={value}" for name, value in parameters.items())
        yield f"/jobs?{name}", partial(_next_page, parameters), query
    counts = Counts()
    counts.read()
    yield "/jobs/counts", lambda _: "/jobs/counts", counts.read
    for status in ("queued", "scheduled", "retrying", "failed", "completed"):
        ids = _ids(connection, status)
        yield f"explain a {status} job", partial(_next_explained, cycle(ids)), partial(facts, ids[0])
    yield "/queues", lambda _: "/queues", queues
    yield "/metrics", lambda _: "/metrics", record
    yield "/failures", lambda _: "/failures", partial(failures, None)


def _pages() -> Iterator[tuple[str, Next, Callable[[], object], int]]:
    """The dashboard's pages, each with how often it can be asked for.

    Of the overview also views that nobody has looked at before: each is made for itself, and kept for some seconds.
    """
    for name in RANGES:
        views = [{"window": name, "type": f"TYPE_{n}", "queue": queue} for n in range(9) for queue in ("", *QUEUES)]
        words = iter([urlencode(view) for view in views])
        yield f"/?window={name}&type=…", partial(_next_view, words), partial(_overview, name), len(views) - 1
    for address in PAGES:
        yield address, partial(_same, address), lambda: None, sys.maxsize


def _overview(name: str) -> None:
    glance()
    window(RANGES[name], "TYPE_1")


def _next_view(words: Iterator[str], _: dict[str, Any]) -> str:
    return f"/?{next(words)}"


def _next_page(parameters: dict[str, str], last: dict[str, Any]) -> str:
    cursor = {"cursor": last["next"]} if last.get("next") else {}
    return f"/jobs?{urlencode({**parameters, **cursor})}"


def _same(address: str, _: dict[str, Any]) -> str:
    return address


def _next_explained(ids: Iterator[str], _: dict[str, Any]) -> str:
    return f"/jobs/{next(ids)}/explain"


def _ids(connection: Connection, status: str) -> list[str]:
    with connection.cursor() as cursor:
        cursor.execute("SELECT id::text FROM jobs WHERE status = %s ORDER BY id LIMIT 5000", (status,))
        return [job_id for (job_id,) in cursor.fetchall()][::25]


def _line(stack: Stack, name: str, path: Next, query: Callable[[], object], calls: int) -> str:
    times, shown = _called(stack, path, calls)
    quantiles = statistics.quantiles(times, n=100)
    found_by = ", ".join(sorted(scans_of(query)))
    return (
        f"| `{name}` | {quantiles[49]:.1f} | {quantiles[94]:.1f} | {quantiles[98]:.1f} | {max(times):.1f}"
        f" | {statistics.median(shown):.0f} | {found_by} |"
    )


def _called(stack: Stack, path: Next, calls: int) -> tuple[list[float], list[int]]:
    """How long each call took, in milliseconds, and how many items it showed. One before them warms the caches."""
    line = http.client.HTTPConnection(stack.host, stack.port, timeout=60)
    times: list[float] = []
    shown: list[int] = []
    last: dict[str, Any] = {}
    for number in range(calls + 1):
        wanted = path(last)
        began = time.perf_counter()
        line.request("GET", wanted)
        answer = line.getresponse()
        body = answer.read()
        took = (time.perf_counter() - began) * 1_000
        if answer.status != 200:
            raise SystemExit(f"{wanted}: {answer.status} {body.decode()}")
        last = msgspec.json.decode(body) if answer.headers["Content-Type"] == "application/json" else {}
        if number:
            times.append(took)
            shown.append(len(last.get("items", ())))
    line.close()
    return times, shown


if __name__ == "__main__":
    main()
