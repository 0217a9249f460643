"""How much memory this process uses: the system's own figures."""

import resource
import sys
from pathlib import Path


def resident_bytes() -> int | None:
    """Resident now; None where the system does not tell."""
    try:
        pages = int(Path("/proc/self/statm").read_text("ascii").split()[1])
    except (OSError, IndexError, ValueError):
        return None
    return pages * resource.getpagesize()


def peak_resident_bytes() -> int:
    """The most it has ever had."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024  # Linux counts in kibibytes
