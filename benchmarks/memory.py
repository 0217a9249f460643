"""Memory of process trees, read from /proc."""

import re
from pathlib import Path
from typing import Final

from benchmarks.cpu import tree
from benchmarks.stack import Stack

_PEAK: Final = re.compile(r"^VmHWM:\s+(\d+) kB$", re.MULTILINE)
_NOW: Final = re.compile(r"^VmRSS:\s+(\d+) kB$", re.MULTILINE)


def peak_megabytes(stack: Stack) -> dict[str, float]:
    """The most that the processes of the API and of the worker ever had resident, each for itself, in sum.

    What they share counts for each of them.
    """
    return {part: sum(sizes) for part, sizes in _megabytes(stack, _PEAK).items()}


def resident_megabytes(stack: Stack) -> dict[str, float]:
    """The same of this moment."""
    return {part: sum(sizes) for part, sizes in _megabytes(stack, _NOW).items()}


def largest_megabytes(stack: Stack) -> dict[str, float]:
    """What the largest process of each has resident at this moment."""
    return {part: max(sizes) for part, sizes in _megabytes(stack, _NOW).items()}


def _megabytes(stack: Stack, figure: "re.Pattern[str]") -> dict[str, list[float]]:
    programs = {"api": stack.api, "worker": stack.worker}
    return {
        part: [_read(pid, figure) for pid in tree(child.pid)] for part, child in programs.items() if child is not None
    }


def _read(pid: int, figure: "re.Pattern[str]") -> float:
    try:
        found = figure.search(Path(f"/proc/{pid}/status").read_text())
    except OSError:  # ended meanwhile
        return 0.0
    return 1.024 * int(found[1]) / 1_000 if found is not None else 0.0
