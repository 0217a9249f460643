"""Shapes of answers that no struct of the API has: they are put together where they are answered.

They describe; nothing is encoded with them.
"""

from typing import Annotated, Any, Literal

from msgspec import UNSET, Meta, Struct, UnsetType

from jobplatform.outcome import Kind

Count = Annotated[int, Meta(ge=0)]
Seconds = Annotated[float, Meta(ge=0)]
Queue = Literal["high", "default"]


class Failure(Struct):
    """Why a job failed, or was last retried."""

    kind: Kind
    type: Annotated[str | None, Meta(description="The class of the exception.")]
    message: str
    traceback: str | None


class Progress(Struct):
    """What the job last said of its progress."""

    done: int
    total: int


class Problem(Struct, rename="camel"):
    """A problem document (RFC 9457). `type` names the kind; `detail` is for people."""

    type: str
    title: str
    status: Annotated[int, Meta(ge=400, le=599)]
    detail: str
    instance: str
    errors: Annotated[list["Fault"] | UnsetType, Meta(description="Each fault of the body, a hundred at most.")] = UNSET
    job_id: Annotated[str | UnsetType, Meta(description="The job that this is about.")] = UNSET


class Fault(Struct):
    """One fault in the body."""

    pointer: Annotated[str, Meta(description="Where: a JSON Pointer into the body.")]
    detail: str


class Health(Struct):
    """The process serves."""

    status: Literal["ok"]


class Check(Struct):
    """Whether a dependency is there."""

    status: Literal["ok", "unavailable"]
    detail: str | UnsetType = UNSET


class Checks(Struct):
    """Each dependency."""

    postgres: Check
    redis: Check


class Readiness(Struct):
    """Whether the platform can accept jobs."""

    status: Literal["ok", "degraded", "unavailable"]
    checks: Checks


class JobType(Struct):
    """A type of job, with the JSON Schema of its payload."""

    type: str
    description: str
    schema: dict[str, Any]


class Valid(Struct):
    """A submission that would be accepted."""

    valid: Literal[True]
    type: str
    priority: Queue


class BatchValid(Struct):
    """A batch that would be accepted."""

    valid: Literal[True]
    jobs: Count


class Counts(Struct, rename="camel"):
    """How many jobs there are."""

    total: Count
    by_status: dict[str, Count]
    by_type: dict[str, dict[str, Count]]


class LogLine(Struct):
    """A line that a job logged."""

    attempt: Count
    at: str
    text: str


class PayloadVersion(Struct, rename="camel"):
    """A payload that a job has, or had."""

    version: Annotated[int, Meta(ge=1)]
    payload: dict[str, Any]
    replaced_at: Annotated[str | None, Meta(description="Null: this is the current one.")]
    who: Annotated[str | None, Meta(description="Who replaced it.")]


class Reason(Struct):
    """Why a job is not running, or how it came to its end: in words and in data."""

    code: str
    message: str
    data: dict[str, Any]


class Explanation(Struct, rename="camel"):
    """The reasons, the weightiest first."""

    job_id: str
    status: str
    summary: str
    reasons: list[Reason]


class Matched(Struct):
    """What an action would be done to."""

    matched: Count
    bounded: Annotated[bool, Meta(description="Whether there may be more: it counted no further.")]


class Action(Struct, rename="camel"):
    """Something that was done to many jobs, or to a queue."""

    id: str
    kind: Literal["cancel", "retry", "pause", "resume"]
    filter: dict[str, Any]
    reason: str | None
    who: str
    request_id: str | None
    matched: Annotated[Count, Meta(description="So many jobs fit when it was asked for.")]
    done: Annotated[Count, Meta(description="So many jobs were looked at.")]
    changed: Annotated[Count, Meta(description="To so many of them it was done.")]
    created_at: str
    updated_at: str
    finished_at: str | None


class QueueState(Struct, rename="camel"):
    """A queue."""

    name: Queue
    depth: Annotated[Count, Meta(description="So many jobs wait in it.")]
    running: Count
    oldest_waiting_seconds: Seconds | None
    latency_seconds: Seconds | None
    paused: bool
    paused_at: str | None
    paused_by: str | None
    pause_reason: str | None
    workers: Count
    slots: Count


class RunningJob(Struct, rename="camel"):
    """A job that a worker runs."""

    job_id: str
    type: str
    attempt: Count
    started_at: str
    progress: Progress | None


class Worker(Struct, rename="camel"):
    """A process that runs jobs."""

    id: int
    name: str
    host: str
    pid: Count
    version: str | None
    queues: list[str]
    types: list[str]
    threads: Count
    started_at: str
    last_seen_at: str
    stopping_at: str | None
    memory_bytes: Count | None
    peak_memory_bytes: Count | None
    status: Literal["alive", "stopping", "silent", "ended", "died"]
    running: list[RunningJob]
    ended_at: str | None


class FailureGroup(Struct, rename="camel"):
    """Failures that are alike."""

    type: str
    kind: Kind
    error: str | None
    message: str
    count: Annotated[int, Meta(ge=1)]
    first_at: str
    last_at: str
    job_ids: Annotated[list[str], Meta(description="The newest five.")]
