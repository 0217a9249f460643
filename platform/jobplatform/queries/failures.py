"""Why jobs failed of late: the newest failed ones, put together by what went wrong."""

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final

from jobplatform.queries.likeness import LOOKED_AT as MESSAGE_LOOKED_AT
from jobplatform.queries.likeness import Likeness, without_variables
from jobplatform.queries.snapshot import rows

#: So many of the newest failed jobs are looked at.
LOOKED_AT: Final = 10_000
#: Of each group, so many jobs are named.
NAMED: Final = 5

_FAILED: Final = f"""
    SELECT j.type, e.kind, e.type, left(e.message, {MESSAGE_LOOKED_AT}), j.finished_at, j.id::text
    FROM (SELECT id, type, error, created_at, finished_at FROM jobs WHERE status = 'failed'
          ORDER BY created_at DESC, id DESC LIMIT {LOOKED_AT}) AS j
    CROSS JOIN LATERAL json_to_record(j.error) AS e(kind text, type text, message text)
    WHERE json_typeof(j.error) = 'object' AND (%(since)s::timestamptz IS NULL OR j.finished_at >= %(since)s)
    ORDER BY j.created_at DESC, j.id DESC
"""


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
    return _grouped(rows(_FAILED, {"since": since}))


def _grouped(failed: Iterable[tuple[Any, ...]]) -> list[Failure]:
    groups: dict[tuple[Any, ...], Failure] = {}
    for type, kind, error, message, at, job_id in failed:  # noqa: A001
        pattern = without_variables(message or "")
        group = groups.setdefault((type, kind, error, pattern), Failure(type, kind, error, pattern, 0, at, at))
        group.count += 1
        group.first_at = min(group.first_at, at)
        group.last_at = max(group.last_at, at)
        if len(group.job_ids) < NAMED:
            group.job_ids.append(job_id)
    return sorted(groups.values(), key=lambda group: (-group.count, -group.last_at.timestamp()))
