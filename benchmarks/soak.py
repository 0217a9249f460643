"""Whether memory grows: the stack at four fifths of what it can do, for an hour (`make soak`).

Each ten seconds the resident memory of the API's and the worker's processes is read. The slope is that of the second
half: in the first, caches fill.
"""

import argparse
import json
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from statistics import linear_regression, median
from typing import Final

from psycopg2.extensions import connection as Connection  # noqa: N812

from benchmarks.memory import resident_megabytes
from benchmarks.paced import percentile, submit
from benchmarks.plots import Line, draw_course
from benchmarks.stack import GRACE_SECONDS, Stack, running_stack
from jobplatform.errors import PlatformError

_EVERY: Final = 10.0
_LOOK_EVERY: Final = 0.2
#: How hard the stack can be driven is tried with more and more submits a second, until some take longer than this.
_LONGEST_MS: Final = 250.0
_SHARE: Final = 0.8
#: In the picture.
_MOST_POINTS: Final = 60


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.soak", description=__doc__)
    parser.add_argument("--minutes", type=float, default=60.0, help="for how long (default: 60)")
    parser.add_argument("--rate", type=int, help="submits a second (default: four fifths of what it bears)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write what was seen, a line of JSON for each look")
    parser.add_argument("--plot", type=Path, metavar="FILE", help="draw the course")
    given = parser.parse_args()
    try:
        with running_stack() as (stack, connection):
            stack.start_worker(connection)
            rate = given.rate or int(_SHARE * _bearable(stack))
            print(f"{rate} jobs a second for {given.minutes:g} minutes.", flush=True)
            looks = _soak(stack, rate, given.minutes * 60, given.json)
            left = _left(connection)
    except PlatformError as error:
        print(f"Cannot measure: {error}", file=sys.stderr)
        return 1
    print(_summary(looks))
    if given.plot is not None:
        some = looks[:: max(1, len(looks) // _MOST_POINTS)]
        lines = [Line(part, [(at / 60, seen[part]) for at, seen in some]) for part in looks[0][1]]
        draw_course(given.plot, f"Resident memory, MB, at {rate} jobs a second", "minutes", lines)
    if left:
        print(f"{left} jobs are not completed.")
    return 1 if left else 0


Look = tuple[float, dict[str, float]]


def _soak(stack: Stack, rate: int, seconds: float, file: Path | None) -> list[Look]:
    looks = [(0.0, resident_megabytes(stack))]
    began = time.monotonic()
    while (at := time.monotonic() - began) < seconds:
        seen = submit(stack.host, stack.port, rate, min(_EVERY, max(1.0, seconds - at)))
        if seen.wrong:
            raise PlatformError(f"{seen.wrong} submits were not answered 201.")
        looks.append((time.monotonic() - began, resident_megabytes(stack)))
        if file is not None:
            with file.open("a") as lines:
                print(json.dumps({"at": looks[-1][0], **looks[-1][1]}), file=lines)
    return looks


def _bearable(stack: Stack) -> float:
    """Submits a second that are answered soon, while the worker does them."""
    rate = 100
    while percentile(submit(stack.host, stack.port, 2 * rate, 4).took_ms, 95) < _LONGEST_MS and rate < 10_000:
        rate *= 2
    low, high = rate, 2 * rate
    while high - low > low / 8:
        middle = (low + high) // 2
        bears = percentile(submit(stack.host, stack.port, middle, 4).took_ms, 95) < _LONGEST_MS
        low, high = (middle, high) if bears else (low, middle)
    return low


def _left(connection: Connection) -> int:
    """Jobs that are not completed within the time in which a worker stops."""
    until = time.monotonic() + GRACE_SECONDS
    while True:
        with connection.cursor() as cursor:
            cursor.execute("SELECT count(*) FROM jobs WHERE status <> 'completed'")
            ((left,),) = cursor.fetchall()
        if not left or time.monotonic() > until:
            return int(left)
        time.sleep(_LOOK_EVERY)


def _summary(looks: Sequence[Look]) -> str:
    half = looks[len(looks) // 2 :]
    lines = [f"{'resident, MB':<14}{'at rest':>10}{'first half':>12}{'second half':>13}{'most':>8}{'MB an hour':>12}"]
    for part in looks[0][1]:
        slope = linear_regression([at for at, _ in half], [seen[part] for _, seen in half]).slope * 3600
        first = median(seen[part] for _, seen in looks[1 : len(looks) // 2 + 1])
        second, most = median(seen[part] for _, seen in half), max(seen[part] for _, seen in looks)
        lines.append(f"{part:<14}{looks[0][1][part]:>10.1f}{first:>12.1f}{second:>13.1f}{most:>8.1f}{slope:>12.1f}")
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(main())
