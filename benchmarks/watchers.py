"""What watchers cost those who submit: rounds without and with them at a steady pace (`-m benchmarks.watchers`).

The rounds alternate on one stack. Each watcher must have heard of every transition once.
"""

import argparse
import http.client
import json
import os
import statistics
import sys
from collections.abc import Sequence
from contextlib import closing
from typing import Any, Final

from psycopg2.extensions import connection as Connection  # noqa: N812

from benchmarks import paced
from benchmarks.crowd import Crowd, Heard
from benchmarks.meter import Bill, Meter
from benchmarks.stack import Stack, running_stack
from jobplatform.errors import PlatformError

_NEVER: Final = json.dumps(
    {"type": "NOTHING", "payload": {"n": 1, "text": "x" * 10_000}, "runAt": "2999-01-01T00:00:00Z"}
).encode()


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.watchers", description=__doc__)
    parser.add_argument("--rounds", type=int, default=5, help="pairs of rounds, without and with (default: 5)")
    parser.add_argument("--seconds", type=float, default=10.0, help="of each round (default: 10)")
    parser.add_argument("--rate", type=int, default=500, help="submits a second (default: 500)")
    parser.add_argument("--streams", type=int, default=200, help="clients of GET /events (default: 200)")
    parser.add_argument("--waits", type=int, default=200, help="clients of ?wait=30 (default: 200)")
    parser.add_argument("--worker", action="store_true", help="let a worker do the jobs: three transitions for each")
    arguments = parser.parse_args()
    rounds: dict[bool, list[dict[str, Any]]] = {False: [], True: []}
    try:
        with running_stack() as (stack, connection):
            waiting = _jobs_that_never_end(stack, arguments.waits)
            if arguments.worker:
                stack.start_worker(connection)
            paced.submit(stack.host, stack.port, arguments.rate, 3)  # warms up
            for number in range(2 * arguments.rounds):
                watched = number % 2 == 1
                rounds[watched].append(_round(stack, connection, arguments, waiting if watched else None))
                print(json.dumps({"watched": watched, **rounds[watched][-1]}), flush=True)
    except PlatformError as error:
        print(f"Cannot measure: {error}", file=sys.stderr)
        return 1
    print(_summary(rounds))
    return 0


def _round(
    stack: Stack, connection: Connection, arguments: argparse.Namespace, waiting: Sequence[str] | None
) -> dict[str, Any]:
    crowd = Crowd(stack.host, stack.port, arguments.streams, waiting) if waiting is not None else None
    before = _transitions(connection)
    if crowd is not None:
        crowd.start()
    meter = Meter(stack, connection)
    seen = paced.submit(stack.host, stack.port, arguments.rate, arguments.seconds)
    bill = meter.bill()
    told = sorted(_transitions(connection) - before)
    return {
        "submits": seen.count,
        "wrong": seen.wrong,
        "p50_ms": round(seen.p50_ms, 2),
        "p99_ms": round(seen.p99_ms, 2),
        **_cores(bill, arguments.seconds),
        "load": os.getloadavg()[0],
        **(_heard(crowd.stop(len(told)), connection, before, arguments) if crowd is not None else {}),
    }


def _heard(heard: Heard, connection: Connection, before: set[int], arguments: argparse.Namespace) -> dict[str, Any]:
    told = sorted(_transitions(connection) - before)
    return {
        "transitions": len(told),
        "each_heard_once": sorted(heard.ids) == told or not arguments.streams,
        "listeners_alike": heard.alike,
        "waits_answered_early": heard.answers,
        "crowd": round(heard.cpu_seconds / arguments.seconds, 3),
    }


def _cores(bill: Bill, seconds: float) -> dict[str, float]:
    cores = {part: round(used / 1_000_000 / seconds, 3) for part, used in bill.parts.items()}
    return {**cores, "others": round(bill.others, 2), "steal": round(bill.steal, 2)}


def _jobs_that_never_end(stack: Stack, count: int) -> list[str]:
    with closing(http.client.HTTPConnection(stack.host, stack.port)) as client:
        ids = []
        for _ in range(count):
            client.request("POST", "/jobs", _NEVER, {"Content-Type": "application/json"})
            ids.append(str(json.loads(client.getresponse().read())["id"]))
        return ids


def _transitions(connection: Connection) -> set[int]:
    with connection.cursor() as cursor:
        cursor.execute("SELECT id FROM transitions")
        return {number for (number,) in cursor.fetchall()}


def _summary(rounds: dict[bool, list[dict[str, Any]]]) -> str:
    pairs = list(zip(rounds[False], rounds[True], strict=True))
    ratio = statistics.median(watched["p99_ms"] / without["p99_ms"] for without, watched in pairs)
    lines = [f"p99 with watchers, as a ratio to that of the round before without: median {ratio:.2f}"]
    for name in ("p50_ms", "p99_ms", "api", "postgres"):
        without, watched = ([one[name] for one in rounds[key]] for key in (False, True))
        ratio = statistics.median(watched) / statistics.median(without)
        lines.append(
            f"{name:<9} without {statistics.median(without):7.2f} ({min(without):.2f}..{max(without):.2f})"
            f"   with {statistics.median(watched):7.2f} ({min(watched):.2f}..{max(watched):.2f})   {ratio:.2f}"
        )
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(main())
