"""Why a job is where it is: facts put into words, what matters most first."""

from collections.abc import Iterator
from datetime import datetime
from typing import Any, NamedTuple

import msgspec

from api.views import rfc3339
from jobplatform.queries.facts import MOST_AHEAD, Ended, Facts, Told
from jobplatform.states import Event, Status


class Reason(msgspec.Struct):
    """Why a job is not running, or how it came to its end: in words and in data."""

    code: str
    message: str
    data: dict[str, Any]


class Circumstances(NamedTuple):
    """What the database does not know."""

    #: What is wrong with Redis; None: nothing.
    redis: str | None
    #: From so many crashes on a job runs alone.
    suspect_from: int
    #: How long the type's attempts may take, in milliseconds.
    time_limit: int | None


def reasons(job: Facts, around: Circumstances) -> list[Reason]:
    """At least one."""
    match job.status:
        case Status.SCHEDULED | Status.RETRYING:
            return [*_time(job), *_hindrances(job)]
        case Status.QUEUED:
            before = [*_hindrances(job), *_message(job, around), *_alone(job, around)]
            return [*before, *_line(job, held=any(reason.code != "hint-resent" for reason in before))]
        case Status.RUNNING:
            return [*_attempt(job, around), *_stop(job), *_its_worker(job), *_earlier_attempt(job)]
        case Status.COMPLETED:
            return [_completed(job)]
        case Status.FAILED:
            return [_failed(job)]
        case Status.CANCELLED:
            return [_cancelled(job)]


def _time(job: Facts) -> Iterator[Reason]:
    due = job.run_at or job.now
    seconds = _seconds(job.now, due)
    data: dict[str, Any] = {"runAt": rfc3339(due), "seconds": max(seconds, 0)}
    if job.status == Status.RETRYING:
        error = _error(job)
        data |= {"attempt": job.attempts, "retries": job.retries, "error": error}
        said = f"Attempt {job.attempts} failed ({_said(error)}). The next one is due {_in(seconds)}."
        yield Reason("retry-planned", said, data)
    elif seconds > 0:
        yield Reason("scheduled", f"It is to run at {rfc3339(due)}, {_in(seconds)}.", data)
    if seconds <= 0:
        yield Reason("due", "It is due, and a keeper will put it into its queue at its next look.", data)
        if job.serving and not job.serving.keepers:
            yield Reason("no-keeper", "No keeper is looking, so nothing that is due is put into its queue.", {})


def _hindrances(job: Facts) -> Iterator[Reason]:
    if paused := job.paused:
        # A pause is no event of the job: its reason is plain text.
        why = f": {paused.detail}" if paused.detail else ""
        data = {"queue": job.queue, "pausedAt": rfc3339(paused.at), "pausedBy": paused.who, "reason": paused.detail}
        yield Reason("queue-paused", f"The queue {job.queue} is paused{_by(paused.who)}{why}.", data)
    serving = job.serving
    if serving is None or serving.type:
        return
    live: dict[str, Any] = {
        "queue": job.queue,
        "workers": serving.live,
        "stopping": serving.stopping,
        "silent": serving.silent,
    }
    if not serving.queue:
        yield Reason("no-worker-for-queue", f"No live worker serves the queue {job.queue}.", live)
    else:
        live |= {"type": job.type, "workersOfQueue": serving.queue}
        yield Reason("no-worker-for-type", f"No live worker of the queue {job.queue} knows the type {job.type}.", live)


def _message(job: Facts, around: Circumstances) -> Iterator[Reason]:
    ready = rfc3339(job.dispatched_at or job.created_at)
    if around.redis:
        yield Reason(
            "redis-away",
            "Redis does not answer, so no worker learns of the job. It is sent again when Redis is back.",
            {"detail": around.redis},
        )
    if job.resends:
        data: dict[str, Any] = {
            "resends": job.resends,
            "lastResentAt": rfc3339(job.resent.at) if job.resent else ready,
            "dispatchedAt": ready,
        }
        yield Reason(
            "hint-resent", f"Its message in Redis may have been lost, and was sent again: {_times(job.resends)}.", data
        )


def _alone(job: Facts, around: Circumstances) -> Iterator[Reason]:
    if job.crashes >= around.suspect_from:
        yield Reason(
            "suspect",
            f"{_times(job.crashes)} its worker died running it, so it waits for one that runs no other such job.",
            {"crashes": job.crashes},
        )


def _line(job: Facts, *, held: bool) -> Iterator[Reason]:
    """Its place. How soon its turn comes nobody can say while something else holds it up."""
    if job.high:
        more = "or more " if job.high == MOST_AHEAD else ""
        many: dict[str, Any] = {"queue": "high", "ahead": job.high, "andMore": job.high == MOST_AHEAD}
        yield Reason("high-goes-first", f"{job.high} {more}jobs of the queue high go first.", many)
    rate = job.rate.per_minute if job.rate else None
    full = job.ahead == MOST_AHEAD
    seconds = None if rate is None or full or held else round((job.ahead + job.high) * 60 / rate, 1)
    data = {
        "queue": job.queue,
        "ahead": job.ahead,
        "andMore": full,
        "startedPerMinute": None if rate is None else round(rate, 1),
        "estimatedSeconds": seconds,
    }
    if not job.ahead:
        taken = "" if held else ": a free worker takes it" + " after those" * bool(job.high)
        yield Reason("next-in-queue", f"It is the next of the queue {job.queue}{taken}.", data)
        return
    speed = "None was started in the last minute" if rate is None else f"{rate:.0f} a minute are started"
    number = f"{job.ahead}{'+' if full else ''}"
    yield Reason("ahead-in-queue", f"{number} jobs are before it in the queue {job.queue}. {speed}.", data)


