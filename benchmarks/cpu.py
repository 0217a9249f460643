"""CPU time of process trees, read from /proc."""

import os
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Final

_MICROSECONDS: Final = 1_000_000 // os.sysconf("SC_CLK_TCK")


def tree_microseconds(root: int, *, without: int | None = None) -> int:
    """The CPU time that a process and all its descendants have used, those included that have ended and were reaped.

    Args:
        without: one of them that does not count.
    """
    return _MICROSECONDS * sum(_ticks(pid) for pid in tree(root) if pid != without)


def machine_microseconds() -> tuple[int, int]:
    """The CPU time that everything on this machine has used, and what its host withheld from it (steal)."""
    user, nice, system, _, _, irq, softirq, steal = map(int, Path("/proc/stat").read_text().split(maxsplit=9)[1:9])
    return _MICROSECONDS * (user + nice + system + irq + softirq), _MICROSECONDS * steal


def tree(root: int) -> Iterator[int]:
    """The ids of a process and of all its descendants."""
    children: dict[int, list[int]] = defaultdict(list)
    for folder in Path("/proc").glob("[0-9]*"):
        if fields := _stat(int(folder.name)):
            children[int(fields[1])].append(int(folder.name))
    wanted = [root]
    while wanted:
        pid = wanted.pop()
        yield pid
        wanted += children[pid]


def _ticks(pid: int) -> int:
    """utime, stime, cutime and cstime."""
    return sum(map(int, _stat(pid)[11:15]))


def _stat(pid: int) -> list[str]:
    """The fields of a process's stat from its state on: its name, before that, may hold anything."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:  # ended meanwhile
        return []
