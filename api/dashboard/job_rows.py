"""Jobs as rows of a table: how long each waited and ran, and what there is to say of it."""

import re
from collections.abc import Collection, Iterable, Iterator
from datetime import datetime
from typing import Any, Final, NamedTuple

import msgspec

from jobplatform.queries.brief import Brief
from jobplatform.states import FINAL, Status

#: What of an error stands in a row, in characters.
_LONGEST: Final = 300
_TYPE: Final = re.compile(r'"type":\s*("(?:[^"\\]|\\.)*")')
_MESSAGE: Final = re.compile(r'"message":\s*"((?:[^"\\]|\\.)*)')
_WAITING: Final = frozenset({Status.SCHEDULED, Status.QUEUED, Status.RETRYING})


class Row(NamedTuple):
    """A row."""

    job: Brief
    #: Since when it waits, or waited, for its last attempt; and how long it did, in seconds, if it waits no more.
    waits_since: datetime
    waited: float | None
    #: How long its last attempt ran; None if it runs, or never did.
    ran: float | None
    #: The first line of its error.
    error: str
    #: How far it says it is.
    done: float | None
    total: float | None
    #: Whether it has left the list since it was drawn.
    gone: bool


def rows(jobs: Iterable[Brief], statuses: Collection[Status]) -> list[Row]:
    """The rows of these jobs. Where ``statuses`` are given, the list is of jobs in one of them."""
    return [_row(job, bool(statuses) and job.status not in statuses) for job in jobs]


def error_line(text: str | None) -> str:
    """The first line of an error, of whose JSON text the beginning is given."""
    if not text:
        return ""
    kind = _string(found[1]) if (found := _TYPE.search(text)) else ""
    message = _string(f'"{found[1]}"') if (found := _MESSAGE.search(text)) else ""
    line = message.strip().partition("\n")[0]
    return (f"{kind}: {line}" if kind and line else kind or line)[:_LONGEST]


def _row(job: Brief, gone: bool) -> Row:
    status = Status(job.status)
    since = _waits_since(job, status)
    ended = job.started_at if status is Status.RUNNING or status in FINAL else None
    if ended is None and status in FINAL:
        ended = job.finished_at
    waited = None if ended is None else max((ended - since).total_seconds(), 0.0)
    ran = None
    if job.started_at is not None and job.finished_at is not None and status is not Status.CANCELLED:
        ran = max((job.finished_at - job.started_at).total_seconds(), 0.0)
    done, total = _progress(job.progress) if status is Status.RUNNING else (None, None)
    return Row(job, since, waited, ran, error_line(job.error), done, total, gone)


def _waits_since(job: Brief, status: Status) -> datetime:
    """When it last got into its queue; where a hint was sent again since, that is known only of the first time."""
    first_time = job.attempts == (0 if status in _WAITING else 1)
    if job.dispatched_at is not None and not (job.resends and first_time):
        return job.dispatched_at
    return max(job.created_at, job.run_at or job.created_at)


def _progress(text: str | None) -> tuple[float | None, float | None]:
    try:
        progress: Any = msgspec.json.decode(text or "null")
    except msgspec.DecodeError:
        return None, None
    numbers = [progress.get(name) if isinstance(progress, dict) else None for name in ("done", "total")]
    done, total = (value if isinstance(value, int | float) else None for value in numbers)
    return done, total


def _string(text: str) -> str:
    try:
        found: Any = msgspec.json.decode(text)
    except msgspec.DecodeError:  # it was cut off within an escape
        found = text.strip('"')
    return str(found)


def fields_of(schemas: Iterable[dict[str, Any]]) -> Iterator[str]:
    """The fields that payloads with these JSON schemas have at the top, each once."""
    seen = set()
    for schema in schemas:
        for name in schema.get("properties", {}):
            if name not in seen and not re.search(r'[\s:"=]', name):
                seen.add(name)
                yield name
