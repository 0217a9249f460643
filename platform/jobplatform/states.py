"""The life of a job as data: statuses, events and the transitions between them. Nothing here does anything.

The database holds the same machine as a CHECK constraint (seeds/init.sql); a test keeps the two equal.
"""

from enum import StrEnum
from types import MappingProxyType
from typing import Final


class Status(StrEnum):
    """Where a job is now."""

    #: Accepted, to run at a time that lies ahead (``run_at``).
    SCHEDULED = "scheduled"
    #: Ready to run: the first free worker claims it.
    QUEUED = "queued"
    #: Claimed by a worker, under an attempt number and a token.
    RUNNING = "running"
    #: The last attempt ended in an error; the next one is due at ``run_at``.
    RETRYING = "retrying"
    #: Final: an attempt succeeded.
    COMPLETED = "completed"
    #: Final: an attempt failed and no other will follow by itself.
    FAILED = "failed"
    #: Final: somebody no longer wanted it.
    CANCELLED = "cancelled"


FINAL: Final = frozenset({Status.COMPLETED, Status.FAILED, Status.CANCELLED})

#: Where ready jobs wait: the queue that goes first first.
QUEUES: Final = ("high", "default")


class Event(StrEnum):
    """What happened to a job, in the past tense: the reason of a transition."""

    #: A job was accepted, ready to run at once.
    ENQUEUED = "enqueued"
    #: A job was accepted for a later time.
    SCHEDULED = "scheduled"
    #: The keeper found a scheduled or retrying job due.
    RELEASED = "released"
    #: A worker claimed the job: the next attempt began.
    STARTED = "started"
    #: The attempt ended in an error, and another one is planned.
    RETRY_PLANNED = "retry_planned"
    #: The attempt succeeded.
    COMPLETED = "completed"
    #: The attempt ended in an error, and it was the last one.
    FAILED = "failed"
    #: The keeper took the job back from a dead worker.
    RESCUED = "rescued"
    #: The attempt was cut short because its worker was stopping; no retry is spent.
    INTERRUPTED = "interrupted"
    #: The keeper sent the job's hint again, because the first one may have been lost.
    RESENT = "resent"
    #: The outcome of an attempt that is no longer current was refused.
    FENCED = "fenced"
    #: A running job was asked to stop.
    CANCEL_REQUESTED = "cancel_requested"
    #: The job was called off.
    CANCELLED = "cancelled"
    #: A person sent a failed or cancelled job round again.
    RESUBMITTED = "resubmitted"


#: What each event may do: every legal pair (status before, status after). ``None`` before: the job did not exist.
TRANSITIONS: Final = MappingProxyType(
    {
        Event.ENQUEUED: frozenset({(None, Status.QUEUED)}),
        Event.SCHEDULED: frozenset({(None, Status.SCHEDULED)}),
        Event.RELEASED: frozenset({(Status.SCHEDULED, Status.QUEUED), (Status.RETRYING, Status.QUEUED)}),
        Event.STARTED: frozenset({(Status.QUEUED, Status.RUNNING)}),
        Event.RETRY_PLANNED: frozenset({(Status.RUNNING, Status.RETRYING)}),
        Event.COMPLETED: frozenset({(Status.RUNNING, Status.COMPLETED)}),
        Event.FAILED: frozenset({(Status.RUNNING, Status.FAILED)}),
        Event.RESCUED: frozenset({(Status.RUNNING, Status.QUEUED)}),
        Event.INTERRUPTED: frozenset({(Status.RUNNING, Status.QUEUED)}),
        Event.RESENT: frozenset({(Status.QUEUED, Status.QUEUED)}),
        Event.FENCED: frozenset((status, status) for status in Status),
        Event.CANCEL_REQUESTED: frozenset({(Status.RUNNING, Status.RUNNING)}),
        Event.CANCELLED: frozenset(
            (status, Status.CANCELLED) for status in (Status.SCHEDULED, Status.QUEUED, Status.RETRYING, Status.RUNNING)
        ),
        Event.RESUBMITTED: frozenset({(Status.FAILED, Status.QUEUED), (Status.CANCELLED, Status.QUEUED)}),
    }
)
