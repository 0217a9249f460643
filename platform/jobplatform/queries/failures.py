"""Why jobs failed of late: the newest failed ones, put together by what went wrong."""

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final, NamedTuple

from jobplatform.queries.likeness import LOOKED_AT as MESSAGE_LOOKED_AT
from jobplatform.queries.likeness import Likeness, without_variables
from jobplatform.queries.snapshot import one_moment, rows

#: So many of the newest failed jobs are looked at.
LOOKED_AT: Final = 10_000
#: Of each group, so many jobs are named.
NAMED: Final = 5

_NEWEST: Final = f"""
    SELECT id::text, finished_at FROM jobs WHERE status = 'failed' ORDER BY created_at DESC, id DESC LIMIT {LOOKED_AT}
"""
_ERRORS: Final = f"""
    SELECT j.id::text, j.type, e.kind, e.type, left(e.message, {MESSAGE_LOOKED_AT})
    FROM jobs AS j CROSS JOIN LATERAL json_to_record(j.error) AS e(kind text, type text, message text)
    WHERE j.id = ANY(%s::uuid[]) AND j.status || '' = 'failed' AND json_typeof(j.error) = 'object'
"""


class _Cause(NamedTuple):
    """What failed, and of what."""

    type: str
    likeness: Likeness


class _Known(NamedTuple):
    """A job that was looked at: when it had failed, and of what. Where its error says nothing, there is no cause."""

    at: datetime
    cause: _Cause | None


#: What this process has read of the newest failed jobs: to read 10,000 errors takes a quarter of a second, and those of
#: a moment ago are still the same. A job that failed again since has another time.
_known: dict[str, _Known] = {}


@dataclass(slots=True)
class Failure:
    """Jobs of one type that failed in the same way."""

    type: str
    #: As in a job's ``error``; ``error`` is the exception's name, if it was one.
    kind: str | None
    error: str | None
    #: Without what differs from job to job.
    message: str
    count: int
    first_at: datetime
    last_at: datetime
    #: The newest ones.
    job_ids: list[str] = field(default_factory=list)

    @property
    def likeness(self) -> Likeness:
        """What their errors have in common."""
        return Likeness(self.kind, self.error, self.message)

    @property
    def id(self) -> str:
        """A short name of this group, the same wherever and whenever it is asked for."""
        return hashlib.sha256(f"{self.type}\n{self.likeness}".encode()).hexdigest()[:16]


def failures(since: datetime | None) -> list[Failure]:
    """Groups of those of the newest failed jobs that failed at this time or later; the largest group first."""
    global _known
    known = _known
    with one_moment():
        newest = rows(_NEWEST)
        news = [job_id for job_id, at in newest if job_id not in known or known[job_id].at != at]
        causes = _causes(news)
    # Made anew, so that it keeps no more than was found; other threads may do the same meanwhile, and that is as good.
    _known = {job_id: _Known(at, causes[job_id]) if job_id in causes else known[job_id] for job_id, at in newest}
    return _grouped(_known.items(), since)


def _causes(job_ids: list[str]) -> dict[str, _Cause | None]:
    """Why these jobs failed, by their ids."""
    causes: dict[str, _Cause | None] = dict.fromkeys(job_ids)
    same: dict[_Cause, _Cause] = {}
    for job_id, type, kind, error, message in rows(_ERRORS, [job_ids]) if job_ids else ():  # noqa: A001
        cause = _Cause(type, Likeness(kind, error, without_variables(message or "")))
        causes[job_id] = same.setdefault(cause, cause)
    return causes


def _grouped(failed: Iterable[tuple[str, _Known]], since: datetime | None) -> list[Failure]:
    groups: dict[_Cause, Failure] = {}
    for job_id, (at, cause) in failed:
        if cause is None or (since is not None and at < since):
            continue
        if (group := groups.get(cause)) is None:
            group = groups[cause] = Failure(cause.type, *cause.likeness, 0, at, at)
        group.count += 1
        group.first_at = min(group.first_at, at)
        group.last_at = max(group.last_at, at)
        if len(group.job_ids) < NAMED:
            group.job_ids.append(job_id)
    return sorted(groups.values(), key=lambda group: (-group.count, -group.last_at.timestamp()))
