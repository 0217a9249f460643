"""Where jobs of one failure went wrong: the traceback that most of them have, and the versions that they ran on."""

import re
from collections import Counter
from datetime import datetime
from typing import Final, NamedTuple

from jobplatform.queries.filter import JobFilter
from jobplatform.queries.likeness import Likeness
from jobplatform.queries.snapshot import rows
from jobplatform.queries.walk import walk
from jobplatform.states import Status

#: So many of the newest jobs are compared, and so long they are looked for, in seconds.
COMPARED: Final = 50
_PATIENCE: Final = 0.2

_FRAME: Final = re.compile(r'^\s*File "(?P<file>.+)", line (?P<line>\d+), in (?P<function>.+)$', re.MULTILINE)

_TRACEBACKS: Final = """
    SELECT id::text, CASE WHEN json_typeof(error) = 'object' THEN error->>'traceback' END
    FROM jobs WHERE id = ANY(%s::uuid[]) ORDER BY created_at DESC, id DESC
"""
_VERSIONS: Final = """
    SELECT DISTINCT w.version FROM transitions AS t JOIN workers AS w ON w.id = t.worker
    WHERE t.job_id = ANY(%s::uuid[]) AND t.event = 'failed' ORDER BY w.version
"""


class Commonest(NamedTuple):
    """The traceback that most of the compared jobs have, as the newest of these has it."""

    #: None: none of them has one.
    traceback: str | None
    #: The job whose it is.
    job_id: str | None
    #: So many of those that were compared have it.
    found: int
    compared: int
    #: The versions of the workers on which they failed.
    versions: list[str]


def commonest_traceback(type: str, failure: Likeness, since: datetime | None) -> Commonest:  # noqa: A002
    """Compare the newest jobs of a type that failed in this way, after this time if one is given."""
    which = JobFilter(statuses=(Status.FAILED,), types=(type,), finished_after=since, failure=failure)
    found = walk(which, newest_first=True, after=None, limit=COMPARED, patience=_PATIENCE)
    ids = [job.at.id for job in found.found]
    told = [(job_id, text) for job_id, text in rows(_TRACEBACKS, [ids]) if text] if ids else []
    versions = [version for (version,) in rows(_VERSIONS, [ids])] if ids else []
    if not told:
        return Commonest(None, None, 0, len(ids), versions)
    ways = Counter(_way(text) for _, text in told)
    ((way, count),) = ways.most_common(1)
    job_id, traceback = next((job_id, text) for job_id, text in told if _way(text) == way)
    return Commonest(traceback, job_id, count, len(ids), versions)


def _way(traceback: str) -> tuple[tuple[str, str, str], ...]:
    """The places that it leads through. What the exception says is not part of it."""
    return tuple((found["file"], found["line"], found["function"]) for found in _FRAME.finditer(traceback))
