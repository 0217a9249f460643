"""The files that jobs make: named by the job and the attempt, and whole or not there at all (P27)."""

import hashlib
import os
import re
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, Final

#: How an unfinished file ends. It lies beside the finished one, so that the rename cannot cross file systems.
UNFINISHED: Final = ".part"

#: What may follow the job's id in a file's name, as a regular expression.
SUFFIXES: Final = r"(?:\.[A-Za-z0-9]+)*"


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
    if not re.fullmatch(SUFFIXES, suffix):
        raise ValueError(f"A suffix is a point followed by letters and digits, such as '.csv', not {suffix!r}.")
    if suffix.endswith(UNFINISHED):
        raise ValueError(f"The suffix {UNFINISHED} is that of unfinished files.")
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


class MadeFile:
    """A finished file, open for reading. It stays as it is, even if its name is removed."""

    def __init__(self, name: str, file: BinaryIO) -> None:
        self.name = name
        self._file = file
        known = os.fstat(file.fileno())
        #: In bytes.
        self.size = known.st_size
        #: Nanoseconds since 1970.
        self.changed_at = known.st_mtime_ns

    def read(self, at: int, most: int) -> bytes:
        """So many bytes from a place on; fewer at the end. Any thread may ask."""
        return os.pread(self._file.fileno(), most, at)

    def close(self) -> None:
        """Close it."""
        self._file.close()


def open_made(folder: str, job_id: str, path: str) -> MadeFile | None:
    """Open the file of a job whose result names it by ``path``; None where the folder has no such file of that job.

    Of the path only the name counts, and only one that `file_name` may give. It must be a file itself: no link, which
    could lead anywhere.
    """
    name = path.rpartition("/")[2]
    if not re.fullmatch(re.escape(job_id) + SUFFIXES, name) or name.endswith(UNFINISHED):
        return None
    try:
        inside = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            descriptor = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, dir_fd=inside)
        finally:
            os.close(inside)
    except OSError:
        return None
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        return None
    return MadeFile(name, os.fdopen(descriptor, "rb", buffering=0))


def _sync_folder(folder: str) -> None:
    """Make the new name as durable as the job's row, which will tell of it."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
