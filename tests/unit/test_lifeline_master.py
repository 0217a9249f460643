"""Which process a worker takes for its master, however it was made."""

import subprocess
import sys

import pytest

#: A worker process: its exit code says whether it takes its parent for its master.
_CHILD = "import os, sys; from jobplatform.lifeline import _master; sys.exit(_master() != os.getppid())"
_MASTER = f"""
import multiprocessing, sys
if __name__ == "__main__":
    multiprocessing.set_start_method(sys.argv[1])
    child = multiprocessing.Process(target=exec, args=({_CHILD!r},))
    child.start()
    child.join()
    sys.exit(child.exitcode)
"""


@pytest.mark.parametrize("way", ["fork", "spawn", "forkserver"])
def test_a_worker_whose_master_lives_is_no_orphan(way: str) -> None:
    """From Python 3.14 on a server forks where nothing else is said, and is the parent of what it forks."""
    assert subprocess.run([sys.executable, "-c", _MASTER, way], timeout=60, check=False).returncode == 0
