"""What watchers cost those who submit: rounds without and with them at a steady pace (`-m benchmarks.watchers`).

The rounds alternate on one stack. Each watcher must have heard of every transition once. What other work took of the
machine is told for each round; those in which it took more than is allowed do not count, whichever way they went.
"""

import argparse
import http.client
import json
import os
import statistics
import sys
import time
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass
from typing import Any, Final

from psycopg2.extensions import connection as Connection  # noqa: N812

from benchmarks.crowd import Crowd, Heard
from benchmarks.meter import Bill, Meter
from benchmarks.paced import percentile, submit
from benchmarks.stack import Stack, running_stack
from jobplatform.errors import PlatformError

_NEVER: Final = json.dumps(
    {"type": "NOTHING", "payload": {"n": 1, "text": "x" * 10_000}, "runAt": "2999-01-01T00:00:00Z"}
).encode()

#: Seconds of submits before those that count: what it costs that 400 clients come at once is another question.
_SETTLE: Final = 2.0


@dataclass(frozen=True)
class Round:
    """What was measured."""

    watched: bool
    took_ms: list[float]
    bill: Bill
    #: Cores that were in use by everything but the stack and its clients.
    others: float
    told: dict[str, Any]

    def __str__(self) -> str:
        p50, p99 = (round(percentile(self.took_ms, of), 1) for of in (50, 99))
        return json.dumps({"watched": self.watched, "p50_ms": p50, "p99_ms": p99, **self.told})


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.watchers", description=__doc__)
    parser.add_argument("--rounds", type=int, default=10, help="of either sort that count (default: 10)")
    parser.add_argument("--seconds", type=float, default=4.0, help="of each round (default: 4)")
    parser.add_argument("--others", type=float, default=2.0, help="cores that other work may take (default: 2)")
    parser.add_argument("--patience", type=float, default=600.0, help="seconds for all rounds (default: 600)")
    parser.add_argument("--rate", type=int, default=500, help="submits a second (default: 500)")
    parser.add_argument("--streams", type=int, default=200, help="clients of GET /events (default: 200)")
    parser.add_argument("--waits", type=int, default=200, help="clients of ?wait=30 (default: 200)")
    parser.add_argument("--worker", action="store_true", help="let a worker do the jobs: three transitions for each")
    given = parser.parse_args()
    try:
        with running_stack() as (stack, connection):
            waiting = _jobs_that_never_end(stack, given.waits)
            if given.worker:
                stack.start_worker(connection)
            submit(stack.host, stack.port, given.rate, 3)  # warms up
            rounds = _rounds(stack, connection, given, waiting)
    except PlatformError as error:
        print(f"Cannot measure: {error}", file=sys.stderr)
        return 1
    print(_summary([one for one in rounds if one.others <= given.others], len(rounds), given.seconds))
    return 0


def _rounds(stack: Stack, connection: Connection, given: argparse.Namespace, waiting: Sequence[str]) -> list[Round]:
    rounds: list[Round] = []
    until = time.monotonic() + given.patience
    while time.monotonic() < until:
        # A round may suffer from what the one before left behind (a checkpoint, a vacuum): so none comes always second.
        first = len(rounds) // 2 % 2 == 0
        for watched in (not first, first):
            streams, waits = (given.streams, waiting) if watched else (0, [])
            crowd = Crowd(stack.host, stack.port, streams, waits)
            rounds.append(_round(stack, connection, given, crowd, watched))
            print(rounds[-1], flush=True)
        counting = [one.watched for one in rounds if one.others <= given.others]
        if min(counting.count(True), counting.count(False)) >= given.rounds:
            break
    return rounds


def _round(stack: Stack, connection: Connection, given: argparse.Namespace, crowd: Crowd, watched: bool) -> Round:
    before = _transitions(connection)
    crowd.start()  # a process also where it watches nothing: that one starts is no watcher's cost
    submit(stack.host, stack.port, given.rate, _SETTLE)
    meter, own = Meter(stack, connection), time.process_time()
    seen = submit(stack.host, stack.port, given.rate, given.seconds)
    bill = meter.bill()
    client = (time.process_time() - own) / given.seconds
    told: dict[str, Any] = {"wrong": seen.wrong} if seen.wrong else {}
    heard = crowd.stop(len(_transitions(connection) - before))
    heard_cores = heard.cpu_seconds / given.seconds
    if watched:
        told |= _heard(heard, sorted(_transitions(connection) - before))
    others = bill.others - client - heard_cores
    told |= {part: round(used / 1_000_000 / given.seconds, 2) for part, used in bill.parts.items()}
    told |= {"crowd": round(heard_cores, 2), "others": round(others, 2), "load": os.getloadavg()[0]}
    return Round(watched, seen.took_ms, bill, others, told)


def _heard(heard: Heard, transitions: list[int]) -> dict[str, Any]:
    each_once = sorted(heard.ids) == transitions
    return {
        "transitions": len(transitions),
        "listeners_that_heard_each_once": heard.alike if each_once else 0,
        **({"waits_answered_early": heard.answers} if heard.answers else {}),
    }


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


def _summary(counting: Sequence[Round], tried: int, seconds: float) -> str:
    lines = [f"{len(counting)} of {tried} rounds count"]
    sorts = [[one for one in counting if one.watched is watched] for watched in (False, True)]
    if not all(sorts):
        return lines[0]
    for of in (50, 99):
        apart = [statistics.median(percentile(one.took_ms, of) for one in rounds) for rounds in sorts]
        pooled = [percentile([took for one in rounds for took in one.took_ms], of) for rounds in sorts]
        lines.append(_line(f"p{of} ms, median of rounds", apart))
        lines.append(_line(f"p{of} ms, all submits", pooled))
    for part in ("api", "postgres"):
        cores = [statistics.median(one.bill.parts[part] for one in rounds) / 1_000_000 / seconds for rounds in sorts]
        lines.append(_line(f"{part}, cores", cores))
    lines.append(_line("others, cores", [statistics.mean(one.others for one in rounds) for rounds in sorts]))
    return "\n".join(lines)


def _line(title: str, values: Sequence[float]) -> str:
    without, watched = values
    return f"{title:<26} without {without:8.2f}   with {watched:8.2f}   ratio {watched / without:.2f}"


if __name__ == "__main__":
    sys.exit(main())
