"""The middleware that keeps the record: each of Dramatiq's hooks becomes one call to the journal.

Dramatiq swallows what a hook raises, all but a `MiddlewareError` before processing. So nothing here relies on raising,
but for the one thing that must not happen: that an actor runs unclaimed (P10).
"""

import logging
from collections.abc import Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, Final

import msgspec
from dramatiq.broker import Broker, MessageProxy
from dramatiq.middleware import Middleware, MiddlewareError, SkipMessage

from jobplatform.answer import Answer
from jobplatform.attempt import Attempt, held_attempt, hold
from jobplatform.claims import Claims, JobWaits, QueuePaused
from jobplatform.context import write_through
from jobplatform.errors import DatabaseUnavailable, InvalidPayload
from jobplatform.hands import Hands
from jobplatform.hints import HintSender, type_of
from jobplatform.journal import (
    Accepted,
    Claimed,
    IdempotencyKey,
    NewJob,
    Open,
    Opened,
    OpenOnce,
    Settle,
    Settled,
)
from jobplatform.keeper import Keeper
from jobplatform.lifeline import Lifeline
from jobplatform.log_queue import LogQueue
from jobplatform.message import JobMessage
from jobplatform.models import connect_to
from jobplatform.outcome import failure
from jobplatform.redis_client import quick_client
from jobplatform.settings import Settings
from jobplatform.states import Event
from jobplatform.verdict import Verdict, verdict_on, verdict_on_skipped
from jobplatform.writer import Writer

if TYPE_CHECKING:
    from jobplatform.job_actor import JobActor

log: Final = logging.getLogger(__name__)

#: To Dramatiq these are exceptions like others, and its middleware sends what is wanted after failures (P13).
_NO_ENDS: Final = (Event.INTERRUPTED, Event.CANCELLED)

#: How long a worker that ends waits for its keeper's last tick, in seconds.
_LAST_TICK: Final = 2.0


