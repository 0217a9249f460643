"""Files that are fetched: whole under their name or not there at all, and never over another one unasked."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path, PureWindowsPath
from typing import BinaryIO, Final

from jobplatform.client import Job
from jobplatform.errors import PlatformError

_PART: Final = ".part"
#: What file systems allow, in bytes.
_LONGEST_NAME: Final = 255 - len(_PART)


def own_name(job: Job) -> str:
    """A name in the working folder for the file that a job made: what its result says, if that can be one."""
    result = job.result if isinstance(job.result, dict) else {}
    for told in (result.get("fileName"), result.get("filePath")):
        # The result is the actor's: it leads to no other folder, and hides nothing.
        name = PureWindowsPath(told).name if isinstance(told, str) else ""
        if name.isprintable() and name.lstrip(".") == name != "" and len(os.fsencode(name)) <= _LONGEST_NAME:
            return name
    return job.id


@contextmanager
def new_file(path: Path, *, overwrite: bool) -> Iterator[BinaryIO]:
    """A file that appears under its name when the block ends, and never if it raises.

    Raises:
        PlatformError: it is there already, or cannot be written.
    """
    part = path.with_name(f"{path.name}{_PART}")
    try:
        _look(path, overwrite=overwrite)
        file = part.open("xb")
    except FileExistsError:
        detail = f"{part} is there already: another download writes it, or was killed and left it. Remove it then."
        raise PlatformError(detail) from None
    except (OSError, ValueError) as error:
        raise PlatformError(f"{path} cannot be written: {error}") from None
    try:
        with file:
            yield file
        _name(part, path, overwrite=overwrite)
    except FileExistsError:
        raise _there(path) from None
    except OSError as error:
        raise PlatformError(f"{path} cannot be written: {error}") from None
    finally:
        part.unlink(missing_ok=True)


def _name(part: Path, path: Path, *, overwrite: bool) -> None:
    """Give the whole file its name. A rename would replace what came meanwhile."""
    if not overwrite:
        try:
            os.link(part, path)
        except FileExistsError:
            raise
        except OSError:  # a file system without links: for a moment there is an empty file
            path.touch(exist_ok=False)
        else:
            return
    part.replace(path)


def _look(path: Path, *, overwrite: bool) -> None:
    if not path.exists():
        return
    if not path.is_file():
        raise PlatformError(f"{path} is no file, and nothing is put in its place.")
    if not overwrite:
        raise _there(path)


def _there(path: Path) -> PlatformError:
    return PlatformError(f"{path} is there already: --overwrite replaces it.")
