"""The files that jobs make: named by the job and the attempt, and whole or not there at all (P27)."""

import hashlib
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, Final

#: How an unfinished file ends. It lies beside the finished one, so that the rename cannot cross file systems.
UNFINISHED: Final = ".part"


class Output:
    """A file that is being written."""

    def __init__(self, path: str, file: BinaryIO) -> None:
        #: Where it will be, beginning with OUTPUT_DIR as it was set.
        self.path = path
        #: Written so far.
        self.bytes = 0
        self._file = file
        self._digest = hashlib.sha256()

    def write(self, data: bytes) -> int:
        """Append bytes. Returns their number."""
        self._file.write(data)
        self._digest.update(data)
        self.bytes += len(data)
        return len(data)

    @property
    def sha256(self) -> str:
        """The checksum of what was written so far, in hexadecimal."""
        return self._digest.hexdigest()


def file_name(job_id: str, attempt: int, suffix: str) -> str:
    """``<job id>.csv``, and from the second attempt on ``<job id>.<attempt>.csv``: no ghost can replace it."""
    if suffix and (not suffix.startswith(".") or not suffix[1:].replace(".", "").isalnum()):
        raise ValueError(f"A suffix is a point followed by letters and digits, such as '.csv', not {suffix!r}.")
    return f"{job_id}{suffix}" if attempt <= 1 else f"{job_id}.{attempt}{suffix}"


@contextmanager
def open_output(folder: str, name: str) -> Iterator[Output]:
    """Write a file that appears under its name when the block ends, and never if it raises."""
    Path(folder).mkdir(parents=True, exist_ok=True)
    path = f"{folder.rstrip('/') or '/'}/{name}"
    unfinished = Path(path + UNFINISHED)
    try:
        with unfinished.open("wb") as file:
            output = Output(path, file)
            yield output
            file.flush()
            os.fsync(file.fileno())
        unfinished.replace(path)
        _sync_folder(folder)
    except BaseException:
        unfinished.unlink(missing_ok=True)
        raise


def _sync_folder(folder: str) -> None:
    """Make the new name as durable as the job's row, which will tell of it."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
