"""The middleware that keeps the record: each of Dramatiq's hooks becomes one call to the journal.

Dramatiq swallows what a hook raises, all but a `MiddlewareError` before processing. So nothing here relies on raising,
but for the one thing that must not happen: that an actor runs unclaimed (P10).
"""

import logging
import uuid
from collections.abc import Sequence
from concurrent.futures import Future
from typing import TYPE_CHECKING, Any, Final

import msgspec
from dramatiq.broker import Broker, MessageProxy
from dramatiq.common import compute_backoff
from dramatiq.middleware import Middleware, MiddlewareError, Shutdown, SkipMessage, TimeLimitExceeded

from jobplatform.attempt import Attempt, Cancelled, held_attempt, hold
from jobplatform.context import write_through
from jobplatform.errors import InvalidPayload
from jobplatform.hints import HintSender
from jobplatform.journal import Claim, Claimed, NewJob, Open, Opened, Settle, Settled
from jobplatform.keeper import Keeper
from jobplatform.lifeline import Lifeline
from jobplatform.message import JobMessage
from jobplatform.models import connect_to
from jobplatform.outcome import Unstorable, failure, failure_of, result_text
from jobplatform.redis_client import quick_client
from jobplatform.settings import Settings
from jobplatform.states import Event
from jobplatform.writer import Writer

if TYPE_CHECKING:
    from jobplatform.job_actor import JobActor

log: Final = logging.getLogger(__name__)

#: How often a thread that waits for Postgres looks whether its worker is stopping, in seconds.
_LOOK_UP: Final = 0.5


