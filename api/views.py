"""Jobs and events as the API shows them: JSON, camelCase, times in UTC with a fraction."""

from datetime import datetime
from typing import Annotated, Any, Final

import msgspec
from msgspec import Meta

from jobplatform.queries import EventRow, JobRow

Count = Annotated[int, Meta(ge=0)]
#: One of the queues, by its name, which is also that of a priority.
QueueName = Annotated[str, Meta(extra_json_schema={"enum": ["high", "default"]})]


class JobView(msgspec.Struct, rename="camel"):
    """A job. Payload, result, error and progress are JSON as it was stored, keys in their order."""

    id: str
    type: str
    status: str
    priority: str
    attempts: int
    payload: msgspec.Raw
    result: msgspec.Raw | None
    error: msgspec.Raw | None
    progress: msgspec.Raw | None
    created_at: str
    updated_at: str
    started_at: str | None
    finished_at: str | None
    run_at: str | None
    tags: list[str]
    unique_key: str | None
    cancel_requested: bool


class EventView(msgspec.Struct, rename={"from_status": "from", "to_status": "to", "request_id": "requestId"}):
    """One transition of a job."""

    id: int
    event: str
    from_status: str | None
    to_status: str
    attempt: int
    at: str
    worker: str | None
    who: str | None
    detail: msgspec.Raw | None
    request_id: str | None


_encode: Final = msgspec.json.Encoder().encode


def job_json(row: JobRow) -> bytes:
    """A job as a JSON object."""
    return _encode(_job(row))


def jobs_json(rows: list[JobRow], next: str | None) -> bytes:  # noqa: A002
    """A page of jobs as a JSON object, with the cursor of the next one."""
    return _encode({"items": [_job(row) for row in rows], "next": next})


def present_json(row: JobRow) -> bytes:
    """A job that stands for one that was asked for, in the same form as one that has just been accepted."""
    return accepted_json(_job(row))


def accepted_json(view: JobView) -> bytes:
    """A job that has just been accepted as a JSON object, with its id also as ``jobId``."""
    return b'{"jobId":"%s",%s' % (view.id.encode(), _encode(view)[1:])


def events_json(rows: list[EventRow]) -> bytes:
    """The transitions of a job as a JSON object that lists them."""
    return _encode({"items": [_event(row) for row in rows]})


def rfc3339(at: datetime) -> str:
    """A time in UTC as the API writes it: always with six digits of fraction."""
    if at.microsecond:  # msgspec leaves out a fraction of nothing, and takes a fifth of the time
        return _encode(at)[1:-1].decode()
    return at.isoformat(timespec="microseconds")[:26] + "Z"


def rfc3339_or_none(at: datetime | None) -> str | None:
    """The same of a time that may not have come."""
    return None if at is None else rfc3339(at)


def raw(text: str | None) -> Any:
    """JSON text that goes into the answer as it is."""
    return None if text is None else msgspec.Raw(text)


def _job(row: JobRow) -> JobView:
    return JobView(
        row.id,
        row.type,
        row.status,
        row.priority,
        row.attempts,
        msgspec.Raw(row.payload),
        raw(row.result),
        raw(row.error),
        raw(row.progress),
        _time(row.created_at),
        _time(row.updated_at),
        _time(row.started_at),
        _time(row.finished_at),
        _time(row.run_at),
        row.tags,
        row.unique_key,
        row.cancel_requested,
    )


def _event(row: EventRow) -> EventView:
    return EventView(
        row.id,
        row.event,
        row.from_status,
        row.to_status,
        row.attempt,
        _time(row.at),
        row.worker,
        row.who,
        raw(row.detail),
        row.request_id,
    )


def _time(at: datetime | None) -> Any:
    """A time as msgspec is to write it: as it is, unless it would leave out the fraction, which is nothing."""
    return at if at is None or at.microsecond else rfc3339(at)
