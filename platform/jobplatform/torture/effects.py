"""The effect file: what the probe actors did, line by line, whatever became of their processes."""

import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Final, NamedTuple

#: Says where the processes under torture write, and where they find what they are to do to themselves.
FOLDER_VARIABLE: Final = "TORTURE_FOLDER"

START: Final = "start"
EFFECT: Final = "effect"
#: What a process writes before it kills itself: `dies:<where>`.
DIES: Final = "dies:"


class Line(NamedTuple):
    """One thing that was done."""

    at: float
    job_id: str
    attempt: int
    pid: int
    what: str


class EffectFile:
    """Appended to by many processes at once: each line is one write to a descriptor opened with O_APPEND."""

    def __init__(self, folder: Path) -> None:
        self._path = folder / "effects"

    def note(self, job_id: str, attempt: int, what: str) -> None:
        """Append a line. When this returns the kernel has it: a SIGKILL cannot take it back."""
        line = f"{time.time():.6f} {job_id} {attempt} {os.getpid()} {what}\n"
        descriptor = os.open(self._path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
        try:
            os.write(descriptor, line.encode())
        finally:
            os.close(descriptor)

    def lines(self) -> Iterator[Line]:
        """All lines so far, in the order of their writes."""
        if self._path.exists():
            for line in self._path.read_text().splitlines():
                at, job_id, attempt, pid, what = line.split(" ", 4)
                yield Line(float(at), job_id, int(attempt), int(pid), what)


def torture_folder() -> Path:
    """The folder of the run that this process is part of."""
    return Path(os.environ[FOLDER_VARIABLE])