def _attempt(job: Facts, around: Circumstances) -> Iterator[Reason]:
    started = job.started_at or job.now
    seconds = _seconds(started, job.now)
    options = msgspec.json.decode(job.options)
    data = {
        "worker": job.worker.name if job.worker else None,
        "attempt": job.attempts,
        "startedAt": rfc3339(started),
        "seconds": seconds,
        "timeLimitSeconds": _in_seconds(options.get("time_limit", around.time_limit)),
        "progress": msgspec.json.decode(job.progress) if job.progress else None,
    }
    where = f" on {job.worker.name}" if job.worker else ""
    yield Reason("running", f"Attempt {job.attempts} has been running{where} for {_span(seconds)}.", data)


def _stop(job: Facts) -> Iterator[Reason]:
    if job.cancel_requested:
        asked = job.cancel_request
        data = {"at": rfc3339(asked.at) if asked else None, "who": asked and asked.who, "reason": _why(asked)}
        yield Reason("cancel-requested", f"It was asked to stop{_by(data['who'])}{_because(data['reason'])}.", data)


def _its_worker(job: Facts) -> Iterator[Reason]:
    worker = job.worker
    if worker is None or worker.ended:
        name = worker.name if worker else None
        yield Reason("worker-gone", "Its worker is no more: a keeper will take the job back.", {"worker": name})
    elif worker.silent:
        data = {"worker": worker.name, "silentSeconds": round(worker.silent_for, 1)}
        yield Reason(
            "worker-silent", f"Its worker has not been heard of for {_span(worker.silent_for)}: it may be dead.", data
        )
    elif worker.stopping:
        yield Reason(
            "worker-stopping",
            "Its worker is stopping: the job may end, or is interrupted and runs elsewhere.",
            {"worker": worker.name},
        )


def _earlier_attempt(job: Facts) -> Iterator[Reason]:
    if (last := job.last_end) is None:
        return
    error = _of_error(_detail(last).get("error"))
    data = {"attempt": last.attempt, "event": last.event, "at": rfc3339(last.at), "error": error or None}
    match last.event:
        case Event.RESCUED:
            how = "ended with its worker, which died"
        case Event.INTERRUPTED:
            how = "was interrupted, and given back"
        case Event.CANCELLED:
            how = "was cancelled"
        case _:
            how = f"failed: {_said(error)}"
    yield Reason("earlier-attempt", f"Attempt {last.attempt} {how}.", data)


def _completed(job: Facts) -> Reason:
    data = {"finishedAt": _time_or_none(job.finished_at), "attempts": job.attempts}
    return Reason("completed", f"It is done: attempt {job.attempts} succeeded.", data)


def _failed(job: Facts) -> Reason:
    error = _error(job)
    data = {
        "finishedAt": _time_or_none(job.finished_at),
        "error": error,
        "attempts": job.attempts,
        "retries": job.retries,
        "crashes": job.crashes,
    }
    crashed = f", {_times(job.crashes)} its worker died" if job.crashes else ""
    return Reason("failed", f"It failed for good after {_attempts(job.attempts)}{crashed}: {_said(error)}.", data)


def _cancelled(job: Facts) -> Reason:
    # A running job is cancelled by its worker, on behalf of whoever asked for it.
    told = job.cancelled if job.cancelled and job.cancelled.who else job.cancel_request or job.cancelled
    data = {"finishedAt": _time_or_none(job.finished_at), "who": told and told.who, "reason": _why(told)}
    return Reason("cancelled", f"It was cancelled{_by(data['who'])}{_because(data['reason'])}.", data)


def _error(job: Facts) -> dict[str, Any]:
    return _of_error(msgspec.json.decode(job.error) if job.error else None)


def _of_error(found: Any) -> dict[str, Any]:
    return {key: found.get(key) for key in ("kind", "type", "message")} if isinstance(found, dict) else {}


def _said(error: dict[str, Any]) -> str:
    words = [str(word) for word in (error.get("type") or error.get("kind"), error.get("message")) if word]
    return ": ".join(words).partition("\n")[0][:200].rstrip(".") or "without a word"


def _why(told: Told | None) -> str | None:
    return _detail(told).get("reason") if told else None


def _detail(told: Told | Ended) -> dict[str, Any]:
    detail = msgspec.json.decode(told.detail) if told.detail else None
    return detail if isinstance(detail, dict) else {}


def _because(reason: str | None) -> str:
    return f": {reason.rstrip('.')}" if reason else ""


def _by(who: str | None) -> str:
    return f" by {who}" if who else ""


def _attempts(number: int) -> str:
    return "1 attempt" if number == 1 else f"{number} attempts"


def _times(number: int) -> str:
    return "once" if number == 1 else f"{number} times"


def _in(seconds: float) -> str:
    return f"in {_span(seconds)}" if seconds > 0 else "now"


def _span(seconds: float) -> str:
    """A duration that a person can grasp."""
    for most, unit, one in ((120, 1.0, "s"), (7_200, 60.0, "min"), (172_800, 3_600.0, "hours")):
        if seconds < most:
            return f"{seconds / unit:.{int(seconds < 10)}f} {one}"
    return f"{seconds / 86_400:.0f} days"


def _seconds(since: datetime, until: datetime) -> float:
    return round((until - since).total_seconds(), 1)


def _in_seconds(milliseconds: Any) -> float | None:
    return milliseconds / 1000 if isinstance(milliseconds, int | float) else None


def _time_or_none(at: datetime | None) -> str | None:
    return None if at is None else rfc3339(at)
