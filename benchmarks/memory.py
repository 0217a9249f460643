"""Memory of process trees, read from /proc."""

import re
from pathlib import Path
from typing import Final

from benchmarks.cpu import tree
from benchmarks.stack import Stack

_PEAK: Final = re.compile(r"^VmHWM:\s+(\d+) kB$", re.MULTILINE)


def peak_megabytes(stack: Stack) -> dict[str, float]:
    """The most that the processes of the API and of the worker ever had resident, each for itself, in sum.

    What they share counts for each of them.
    """
    programs = {"api": stack.api, "worker": stack.worker}
    return {
        part: sum(_peak(pid) for pid in tree(child.pid)) / 1_000
        for part, child in programs.items()
        if child is not None
    }


def _peak(pid: int) -> float:
    try:
        found = _PEAK.search(Path(f"/proc/{pid}/status").read_text())
    except OSError:  # ended meanwhile
        return 0.0
    return 1.024 * int(found[1]) if found is not None else 0.0
