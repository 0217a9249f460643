"""Removes the files that no job's result names: a failed attempt's, a ghost's, an unfinished one's (P27)."""

import logging
import re
import time
from contextlib import suppress
from pathlib import Path
from typing import Final

from jobplatform import queries
from jobplatform.outputs import UNFINISHED
from jobplatform.states import FINAL

log: Final = logging.getLogger(__name__)

#: A file must lie still for so many seconds before it can be swept.
GRACE: Final = 3_600.0

#: So many jobs are asked for at a time: their results may be large.
BATCH_SIZE: Final = 500

_UUID: Final = r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}"
_NAME: Final = re.compile(rf"(?P<job>{_UUID})(?:\.[A-Za-z0-9.]+)?")


def sweep(folder: str, grace: float = GRACE) -> list[Path]:
    """Remove the files of finished jobs that their results do not name. Returns those removed.

    What does not look like a job's file, and what belongs to no job on record, is left alone.
    """
    files = _old_files(folder, time.time() - grace)
    ids = list(files)
    removed = []
    for start in range(0, len(ids), BATCH_SIZE):
        for job_id, status, result in queries.results(ids[start : start + BATCH_SIZE]):
            if status in FINAL:
                removed += [path for path in files[job_id] if not _is_named(path, result or "") and _removed(path)]
    if removed:
        log.info("Swept %d files that no result names.", len(removed))
    return removed


def _old_files(folder: str, before: float) -> dict[str, list[Path]]:
    """The files that jobs made, by the jobs' ids."""
    files: dict[str, list[Path]] = {}
    for path in Path(folder).iterdir() if Path(folder).is_dir() else ():
        with suppress(FileNotFoundError):  # another keeper sweeps, too
            if (name := _NAME.fullmatch(path.name)) and path.is_file() and path.stat().st_mtime < before:
                files.setdefault(name["job"], []).append(path)
    return files


def _is_named(path: Path, result: str) -> bool:
    return not path.name.endswith(UNFINISHED) and path.name in result


def _removed(path: Path) -> bool:
    try:
        path.unlink()
    except FileNotFoundError:
        return False  # by another keeper
    except OSError as error:
        log.warning("%s cannot be swept: %s", path, error.strerror)
        return False
    return True
