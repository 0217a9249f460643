"""The bill of a run: what each part of the stack used of the CPU between two moments."""

import time
from dataclasses import dataclass
from typing import Final

from psycopg2.extensions import connection as Connection  # noqa: N812

from benchmarks.cpu import machine_microseconds, tree_microseconds
from benchmarks.stack import Stack

PARTS: Final = ("api", "worker", "postgres", "redis")


@dataclass(frozen=True)
class Bill:
    """Microseconds of CPU by part, and what else the machine did meanwhile."""

    parts: dict[str, int]
    #: Cores in use by everything outside the stack, and withheld by the host.
    others: float
    steal: float

    def per(self, count: int) -> dict[str, float]:
        """Microseconds of each part for one of so many."""
        return {part: microseconds / count for part, microseconds in self.parts.items()}


class Meter:
    """Runs from when it is made. The connection that looks on does not count."""

    def __init__(self, stack: Stack, connection: Connection) -> None:
        self._stack = stack
        self._onlooker = connection.info.backend_pid
        self._began = time.monotonic()
        self._before = self._read()
        self._machine_before = machine_microseconds()

    def bill(self) -> Bill:
        """What was used so far."""
        parts = {part: used - self._before.get(part, 0) for part, used in self._read().items()}
        busy, steal = (
            after - before for after, before in zip(machine_microseconds(), self._machine_before, strict=True)
        )
        elapsed = (time.monotonic() - self._began) * 1_000_000
        return Bill(parts, (busy - sum(parts.values())) / elapsed, steal / elapsed)

    def _read(self) -> dict[str, int]:
        children = (self._stack.api, self._stack.worker, self._stack.postgres, self._stack.valkey)
        return {
            part: tree_microseconds(child.pid, without=self._onlooker) if child is not None else 0
            for part, child in zip(PARTS, children, strict=True)
        }
