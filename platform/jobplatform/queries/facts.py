"""What decides about a job's fate: all that there is to know when somebody asks why it does not run."""

from datetime import datetime
from typing import Any, Final, NamedTuple

from jobplatform.queries.queues import Rate, rates
from jobplatform.queries.snapshot import one_moment, rows
from jobplatform.queries.workers import SILENT_AFTER
from jobplatform.query import IN_ORDER
from jobplatform.states import FINAL, Event, Status

#: So many jobs ahead are counted, not more.
MOST_AHEAD: Final = 10_000


class Told(NamedTuple):
    """One transition that says more. ``detail`` is JSON text."""

    at: datetime
    who: str | None
    detail: str | None


class Serving(NamedTuple):
    """The live workers, as far as they concern a job: how many there are, with its queue, and with its type too."""

    live: int
    queue: int
    type: int
    #: Of all, how many are stopping, and how many have been without a beat for longer than they should.
    stopping: int
    silent: int
    #: Whether any keeper has looked of late.
    keepers: int


class RunsOn(NamedTuple):
    """The worker that runs a job."""

    #: ``host:pid#number``.
    name: str
    stopping: bool
    #: Seconds since its last beat, and whether these are too many.
    silent_for: float
    silent: bool
    ended: bool


class Ended(NamedTuple):
    """How an attempt ended. ``detail`` is JSON text."""

    event: Event
    attempt: int
    at: datetime
    detail: str | None


class Facts(NamedTuple):
    """Of one job. Texts that are JSON: ``options``, ``error``, ``progress``. Times as the database has them."""

    id: str
    type: str
    status: Status
    queue: str
    attempts: int
    retries: int
    crashes: int
    resends: int
    options: str
    error: str | None
    progress: str | None
    cancel_requested: bool
    created_at: datetime
    run_at: datetime | None
    dispatched_at: datetime | None
    started_at: datetime | None
    finished_at: datetime | None
    now: datetime
    #: Who paused its queue, if it is paused.
    paused: Told | None
    #: Who asked for the end of the job, and what came last of each of these events.
    cancel_request: Told | None
    cancelled: Told | None
    resent: Told | None
    serving: Serving | None
    worker: RunsOn | None
    #: How the last of its attempts before this one ended, where it runs.
    last_end: Ended | None
    #: How many go before it, up to `MOST_AHEAD`; and how fast its queue moves.
    ahead: int
    #: How many of the high queue go before it, too, where it is in another one.
    high: int
    rate: Rate | None


_JOB: Final = """
    SELECT id::text, type, status, queue, attempts, retries, crashes, resends, options::text, error::text,
           progress::text, cancel_requested, created_at, run_at, dispatched_at, started_at, finished_at,
           clock_timestamp(), worker
    FROM jobs WHERE id = %s::uuid
"""
_PAUSED: Final = "SELECT paused_at, who, reason FROM paused_queues WHERE queue = %s"
_TOLD: Final = """
    SELECT DISTINCT ON (event) event, at, who, detail::text FROM transitions
    WHERE job_id = %s::uuid AND event = ANY(%s) ORDER BY event, id DESC
"""
_LAST_END: Final = """
    SELECT event, attempt, at, detail::text FROM transitions
    WHERE job_id = %s::uuid AND event = ANY(%s) AND from_status = 'running' AND attempt < %s ORDER BY id DESC LIMIT 1
"""
_SERVING: Final = f"""
    SELECT count(*) FILTER (WHERE serves), count(*) FILTER (WHERE serves AND %(queue)s = ANY(queues)),
           count(*) FILTER (WHERE serves AND %(queue)s = ANY(queues) AND %(type)s = ANY(types)),
           count(*) FILTER (WHERE stopping_at IS NOT NULL), count(*) FILTER (WHERE silent),
           (SELECT count(*) FROM (
               SELECT 1 FROM keepers WHERE ended_at IS NULL
                 AND ticked_at >= clock_timestamp() - interval '{SILENT_AFTER} s' LIMIT 100) AS looking)
    FROM (SELECT *, stopping_at IS NULL AND NOT silent AS serves FROM (
              SELECT queues, types, stopping_at,
                     last_seen_at < clock_timestamp() - interval '{SILENT_AFTER} s' AS silent
              FROM workers WHERE ended_at IS NULL) AS live) AS workers
"""
_WORKER: Final = f"""
    SELECT format('%%s:%%s#%%s', host, pid, id), stopping_at IS NOT NULL,
           greatest(extract(epoch FROM clock_timestamp() - last_seen_at), 0)::float8,
           last_seen_at < clock_timestamp() - interval '{SILENT_AFTER} s', ended_at IS NOT NULL
    FROM workers WHERE id = %s
"""
#: In its own queue. What is ready at the same moment may go before it, or after.
_AHEAD: Final = f"""
    {IN_ORDER}
    SELECT count(*) FROM (
        SELECT 1 FROM jobs WHERE status = 'queued' AND queue = %s AND dispatched_at < %s
        ORDER BY dispatched_at LIMIT {MOST_AHEAD}) AS earlier
"""
_HIGH: Final = f"""
    {IN_ORDER}
    SELECT count(*) FROM (
        SELECT 1 FROM jobs WHERE status = 'queued' AND queue = 'high' ORDER BY dispatched_at LIMIT {MOST_AHEAD}) AS high
"""

#: The last of each of these in a job's life, in the order of the facts.
_MORE_TO_SAY: Final = (Event.CANCEL_REQUESTED, Event.CANCELLED, Event.RESENT)
#: After which another attempt may follow.
_ENDS: Final = (Event.RETRY_PLANNED, Event.FAILED, Event.RESCUED, Event.INTERRUPTED, Event.CANCELLED)


def facts(job_id: str) -> Facts | None:
    """What there is to know about the job at one moment; None: there is no such job."""
    with one_moment():
        found = rows(_JOB, [job_id])
        if not found:
            return None
        *of_job, worker = found[0]
        return _with_surroundings(of_job, worker)


def _with_surroundings(of_job: list[Any], worker: int | None) -> Facts:
    job_id, kind, status, queue = of_job[:4]
    dispatched_at = of_job[14]
    told = {event: Told(*rest) for event, *rest in rows(_TOLD, [job_id, list(map(str, _MORE_TO_SAY))])}
    waits = status not in FINAL and status != Status.RUNNING
    queued = status == Status.QUEUED
    return Facts._make(
        (
            job_id,
            kind,
            Status(status),
            *of_job[3:],
            _first(Told, rows(_PAUSED, [queue])) if waits else None,
            *(told.get(event) for event in _MORE_TO_SAY),
            Serving(*rows(_SERVING, {"queue": queue, "type": kind})[0]) if waits else None,
            _first(RunsOn, rows(_WORKER, [worker])) if worker is not None else None,
            _last_end(job_id, of_job[4]) if status == Status.RUNNING else None,
            rows(_AHEAD, [queue, dispatched_at])[0][0] if queued else 0,
            rows(_HIGH)[0][0] if queued and queue != "high" else 0,
            rates().get(queue) if queued else None,
        )
    )


def _last_end(job_id: str, attempt: int) -> Ended | None:
    ended: Ended | None = _first(Ended, rows(_LAST_END, [job_id, list(map(str, _ENDS)), attempt]))
    return ended


def _first(kind: Any, found: list[tuple[Any, ...]]) -> Any:
    return kind(*found[0]) if found else None
