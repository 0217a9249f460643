"""Removes the files that no job's result names: a failed attempt's, a ghost's, an unfinished one's (P27)."""

import logging
import os
import re
import time
from collections.abc import Iterable, Iterator
from contextlib import suppress
from itertools import islice
from pathlib import Path
from typing import Final

from jobplatform import queries
from jobplatform.outputs import SUFFIXES, UNFINISHED
from jobplatform.states import FINAL

log: Final = logging.getLogger(__name__)

#: A file must lie still for so many seconds before it can be swept.
GRACE: Final = 3_600.0

#: So many names are looked at, and so many jobs asked for, at a time: a keeper has other things to do, and results may
#: be large.
BATCH_SIZE: Final = 500

_UUID: Final = r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}"
_NAME: Final = re.compile(rf"(?P<job>{_UUID}){SUFFIXES}")


def sweep(folder: str, grace: float = GRACE) -> Iterator[list[Path]]:
    """Remove the files of finished jobs that their results do not name: a bounded number at a time, as it is asked.

    What does not look like a job's file, and what belongs to no job on record, is left alone. Yields, for each batch of
    `BATCH_SIZE` names, the files removed.

    Raises:
        OSError: the folder cannot be read.
    """
    if not Path(folder).is_dir():
        return
    with os.scandir(folder) as entries:
        while batch := list(islice(entries, BATCH_SIZE)):
            yield _sweep(_old_files(batch, time.time() - grace))


def _sweep(files: dict[str, list[Path]]) -> list[Path]:
    removed = []
    for job_id, status, result in queries.results(list(files)) if files else ():
        if status in FINAL:
            removed += [path for path in files[job_id] if not _is_named(path.name, result or "") and _removed(path)]
    if removed:
        log.info("Swept %d files that no result names.", len(removed))
    return removed


def _old_files(entries: Iterable["os.DirEntry[str]"], before: float) -> dict[str, list[Path]]:
    """The files that jobs made, by the jobs' ids."""
    files: dict[str, list[Path]] = {}
    for entry in entries:
        with suppress(FileNotFoundError):  # another keeper sweeps, too
            if (name := _NAME.fullmatch(entry.name)) and entry.is_file() and entry.stat().st_mtime < before:
                files.setdefault(name["job"], []).append(Path(entry.path))
    return files


def _is_named(name: str, result: str) -> bool:
    return not name.endswith(UNFINISHED) and name in result


def _removed(path: Path) -> bool:
    try:
        path.unlink()
    except FileNotFoundError:
        return False  # by another keeper
    except OSError as error:
        log.warning("%s cannot be swept: %s", path, error.strerror)
        return False
    return True
