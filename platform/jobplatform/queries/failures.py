"""Why jobs failed of late: the newest failed ones, put together by what went wrong."""

import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final

from jobplatform.queries.snapshot import rows

#: So many of the newest failed jobs are looked at.
LOOKED_AT: Final = 10_000
#: Of each group, so many jobs are named.
NAMED: Final = 5

_MESSAGE_LIMIT: Final = 300

_FAILED: Final = f"""
    SELECT j.type, e.kind, e.type, left(e.message, 2 * {_MESSAGE_LIMIT}), j.finished_at, j.id::text
    FROM (SELECT id, type, error, created_at, finished_at FROM jobs WHERE status = 'failed'
          ORDER BY created_at DESC, id DESC LIMIT {LOOKED_AT}) AS j
    CROSS JOIN LATERAL json_to_record(j.error) AS e(kind text, type text, message text)
    WHERE json_typeof(j.error) = 'object' AND (%(since)s::timestamptz IS NULL OR j.finished_at >= %(since)s)
    ORDER BY j.created_at DESC, j.id DESC
"""

#: What differs from one failure to the next of the same cause, and what is shown in its place.
_VARIABLE: Final = (
    (re.compile(r"[0-9a-fA-F]{8}-(?:[0-9a-fA-F]{4}-){3}[0-9a-fA-F]{12}"), "<id>"),
    (re.compile(r'"[^"]*"|“[^”]*”|(?<!\w)\'[^\']*\'(?!\w)'), "<text>"),
    (re.compile(r"[\w.+-]+@[\w-]+\.[\w.-]+"), "<address>"),
    (re.compile(r"\b0x[0-9a-fA-F]+\b|\b(?=[0-9a-fA-F]*[0-9])(?=[0-9a-fA-F]*[a-fA-F])[0-9a-fA-F]{8,}\b"), "<hex>"),
    (re.compile(r"\d+(?:[.,:]\d+)*"), "<n>"),
)


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


def without_variables(message: str) -> str:
    """A message's first line with placeholders for ids, quoted texts, addresses and numbers."""
    line = message.strip().partition("\n")[0]
    for pattern, placeholder in _VARIABLE:
        line = pattern.sub(placeholder, line)
    return line[:_MESSAGE_LIMIT]