class Recorder(Middleware):
    """Records the life of every job. It stands first in the broker's list, so its after-hooks come last."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        sender = HintSender(quick_client(settings.redis_url or "redis://localhost:6379"))
        self.writer = Writer(sender.send)
        # Their transactions take longer, or may have to wait: for a key that another opens under, or for a row that
        # somebody holds. Nothing else shall wait with them.
        self._key_writer = Writer(sender.send)
        self._batch_writer = Writer(sender.send)
        #: For what people do to jobs, queues and many jobs at once.
        self.acts_writer = Writer(sender.send)
        self._hands = Hands()
        self.claims = Claims(self.writer, sender, self._hands, settings.crash_limit)
        self.lifeline: Lifeline | None = None
        self.keeper: Keeper | None = None
        self._log_queue = LogQueue()
        if settings.database_url:
            connect_to(settings.database_url)

    @property
    def has_database(self) -> bool:
        """Whether this process knows where the jobs are on record."""
        return bool(self._settings.database_url)

    @property
    def actor_options(self) -> set[str]:
        """What an actor may say to the platform, beside Dramatiq's own options."""
        return {"on_crash"}

    # Accepting

    def new_job(self, message: JobMessage, delay: int | None = None) -> NewJob:
        """The job that a message stands for."""
        return NewJob(
            id=message.message_id,
            type=type_of(message.actor_name),
            queue=message.queue_name,
            payload=message.payload or "{}",
            options=msgspec.json.encode(message.options).decode() if message.options else "{}",
            on_crash=message.on_crash,
            run_at=message.run_at,
            delay_ms=delay,
            who=message.who,
            request_id=message.request_id,
            tags=message.tags,
            unique_key=message.unique_key,
            on_conflict=message.on_conflict,
        )

    def open(
        self, messages: Sequence[JobMessage], deadline: float | None, delay: int | None = None
    ) -> "Answer[list[Opened]]":
        """Ask for these jobs to be accepted, all or none. None of them has a unique key."""
        writer = self.writer if len(messages) == 1 else self._batch_writer
        return writer.put(Open([self.new_job(message, delay) for message in messages], deadline))

    def open_once(
        self,
        messages: Sequence[JobMessage],
        key: IdempotencyKey | None,
        deadline: float | None,
        delay: int | None = None,
    ) -> "Answer[Accepted]":
        """Ask for these jobs to be accepted, all or none, as their keys allow."""
        writer = self._key_writer if len(messages) == 1 else self._batch_writer
        return writer.put(OpenOnce([self.new_job(message, delay) for message in messages], key, deadline))

    def close(self, timeout: float) -> bool:
        """Write what is still waiting, then end. Whether each writer had written all within ``timeout`` seconds."""
        writers = (self.writer, self._key_writer, self._batch_writer, self.acts_writer)
        closed = [writer.close(timeout) for writer in writers]
        return all(closed)

    # Running

    def before_process_message(self, broker: Broker, message: MessageProxy) -> None:
        """Claim the job. Without a claim the actor does not run: `SkipMessage`, which acknowledges the hint."""
        hold(None)
        try:
            self._claim(broker, message)
        except QueuePaused:
            broker.put_back(message)  # type: ignore[attr-defined]
            raise
        except JobWaits:
            broker.set_aside(message)  # type: ignore[attr-defined]
            raise
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
            how = partial(verdict_on, attempt, message, broker, self._settings, result=result, exception=exception)
            self._end(attempt, how)

    def after_skip_message(self, broker: Broker, message: MessageProxy) -> None:  # noqa: ARG002
        """Settle an attempt that another middleware refused to run after it was claimed."""
        if (attempt := held_attempt()) is not None:
            self._end(attempt, partial(verdict_on_skipped, message))

    def _claim(self, broker: Broker, message: MessageProxy) -> None:
        if self.lifeline is None:
            raise SkipMessage("Only a worker runs jobs.")
        actor: JobActor[..., Any] = broker.get_actor(message.actor_name)  # type: ignore[assignment]
        attempt, claimed = self.claims.claim(message, actor, self.lifeline)
        hold(attempt)  # at once: whatever goes wrong from here on, an after-hook settles it
        try:
            kwargs = actor.signature.decode(claimed.payload)
        except InvalidPayload as error:
            misfit = Verdict(Event.FAILED, error=failure("invalid_payload", str(error)))
            self._end(attempt, lambda: misfit)
            raise SkipMessage("The payload does not fit the actor.") from None
        _fill_in(message, kwargs, claimed)

    def _end(self, attempt: Attempt, how: Callable[[], Verdict]) -> None:
        """End the attempt that this thread holds."""
        try:
            self._settle(attempt, how())
        except BaseException:
            # Out of memory, or struck by a time limit that comes too late: in no hand, it is given back (P6).
            self.claims.lost(attempt)
            raise
        finally:
            hold(None)

    def _settle(self, attempt: Attempt, verdict: Verdict) -> None:
        """Hand the outcome to the writer, and go on: it is written until it is written.

        The hint may be acknowledged before that. If the process dies in between, the row still says that it runs it.
        """
        self._write(
            attempt,
            Settle(
                job_id=attempt.job_id,
                type=attempt.type,
                queue=attempt.queue,
                attempt=attempt.number,
                token=attempt.token,
                worker=attempt.worker,
                event=verdict.event,
                result=verdict.result,
                error=verdict.error,
                progress=attempt.progress,
                delay_ms=verdict.delay_ms,
                follow_ups=[] if verdict.event in _NO_ENDS else attempt.follow_ups,
            ),
        )

    def _write(self, attempt: Attempt, outcome: Settle) -> None:
        self.writer.put(outcome).add_done_callback(lambda done: self._written(attempt, outcome, done))

    def _written(self, attempt: Attempt, outcome: Settle, settled: "Answer[Settled]") -> None:
        error = settled.exception()
        if isinstance(error, DatabaseUnavailable):
            self._write(attempt, outcome)  # the writer died: another thread of its goes on until the process ends
            return
        if error is not None:
            log.critical("The outcome of job %s is lost: %s", attempt.job_id, error)
            self.claims.lost(attempt)
            return
        self.claims.ended(attempt)
        if not settled.result().accepted:
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
        self.keeper = Keeper(self._settings)
        self.lifeline = Lifeline(
            worker,
            types=worker.broker.types,
            queues=queues,
            writer=self.writer,
            hands=self._hands,
            keeper=self.keeper,
            give_back=self.claims.give_back,
            go_round=partial(worker.broker.go_round, self.claims.send_round),
            shutdown_grace=self._settings.shutdown_grace,
        )
        write_through(self.writer.put)

    def after_worker_boot(self, broker: Broker, worker: Any) -> None:  # noqa: ARG002
        """Begin to beat, and to keep: a keeper comes with every worker."""
        if self.lifeline is not None and self.keeper is not None:
            self._log_queue.start()  # not before: what keeps a worker from booting is written without a detour
            self.keeper.start()
            self.lifeline.start()  # last: it watches the other threads, and takes one that is just starting for dead

    def before_worker_shutdown(self, broker: Broker, worker: Any) -> None:  # noqa: ARG002
        """Take and claim nothing more."""
        if self.lifeline is not None:
            self.lifeline.begin_to_stop()

    def after_worker_shutdown(self, broker: Broker, worker: Any) -> None:  # noqa: ARG002
        """Write the outcomes that wait, and say that the worker has ended.

        It keeps until then: in a group that stops because one process died, nobody else may.
        """
        if self.lifeline is not None and self.keeper is not None:
            self.lifeline.stop()
            self.keeper.stop()
            self.keeper.wait(_LAST_TICK)
            self._log_queue.stop()


def _fill_in(message: MessageProxy, kwargs: dict[str, Any], claimed: Claimed) -> None:
    """Make the hint the message that other middleware expects: the row's arguments, options, counters and age (P12)."""
    message.kwargs.update(kwargs)
    message.options.update(msgspec.json.decode(claimed.options), retries=claimed.retries)
    # A frozen dataclass, but its age is the job's, not the hint's.
    object.__setattr__(message._message, "message_timestamp", int(claimed.created_at.timestamp() * 1000))
