"""How an attempt ended: decided from what Dramatiq and the actor left behind, in the order of P11."""

import logging
from dataclasses import dataclass
from typing import Any, Final

from dramatiq.broker import Broker, MessageProxy
from dramatiq.common import compute_backoff
from dramatiq.middleware import Shutdown, TimeLimitExceeded

from jobplatform.attempt import Attempt, Cancelled
from jobplatform.delay import milliseconds
from jobplatform.journal.rescue import NOT_TWICE, STOPPED
from jobplatform.outcome import Unstorable, failure, failure_of, result_text
from jobplatform.settings import Settings
from jobplatform.states import Event

log: Final = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Verdict:
    """What the journal is to record. ``result`` and ``error`` are JSON texts."""

    event: Event
    result: str | None = None
    error: str | None = None
    #: Until the next attempt, for `retry_planned`.
    delay_ms: int | None = None


def verdict_on(
    attempt: Attempt,
    message: MessageProxy,
    broker: Broker,
    settings: Settings,
    *,
    result: Any,
    exception: BaseException | None,
) -> Verdict:
    """Decide on an attempt that ran. `Retries` has decided before: it failed the message, or asked for a retry.

    Raises:
        MemoryError: there is no room even for that. Whatever else goes wrong is an outcome: without one, the job
            would be given back, and run and fail to end in the same way for ever.
    """
    try:
        return _decide(attempt, message, broker, settings, result, exception)
    except MemoryError:
        raise
    except Exception as error:
        log.critical("The end of job %s cannot be told, so it failed.", attempt.job_id, exc_info=True)
        return Verdict(Event.FAILED, error=failure_of(error))


def verdict_on_skipped(message: MessageProxy) -> Verdict:
    """Decide on an attempt that another middleware refused to run after it was claimed."""
    if message.failed:
        return Verdict(Event.FAILED, error=failure("expired", "The job was too old to start: max_age had passed."))
    return Verdict(Event.FAILED, error=failure("skipped", "A middleware skipped the job."))


def interrupted(*, may_run_again: bool, why: str = STOPPED) -> Verdict:
    """Cut short, by its worker's stop or otherwise: it runs elsewhere, unless it must not run twice (P21)."""
    if may_run_again:
        return Verdict(Event.INTERRUPTED)
    return Verdict(Event.FAILED, error=failure("crashed", why + NOT_TWICE))


def _decide(
    attempt: Attempt,
    message: MessageProxy,
    broker: Broker,
    settings: Settings,
    result: Any,
    exception: BaseException | None,
) -> Verdict:
    if attempt.struck_by is Cancelled and isinstance(exception, Cancelled):
        return Verdict(Event.CANCELLED)
    if isinstance(exception, Shutdown):
        return interrupted(may_run_again=attempt.on_crash != "fail")
    if message.failed:
        return Verdict(Event.FAILED, error=_error(exception) or failure("skipped", "A middleware failed the job."))
    if attempt.retry_delay is not None:
        error = _error(exception) or failure("error", "The actor asked for another attempt.")
        return Verdict(Event.RETRY_PLANNED, error=error, delay_ms=attempt.retry_delay)
    if exception is not None:
        return _retry_by_policy(attempt, message, broker, settings, exception)
    try:
        return Verdict(Event.COMPLETED, result=result_text(result))
    except Unstorable as error:
        return Verdict(Event.FAILED, error=failure("unstorable", f"The result cannot be stored: {error}"))


def _retry_by_policy(
    attempt: Attempt, message: MessageProxy, broker: Broker, settings: Settings, exception: BaseException
) -> Verdict:
    """For an exception that `Retries` did not get to decide on."""
    options = {**broker.get_actor(message.actor_name).options, **message.options}
    most = options.get("max_retries", settings.max_retries)
    if most is not None and attempt.retries >= most:
        return Verdict(Event.FAILED, error=_error(exception))
    _, delay = compute_backoff(
        attempt.retries,
        factor=options.get("min_backoff", settings.min_backoff),
        max_backoff=options.get("max_backoff", settings.max_backoff),
    )
    return Verdict(Event.RETRY_PLANNED, error=_error(exception), delay_ms=milliseconds(delay))


def _error(exception: BaseException | None) -> str | None:
    if exception is None:
        return None
    return failure_of(exception, "time_limit" if isinstance(exception, TimeLimitExceeded) else "error")
