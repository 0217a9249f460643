"""Transitions and progress as server-sent events: the bytes that streams consist of."""

from typing import Final

import msgspec

from api.views import EventView, rfc3339
from jobplatform.queries.feed import FeedRow, ProgressRow

#: What a stream begins with, so that its headers arrive at once. Who loses it comes back after a second.
OPENING: Final = b": open\nretry: 1000\n\n"
#: What a stream says while it has nothing to say.
HEARTBEAT: Final = b": still here\n\n"


class StreamedEvent(
    EventView,
    rename={"from_status": "from", "to_status": "to", "request_id": "requestId", "job_id": "jobId"},
    kw_only=True,
):
    """A transition, with the job that it belongs to."""

    job_id: str
    type: str | None


class StreamedProgress(msgspec.Struct, rename="camel"):
    """How far a running attempt has come."""

    job_id: str
    attempt: int
    progress: msgspec.Raw


def mark(number: int) -> bytes:
    """The id of a transition without a word: who loses the stream now goes on behind it."""
    return b"id: %d\n\n" % number


def transition_event(row: FeedRow) -> bytes:
    """A transition, with its id as the event's."""
    view = StreamedEvent(
        row.id,
        row.event,
        row.from_status,
        row.to_status,
        row.attempt,
        rfc3339(row.at),
        row.worker,
        row.who,
        None if row.detail is None else msgspec.Raw(row.detail),
        row.request_id,
        job_id=row.job_id,
        type=row.type,
    )
    return b"id: %d\nevent: transition\ndata: %s\n\n" % (row.id, _line(_encode(view)))


def progress_event(row: ProgressRow) -> bytes:
    """A word of progress. It has no id: who comes back asks for transitions alone."""
    view = StreamedProgress(row.job_id, row.attempt, msgspec.Raw(row.progress))
    return b"event: progress\ndata: %s\n\n" % _line(_encode(view))


_encode: Final = msgspec.json.Encoder().encode


def _line(json: bytes) -> bytes:
    """JSON in one line. Within its strings line ends are escaped: what is left of them is space."""
    return json.replace(b"\n", b" ").replace(b"\r", b" ")