class Recorder(Middleware):
    """Records the life of every job. It stands first in the broker's list, so its after-hooks come last."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._sender = HintSender(quick_client(settings.redis_url or "redis://localhost:6379"))
        self.writer = Writer(self._sender.send)
        self.lifeline: Lifeline | None = None
        self.keeper: Keeper | None = None
        if settings.database_url:
            connect_to(settings.database_url)

    @property
    def actor_options(self) -> set[str]:
        """What an actor may say to the platform, beside Dramatiq's own options."""
        return {"on_crash"}

    # Accepting

    def new_job(self, message: JobMessage, delay: int | None = None) -> NewJob:
        """The job that a message stands for."""
        type_, _, _ = message.actor_name.partition(".")
        return NewJob(
            id=message.message_id,
            type=type_,
            queue=message.queue_name,
            payload=message.payload or "{}",
            options=msgspec.json.encode(message.options).decode() if message.options else "{}",
            run_at=message.run_at,
            delay_ms=delay,
            who=message.who,
        )

    def open(
        self, messages: Sequence[JobMessage], deadline: float | None, delay: int | None = None
    ) -> "Future[list[Opened]]":
        """Ask for these jobs to be accepted, all or none."""
        return self.writer.put(Open([self.new_job(message, delay) for message in messages], deadline))

    # Running

    def before_process_message(self, broker: Broker, message: MessageProxy) -> None:
        """Claim the job. Without a claim the actor does not run: `SkipMessage`, which acknowledges the hint."""
        hold(None)
        try:
            self._claim(broker, message)
        except MiddlewareError:
            raise
        except Exception:
            log.critical("Job %s could not be claimed.", message.message_id, exc_info=True)
            raise SkipMessage("The claim failed.") from None

    def after_process_message(
        self, broker: Broker, message: MessageProxy, *, result: Any = None, exception: BaseException | None = None
    ) -> None:
        """Settle the attempt that this thread holds."""
        if (attempt := held_attempt()) is not None:
            hold(None)
            self._settle(attempt, self._outcome(broker, message, attempt, result, exception))

    def after_skip_message(self, broker: Broker, message: MessageProxy) -> None:  # noqa: ARG002
        """Settle an attempt that another middleware refused to run after it was claimed."""
        if (attempt := held_attempt()) is not None:
            hold(None)
            if message.failed:
                error = failure("expired", "The job was too old to start: max_age had passed.")
            else:
                error = failure("skipped", "A middleware skipped the job.")
            self._settle(attempt, _Outcome(Event.FAILED, error=error))

    def _claim(self, broker: Broker, message: MessageProxy) -> None:
        lifeline = self.lifeline
        if lifeline is None:
            raise SkipMessage("Only a worker runs jobs.")
        actor: JobActor[..., Any] = broker.get_actor(message.actor_name)  # type: ignore[assignment]
        worker = lifeline.wait_for_id()
        if worker is None or lifeline.stopping:
            raise SkipMessage("The worker is stopping.")
        claim = Claim(message.message_id, actor.type, str(uuid.uuid4()), worker)
        claimed = self._ask(claim, lifeline)
        attempt = Attempt(
            claim.job_id, actor.type, actor.queue_name, claimed.attempt, claim.token, worker, claimed.retries
        )
        lifeline.take(attempt)
        hold(attempt)
        try:
            kwargs = actor.signature.decode(claimed.payload)
        except InvalidPayload as error:
            hold(None)
            self._settle(attempt, _Outcome(Event.FAILED, error=failure("invalid_payload", str(error))))
            raise SkipMessage("The payload does not fit the actor.") from None
        _fill_in(message, kwargs, claimed)

    def _ask(self, claim: Claim, lifeline: Lifeline) -> Claimed:
        """Wait for the claim's answer, as long as Postgres takes."""
        lifeline.expect(claim.token)
        answer = self.writer.put(claim)
        while True:
            try:
                claimed = answer.result(_LOOK_UP)
            except TimeoutError:
                if not lifeline.stopping:
                    continue
                # Should it be granted all the same, nobody holds it, and the next beat gives it back (P6).
                lifeline.forget(claim.token)
                raise SkipMessage("The worker is stopping.") from None
            except Exception:
                lifeline.forget(claim.token)
                raise
            if isinstance(claimed, Claimed):
                return claimed
            lifeline.forget(claim.token)
            if not claimed.known:
                lifeline.count_unknown()
                log.warning("A hint names a job that is not on record: %s %s", claim.type, claim.job_id)
            raise SkipMessage("The job is not queued any more.")

    def _outcome(
        self, broker: Broker, message: MessageProxy, attempt: Attempt, result: Any, exception: BaseException | None
    ) -> "_Outcome":
        """Decide how the attempt ended, in the order of P11."""
        if attempt.cancelled and isinstance(exception, Cancelled):
            return _Outcome(Event.CANCELLED)
        if isinstance(exception, Shutdown):
            return _Outcome(Event.INTERRUPTED)
        if message.failed:
            error = _error_of(exception) or failure("skipped", "A middleware failed the job.")
            return _Outcome(Event.FAILED, error=error)
        if attempt.retry_delay is not None:
            error = _error_of(exception) or failure("error", "The actor asked for another attempt.")
            return _Outcome(Event.RETRY_PLANNED, error=error, delay_ms=attempt.retry_delay)
        if exception is not None:
            return self._retry_by_policy(broker, message, attempt, exception)
        try:
            return _Outcome(Event.COMPLETED, result=result_text(result))
        except Unstorable as error:
            return _Outcome(Event.FAILED, error=failure("unstorable", f"The result cannot be stored: {error}"))

    def _retry_by_policy(
        self, broker: Broker, message: MessageProxy, attempt: Attempt, exception: BaseException
    ) -> "_Outcome":
        """For an exception that `Retries` did not get to decide on."""
        options = {**broker.get_actor(message.actor_name).options, **message.options}
        most = options.get("max_retries", self._settings.max_retries)
        if most is not None and attempt.retries >= most:
            return _Outcome(Event.FAILED, error=_error_of(exception))
        _, delay = compute_backoff(
            attempt.retries,
            factor=options.get("min_backoff", self._settings.min_backoff),
            max_backoff=options.get("max_backoff", self._settings.max_backoff),
        )
        return _Outcome(Event.RETRY_PLANNED, error=_error_of(exception), delay_ms=int(delay))

    def _settle(self, attempt: Attempt, outcome: "_Outcome") -> None:
        """Hand the outcome to the writer, and go on: it is written until it is written.

        The hint may be acknowledged before that. If the process dies in between, the row still says that it runs it.
        """
        progress = None if attempt.progress_written else attempt.progress
        settled = self.writer.put(
            Settle(
                attempt.job_id,
                attempt.type,
                attempt.queue,
                attempt.number,
                attempt.token,
                attempt.worker,
                outcome.event,
                result=outcome.result,
                error=outcome.error,
                progress=progress,
                delay_ms=outcome.delay_ms,
                follow_ups=attempt.follow_ups,
            )
        )
        settled.add_done_callback(lambda done: self._settled(attempt, done))

    def _settled(self, attempt: Attempt, settled: "Future[Settled]") -> None:
        if self.lifeline is not None:
            self.lifeline.forget(attempt.token)
        if (error := settled.exception()) is not None:
            log.critical("The outcome of job %s is lost: %s", attempt.job_id, error)
        elif not settled.result().accepted:
            log.warning(
                "The outcome of attempt %d of job %s came too late and was refused.", attempt.number, attempt.job_id
            )

    # The worker's own life

    def before_worker_boot(self, broker: Broker, worker: Any) -> None:
        """Get ready to put the worker on record."""
        if not self._settings.database_url or not self._settings.redis_url:
            raise SystemExit("A worker needs DATABASE_URL and REDIS_URL. `python -m jobplatform up` brings both.")
        worker.work_queue = worker.broker.high_first  # before Dramatiq makes the threads that use it
        queues = broker.get_declared_queues() & (worker.consumer_whitelist or broker.get_declared_queues())
        if "high" in queues:
            worker.broker.high_first.expect_high()
        self.lifeline = Lifeline(worker, worker.broker.types, queues, self.writer)
        write_through(self.writer.put)

    def after_worker_boot(self, broker: Broker, worker: Any) -> None:  # noqa: ARG002
        """Begin to beat, and to keep: a keeper comes with every worker."""
        if self.lifeline is not None:
            self.lifeline.start()
            self.keeper = Keeper(self._settings)
            self.keeper.start()

    def before_worker_shutdown(self, broker: Broker, worker: Any) -> None:  # noqa: ARG002
        """Claim nothing more."""
        if self.lifeline is not None:
            self.lifeline.begin_to_stop()
        if self.keeper is not None:
            self.keeper.stop()

    def after_worker_shutdown(self, broker: Broker, worker: Any) -> None:  # noqa: ARG002
        """Write the outcomes that wait, and say that the worker has ended."""
        if self.lifeline is not None:
            self.lifeline.stop()


class _Outcome(msgspec.Struct, frozen=True):
    event: Event
    result: str | None = None
    error: str | None = None
    delay_ms: int | None = None


def _fill_in(message: MessageProxy, kwargs: dict[str, Any], claimed: Claimed) -> None:
    """Make the hint the message that other middleware expects: the row's arguments, options, counters and age (P12)."""
    message.kwargs.update(kwargs)
    message.options.update(msgspec.json.decode(claimed.options), retries=claimed.retries)
    # A frozen dataclass, but its age is the job's, not the hint's.
    object.__setattr__(message._message, "message_timestamp", int(claimed.created_at.timestamp() * 1000))


def _error_of(exception: BaseException | None) -> str | None:
    """The error that an actor ended with, if it did."""
    if exception is None:
        return None
    return failure_of(exception, "time_limit" if isinstance(exception, TimeLimitExceeded) else "error")
