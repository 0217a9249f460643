"""A load of so many submits a second, whatever their answers take: each is timed from when it was due."""

import asyncio
import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from benchmarks.workloads import BODY

_CONNECTIONS: Final = 64
_REQUEST: Final = (
    b"POST /jobs HTTP/1.1\r\nHost: benchmark\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s"
    % (len(BODY), BODY)
)


@dataclass(frozen=True)
class Paced:
    """What each submit took, in milliseconds, and how many of them went wrong."""

    took_ms: list[float]
    wrong: int


def submit(host: str, port: int, per_second: int, seconds: float) -> Paced:
    """Submit so many a second for so long."""
    return asyncio.run(_submit(host, port, per_second, seconds))


async def _submit(host: str, port: int, per_second: int, seconds: float) -> Paced:
    loop = asyncio.get_running_loop()
    due: asyncio.Queue[float] = asyncio.Queue()
    took: list[float] = []
    wrong = 0

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal wrong
        while True:
            at = await due.get()
            writer.write(_REQUEST)
            head = await reader.readuntil(b"\r\n\r\n")
            wrong += not head.startswith(b"HTTP/1.1 201")
            await reader.readexactly(int(head.lower().partition(b"content-length:")[2].partition(b"\r\n")[0]))
            took.append(1000 * (loop.time() - at))
            due.task_done()

    connections = [await asyncio.open_connection(host, port) for _ in range(_CONNECTIONS)]
    tasks = [asyncio.create_task(serve(*connection)) for connection in connections]
    began = loop.time()
    for number in range(int(per_second * seconds)):
        at = began + number / per_second
        if (early := at - loop.time()) > 0:
            await asyncio.sleep(early)
        due.put_nowait(at)
    await due.join()
    for task in tasks:
        task.cancel()
    for _, writer in connections:
        writer.close()
    return Paced(took, wrong)


def percentile(took_ms: Sequence[float], of: int) -> float:
    """So many of a hundred took no longer than this."""
    return statistics.quantiles(took_ms, n=100, method="inclusive")[of - 1]
