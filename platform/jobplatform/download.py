"""Files that are fetched: whole under their name or not there at all, and never over another one unasked."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path, PureWindowsPath
from typing import BinaryIO

from jobplatform.client import Job
from jobplatform.errors import PlatformError


def own_name(job: Job) -> str:
    """A name in the working folder for the file that a job made: what its result says, if that can be one."""
    result = job.result if isinstance(job.result, dict) else {}
    for told in (result.get("fileName"), result.get("filePath")):
        # The result is the actor's: it leads to no other folder, and hides nothing.
        name = PureWindowsPath(told).name if isinstance(told, str) else ""
        if name.isprintable() and name.lstrip(".") == name != "":
            return name
    return job.id


@contextmanager
def new_file(path: Path, *, overwrite: bool) -> Iterator[BinaryIO]:
    """A file that appears under its name when the block ends, and never if it raises.

    Raises:
        PlatformError: it is there already, or cannot be written.
    """
    if path.exists() and not overwrite:
        raise _there(path)
    part = path.with_name(f"{path.name}.part")
    try:
        file = part.open("xb")
    except FileExistsError:
        detail = f"{part} is there already: another download writes it, or was killed and left it. Remove it then."
        raise PlatformError(detail) from None
    except (OSError, ValueError) as error:
        raise PlatformError(f"{path} cannot be written: {error}") from None
    try:
        with file:
            yield file
        if not overwrite:
            path.touch(exist_ok=False)  # the rename would replace what came meanwhile
        part.replace(path)
    except FileExistsError:
        raise _there(path) from None
    except OSError as error:
        raise PlatformError(f"{path} cannot be written: {error}") from None
    finally:
        part.unlink(missing_ok=True)


def _there(path: Path) -> PlatformError:
    return PlatformError(f"{path} is there already: --overwrite replaces it.")
