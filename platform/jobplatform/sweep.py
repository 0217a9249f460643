"""Removes the files that no job's result names: a failed attempt's, a ghost's, an unfinished one's (P27)."""

import logging
import re
import time
from pathlib import Path
from typing import Final

from jobplatform import queries
from jobplatform.outputs import UNFINISHED
from jobplatform.states import FINAL

log: Final = logging.getLogger(__name__)

#: A file must lie still for so many seconds before it can be swept.
GRACE: Final = 3_600.0

_UUID: Final = r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}"
_NAME: Final = re.compile(rf"(?P<job>{_UUID})(?:\.[A-Za-z0-9.]+)?")


def sweep(folder: str, grace: float = GRACE) -> list[Path]:
    """Remove the files of finished jobs that their results do not name. Returns those removed.

    What does not look like a job's file, and what belongs to no job on record, is left alone.
    """
    before = time.time() - grace
    files: dict[str, list[Path]] = {}
    for path in Path(folder).iterdir() if Path(folder).is_dir() else ():
        if (name := _NAME.fullmatch(path.name)) and path.is_file() and path.stat().st_mtime < before:
            files.setdefault(name["job"], []).append(path)
    removed = []
    for job_id, status, result in queries.results(list(files)):
        if status in FINAL:
            unnamed = [p for p in files[job_id] if p.name.endswith(UNFINISHED) or p.name not in (result or "")]
            for path in unnamed:
                path.unlink(missing_ok=True)
            removed += unnamed
    if removed:
        log.info("Swept %d files that no result names.", len(removed))
    return removed
