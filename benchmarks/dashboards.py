"""What open dashboards cost those who submit: rounds without and with them on one stack (`-m benchmarks.dashboards`).

Each round submits as fast as it goes while a worker does the jobs. A dashboard is a browser that shows the overview: it
asks for the part that moves every four seconds.
"""

import argparse
import asyncio
import multiprocessing
import os
import statistics
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing.synchronize import Event
from typing import Final, NamedTuple

from benchmarks.filling import fill
from benchmarks.meter import Meter
from benchmarks.paced import submit
from benchmarks.stack import Stack, running_stack
from jobplatform.errors import PlatformError

_EVERY: Final = 4.0
_VIEWS: Final = ("/", "/?window=15m", "/?window=6h", "/?window=24h", "/?window=7d")
#: So many submits a second that all wait from the beginning.
_AT_ONCE: Final = 1_000_000
#: How long all of them may take to load, in seconds.
_PATIENCE: Final = 60.0


class DashboardsMissing(PlatformError):
    """Not all dashboards have loaded within a minute, or one was not answered later."""


class Round(NamedTuple):
    """What was measured: submits a second, and the CPU of the API and of Postgres for each, in microseconds."""

    rate: float
    api: float
    postgres: float


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.dashboards", description=__doc__)
    parser.add_argument("--dashboards", type=int, default=50)
    parser.add_argument("--views", type=int, default=len(_VIEWS), help="that differ (default: all windows)")
    parser.add_argument("--rounds", type=int, default=5, help="of either sort (default: 5)")
    parser.add_argument("--submits", type=int, default=8_000, help="in each round (default: 8,000)")
    parser.add_argument("--jobs", type=int, default=100_000, help="on record before (default: 100,000)")
    given = parser.parse_args()
    rounds: dict[bool, list[Round]] = {False: [], True: []}
    try:
        with running_stack() as (stack, connection):
            fill(connection, given.jobs)
            stack.start_worker(connection)
            submit(stack.host, stack.port, 500, 3)  # warms up
            for number in range(2 * given.rounds):
                watched = number % 4 in (1, 2)  # so that none comes always second
                with _dashboards(stack, given.dashboards if watched else 0, _VIEWS[: given.views]):
                    meter, began = Meter(stack, connection), time.monotonic()
                    submit(stack.host, stack.port, _AT_ONCE, given.submits / _AT_ONCE)
                    took, bill = time.monotonic() - began, meter.bill().per(given.submits)
                rounds[watched].append(Round(given.submits / took, bill["api"], bill["postgres"]))
                print(f"{'with   ' if watched else 'without'} {rounds[watched][-1]}", flush=True)
    except PlatformError as error:
        print(f"Cannot measure: {error}", file=sys.stderr)
        return 1
    for name in Round._fields:
        without, seen = (statistics.median(getattr(one, name) for one in rounds[watched]) for watched in (False, True))
        print(f"{name:<9} without {without:8.0f}   with {seen:8.0f}   ratio {seen / without:.2f}")
    return 0


@contextmanager
def _dashboards(stack: Stack, count: int, views: tuple[str, ...]) -> Iterator[None]:
    """So many open dashboards, in a process of their own; a process also where there are none."""
    loaded = multiprocessing.Event()
    process = multiprocessing.Process(target=_look, args=(stack.host, stack.port, count, views, loaded), daemon=True)
    process.start()
    try:
        if not loaded.wait(_PATIENCE):
            raise DashboardsMissing()
        yield
        if not process.is_alive():
            raise DashboardsMissing()
    finally:
        process.terminate()
        process.join()


def _look(host: str, port: int, count: int, views: tuple[str, ...], loaded: Event) -> None:
    os.nice(19)  # in life the browsers have machines of their own
    asyncio.run(_look_all(host, port, count, views, loaded))


async def _look_all(host: str, port: int, count: int, views: tuple[str, ...], loaded: Event) -> None:
    first = [asyncio.Event() for _ in range(count)]

    async def tell() -> None:
        for seen in first:
            await seen.wait()
        loaded.set()

    lookers = [_look_on(host, port, views[n % len(views)], n / count, seen) for n, seen in enumerate(first)]
    await asyncio.gather(*lookers, tell(), asyncio.Event().wait())


async def _look_on(host: str, port: int, view: str, share: float, seen: asyncio.Event) -> None:
    await asyncio.sleep(share * _EVERY)  # each at a moment of its own, as people open them
    while True:
        # A new connection for each: gunicorn closes one that is idle for two seconds.
        reader, writer = await asyncio.open_connection(host, port)
        writer.write(f"GET {view} HTTP/1.1\r\nHost: benchmark\r\nHX-Request: true\r\n\r\n".encode())
        head = await reader.readuntil(b"\r\n\r\n")
        if not head.startswith(b"HTTP/1.1 200"):
            raise SystemExit(f"{view}: {head!r}")
        await reader.readexactly(int(head.lower().partition(b"content-length:")[2].partition(b"\r\n")[0]))
        writer.close()
        seen.set()
        await asyncio.sleep(_EVERY)


if __name__ == "__main__":
    sys.exit(main())
