"""What becomes of each rate and bill as the work grows (`python -m benchmarks.growth`).

Each part has a size that grows, with a new stack for each size and round: ``jobs`` on record (at the last size 100,000
more wait from the beginning, and 100,000 are drained at each), ``transitions`` of others, bytes of ``payload``,
``clients``, worker ``processes``, job ``types``.
"""

import argparse
import json
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from functools import partial
from http.client import HTTPConnection
from pathlib import Path
from statistics import median
from typing import Any, Final

from psycopg2.extensions import connection as Connection  # noqa: N812

from benchmarks import workloads
from benchmarks.filling import add_up, fill, fill_transitions
from benchmarks.load import CLIENTS, check_client
from benchmarks.plots import Line, draw
from benchmarks.stack import WARM_UP, PlatformStack, Stack, running_stack
from benchmarks.workloads import Measured
from jobplatform.errors import PlatformError

Record = dict[str, Any]
_Play = Callable[[int, int], dict[str, Measured]]

#: Of the jobs on record so many wait, at the last size.
_WAITING: Final = 100_000
_IN_A_BATCH: Final = 10_000
#: An hour's worth of one-megabyte payloads is not wanted: the larger they are, the fewer are sent.
_PAYLOAD_BYTES: Final = 200_000_000
#: What a payload has beside its text.
_AROUND: Final = len('{"n": 1, "text": ""}')


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.growth", description=__doc__)
    parser.add_argument("--parts", default=",".join(_PARTS), help=f"some of {','.join(_PARTS)} (default: all)")
    parser.add_argument("--rounds", type=int, default=3, help="each size in each of them (default: 3)")
    parser.add_argument("--jobs", type=int, default=3_000, help="how many are submitted at each size (default: 3000)")
    parser.add_argument("--most", type=int, default=1_000_000, help="jobs on record at the most (default: 1000000)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="add what was measured, a line of JSON for each")
    parser.add_argument("--plots", type=Path, metavar="FOLDER", help="draw a picture of each part there")
    given = parser.parse_args()
    parts = [name for name in given.parts.split(",") if name]
    if unknown := [name for name in parts if name not in _PARTS]:
        parser.error(f"there is no part {', '.join(unknown)}")
    try:
        check_client()
        for part in parts:
            records = list(_measured(part, given))
            print(_table(part, records), flush=True)
            if given.plots is not None:
                _draw(part, records, given.plots)
    except PlatformError as error:
        print(f"Cannot measure: {error}", file=sys.stderr)
        return 1
    return 0


def _measured(part: str, given: argparse.Namespace) -> Iterator[Record]:
    _, sizes, play = _PARTS[part]
    for number in range(given.rounds):
        # Each other round the other way round: what the machine does by and by is no matter of the size.
        for size in sizes[:: -1 if number % 2 else 1]:
            size = min(size, given.most) if part == "jobs" else size
            print(f"{part} {size:,}, round {number + 1} of {given.rounds}.", file=sys.stderr, flush=True)
            for workload, measured in play(size, given.jobs).items():
                record = {"part": part, "size": size, "round": number + 1, "workload": workload, **measured}
                if given.json is not None:
                    with given.json.open("a") as file:
                        print(json.dumps(record), file=file)
                yield record


def _jobs(size: int, count: int) -> dict[str, Measured]:
    """Finished ones, and at the last size many that wait. At each as many are drained."""
    with running_stack() as (stack, connection):
        if size:
            fill(connection, size, unfinished=False)
            add_up(connection)
        waiting = partial(_submit_many, stack, [workloads.JOB] * _WAITING)
        wait_already = size == _PARTS["jobs"][1][-1]
        if wait_already:
            waiting()
        measured = _before_work(stack, connection, count, workloads.BODY)
        measured["read any"] = workloads.read(stack, connection, count, order="random()")
        if not wait_already:
            waiting()
        return measured | _work(stack, connection, count, workloads.BODY)


def _transitions(size: int, count: int) -> dict[str, Measured]:
    with running_stack() as (stack, connection):
        if size:
            fill_transitions(connection, size)
            add_up(connection)
        return _all(stack, connection, count, workloads.BODY)


def _payload(size: int, count: int) -> dict[str, Measured]:
    text = "x" * max(0, size - _AROUND)
    body = json.dumps({"type": "NOTHING", "payload": {"n": 1, "text": text}}).encode()
    some = max(workloads.FEWEST * 4, min(count, _PAYLOAD_BYTES // size))
    with running_stack() as (stack, connection):
        stack.warm_up = min(WARM_UP, some)
        return _all(stack, connection, some, body)


def _clients(size: int, count: int) -> dict[str, Measured]:
    with running_stack() as (stack, connection):
        return _all(stack, connection, count, workloads.BODY, clients=size)


def _processes(size: int, count: int) -> dict[str, Measured]:
    with running_stack(partial(PlatformStack, processes=size)) as (stack, connection):
        workloads.accept(stack, connection, WARM_UP + count)
        drained = workloads.drain(stack, connection)
        return {"drain": drained, "end-to-end": workloads.end_to_end(stack, connection, count)}


def _types(size: int, count: int) -> dict[str, Measured]:
    with running_stack(partial(PlatformStack, actors="benchmarks.many_types")) as (stack, connection):
        jobs = [{"type": f"TYPE_{number % size}", "payload": {"n": number}} for number in range(WARM_UP + count)]
        _submit_many(stack, jobs)
        drained = workloads.drain(stack, connection)
        return {"drain": drained, "read": workloads.read(stack, connection, count)}


#: By name: what grows, its sizes, and what is played at each.
_PARTS: Final[dict[str, tuple[str, Sequence[int], _Play]]] = {
    "jobs": ("jobs on record", (0, 100, 10_000, 1_000_000), _jobs),
    "transitions": ("transitions on record", (0, 1_000_000, 10_000_000), _transitions),
    "payload": ("bytes of payload", (100, 10_000, 1_000_000), _payload),
    "clients": ("clients", (1, 2, 4, 8, 16, 32, 64), _clients),
    "processes": ("worker processes", (1, 2, 4), _processes),
    "types": ("job types", (1, 1_000), _types),
}


def _all(stack: Stack, connection: Connection, count: int, body: bytes, clients: int = CLIENTS) -> dict[str, Measured]:
    return _before_work(stack, connection, count, body, clients) | _work(stack, connection, count, body, clients)


def _before_work(
    stack: Stack, connection: Connection, count: int, body: bytes, clients: int = CLIENTS
) -> dict[str, Measured]:
    workloads.accept(stack, connection, min(WARM_UP, count), body, clients)
    accepted = workloads.accept(stack, connection, count, body, clients)
    return {"accept": accepted, "read": workloads.read(stack, connection, count, clients)}


def _work(stack: Stack, connection: Connection, count: int, body: bytes, clients: int = CLIENTS) -> dict[str, Measured]:
    drained = workloads.drain(stack, connection)
    return {"drain": drained, "end-to-end": workloads.end_to_end(stack, connection, count, body, clients)}


def _submit_many(stack: Stack, jobs: Sequence[Record]) -> None:
    for first in range(0, len(jobs), _IN_A_BATCH):
        _submit_batch(stack, jobs[first : first + _IN_A_BATCH])


def _submit_batch(stack: Stack, jobs: Sequence[Record]) -> None:
    with closing(HTTPConnection(stack.host, stack.port, timeout=60)) as client:
        client.request("POST", "/jobs/batch", json.dumps({"jobs": jobs}), {"Content-Type": "application/json"})
        answer = client.getresponse()
        answer.read()
        if answer.status != 201:
            raise PlatformError(f"A batch was answered {answer.status}.")


def _table(part: str, records: Sequence[Record]) -> str:
    """Medians, and what they are of those at the first size."""
    found = _medians(records)
    names = list(dict.fromkeys(workload for workload, _, _ in found))
    sizes = list(dict.fromkeys(size for _, size, _ in found))
    head = [_PARTS[part][0], *(f"{name}, {unit}" for name in names for unit in ("per second", "µs"))]
    lines = ["| " + " | ".join(head) + " |", "|" + "---|" * len(head)]
    for size in sorted(sizes):
        cells = [f"{size:,}"]
        for name in names:
            for figure in ("rate", "bill"):
                value, first = found[name, size, figure], found[name, min(sizes), figure]
                cells.append(f"{value:,.0f} ({value / first:.2f})")
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"


def _medians(records: Sequence[Record]) -> dict[tuple[str, int, str], float]:
    values: dict[tuple[str, int, str], list[float]] = {}
    for one in records:
        for figure, value in (("rate", one["rate"]), ("bill", sum(one["cpu"].values()))):
            values.setdefault((one["workload"], one["size"], figure), []).append(value)
    return {key: median(several) for key, several in values.items()}


def _draw(part: str, records: Sequence[Record], folder: Path) -> None:
    title = _PARTS[part][0]
    found = _medians(records)
    for figure, unit in (("rate", "a second"), ("bill", "µs of CPU for each")):
        lines = [
            Line(name, [(size, found[name, size, figure]) for size in sorted({s for n, s, _ in found if n == name})])
            for name in dict.fromkeys(workload for workload, _, _ in found)
        ]
        draw(folder / f"growth-{part}-{figure}.svg", f"{unit[:1].upper()}{unit[1:]}, by {title}", title, lines)


if __name__ == "__main__":
    sys.exit(main())
