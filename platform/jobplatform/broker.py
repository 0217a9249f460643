"""The broker: accepts jobs through the recorder, parks delays as rows, and consumes the hints that Redis holds."""

import logging
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import replace
from typing import Any, Final, ParamSpec, TypeVar

import msgspec
from dramatiq import Message, set_broker, set_encoder
from dramatiq.broker import MessageProxy
from dramatiq.brokers.redis import MAINTENANCE_SCALE, RedisBroker
from dramatiq.encoder import Encoder
from dramatiq.middleware import (
    AgeLimit,
    Callbacks,
    Middleware,
    Pipelines,
    Retries,
    ShutdownNotifications,
    TimeLimit,
)

from jobplatform.answer import Answer
from jobplatform.attempt import held_attempt
from jobplatform.consumer import Holding, JobConsumer
from jobplatform.delay import milliseconds
from jobplatform.errors import DatabaseUnavailable, SettingsError, UnknownType
from jobplatform.high_first import HighFirst
from jobplatform.hints import NAMESPACE
from jobplatform.job_actor import JobActor, make_actor, refuse
from jobplatform.journal import Accepted, IdempotencyKey, Opened, Present
from jobplatform.message import JobMessage
from jobplatform.recorder import Recorder
from jobplatform.redis_client import patient_client
from jobplatform.settings import Settings, settings

P = ParamSpec("P")
R = TypeVar("R")

log: Final = logging.getLogger(__name__)

#: How long a send from Python waits for Postgres, in seconds.
SEND_TIMEOUT: Final = 10.0

#: Dramatiq's features that would keep state outside the journal.
_REFUSED: Final = {"Results": "Result backends", "GroupCallbacks": "Groups"}


class JobBroker(RedisBroker):
    """Dramatiq's Redis broker, with the row as the job and the message as its hint (R1)."""

    def __init__(self, settings: Settings) -> None:
        self.recorder = Recorder(settings)
        self.high_first = HighFirst()
        self._holdings: dict[str, Holding] = {}
        self._resting: dict[str, bool] = {}
        self._types: dict[str, JobActor[..., Any]] = {}
        super().__init__(  # type: ignore[no-untyped-call]
            client=patient_client(settings.redis_url or "redis://localhost:6379"),
            namespace=NAMESPACE,
            # Dramatiq cleans up behind dead brokers by chance, at commands of which few are left here: see the keeper.
            maintenance_chance=MAINTENANCE_SCALE,
            # The recorder's after-hook runs last: the limits are disarmed by then, and Retries has decided.
            middleware=[
                self.recorder,
                AgeLimit(),
                Callbacks(),
                Pipelines(),
                Retries(
                    max_retries=settings.max_retries,
                    min_backoff=settings.min_backoff,
                    max_backoff=settings.max_backoff,
                ),
                ShutdownNotifications(),
                TimeLimit(time_limit=settings.time_limit),
            ],
        )

    @property
    def types(self) -> Mapping[str, JobActor[..., Any]]:
        """The job types that this process knows, each with the actor that does it."""
        return self._types

    def actor(self, type: str, **options: Any) -> Callable[[Callable[P, R]], JobActor[P, R]]:  # noqa: A002
        """Declare a function as the actor of a job type, on both queues."""

        def declare(function: Callable[P, R]) -> JobActor[P, R]:
            made = make_actor(self, type, function, options)
            self._types[type] = made
            return made

        return declare

    def submit(self, messages: Sequence[JobMessage], deadline: float | None = None) -> "Answer[list[Opened]]":
        """Accept the jobs that these messages stand for, all or none. Never blocks.

        The answer comes when their rows are committed and their hints were sent. It raises `DatabaseUnavailable`
        after the ``deadline`` (a monotonic time), `RefusedByDatabase`, or `JobIdTaken`.

        Jobs with unique keys are submitted with `submit_once`.
        """
        self._emit_enqueue(messages)
        opened = self.recorder.open(messages, deadline)
        if self._is_told("after_enqueue"):
            opened.add_done_callback(lambda done: self._emit_enqueued(messages, done))
        return opened

    def submit_once(
        self, messages: Sequence[JobMessage], key: IdempotencyKey | None, deadline: float | None = None
    ) -> "Answer[Accepted]":
        """As `submit`, unless a request was accepted under this idempotency key, or a unique key is held.

        The answer also raises `IdempotencyKeyReused` and `UniqueKeyTaken`.
        """
        self._emit_enqueue(messages)
        accepted = self.recorder.open_once(messages, key, deadline)
        if self._is_told("after_enqueue"):
            accepted.add_done_callback(lambda done: self._emit_accepted(messages, done))
        return accepted

    def enqueue(self, message: Message[Any], *, delay: int | None = None) -> Message[Any]:
        """Accept one job, and wait until it is on record. Gives its message, or that of the job that stands for it.

        Where the calling thread runs an attempt, two things are no new jobs: the attempt's own message, which asks
        for a retry (P11), and what middleware sends after the actor has returned, which belongs to the outcome (P13).

        Raises:
            DatabaseUnavailable: it is not known whether the job was accepted.
            UniqueKeyTaken: another job holds its unique key.
            SettingsError: this process has no database.
        """
        if not self.recorder.has_database:
            raise SettingsError("A job cannot be sent: DATABASE_URL is not set.")
        if delay is not None:
            delay = milliseconds(delay)
        attempt = held_attempt()
        if attempt is not None and message.message_id == attempt.job_id:
            attempt.retry_delay = delay or 0
            return message
        job = self._job_of(message)
        self.emit_before("enqueue", job, delay)
        if attempt is not None and attempt.over:
            attempt.follow_ups.append(self.recorder.new_job(job, delay))
        elif (other := self._open(job, delay)) is not None:
            return replace(job, message_id=other.id)
        self.emit_after("enqueue", job, delay)
        return message

    def consume(self, queue_name: str, prefetch: int = 1, timeout: int = 5000) -> JobConsumer:
        """Begin to take hints from a queue."""
        # A consumer that lost its connection is replaced; what its queue's predecessors hold is not forgotten.
        holding = self._holdings.setdefault(queue_name, Holding())
        return JobConsumer(self, queue_name, prefetch, timeout, holding=holding, fetched=self.high_first.fetched)

    def stop_fetching(self) -> list[MessageProxy]:
        """Take no more hints, and give those that no thread has begun with: they count as acknowledged.

        Dramatiq's consumers go on while the worker's last jobs end, so that what they hold is not taken for lost.
        """
        for holding in self._holdings.values():
            holding.close()
        waiting = [item.message for item in self.high_first.drain()]
        for message in waiting:
            holding = self._holdings[message.queue_name]
            with holding.changed:
                holding.done.append(message.options["redis_message_id"])
        return waiting

    def rest(self, paused: Collection[str]) -> None:
        """Take no hints of these queues for now, and hints of all others. To be called from time to time."""
        for queue, holding in list(self._holdings.items()):
            rests = queue in paused
            if rests != self._resting.get(queue, False):
                log.info("Queue %s %s.", queue, "is paused" if rests else "goes on")
                self._resting[queue] = rests
            holding.rest(rests)

    def put_back(self, message: MessageProxy) -> None:
        """Put a hint back where it was taken from: its queue is paused, and rests until `rest` says otherwise."""
        self._holdings[message.queue_name].put_back(message)

    def set_aside(self, message: MessageProxy) -> None:
        """Keep a hint until `go_round`, unacknowledged: should this process die, the keeper has it return."""
        self._holdings[message.queue_name].set_aside(message)

    def go_round(self, send: Callable[[Sequence[MessageProxy]], bool]) -> None:
        """Have what was set aside sent again, for whoever is free. To be called from time to time."""
        for holding in list(self._holdings.values()):
            if (waiting := holding.waiting()) and send(waiting):
                holding.sent(waiting)

    def declare_queue(self, queue_name: str) -> None:
        """Declare a queue, and no delay queue: what has to wait, waits as a row."""
        if queue_name not in self.queues:
            self.emit_before("declare_queue", queue_name)
            self.queues.add(queue_name)
            self.emit_after("declare_queue", queue_name)

    def add_middleware(
        self,
        middleware: Middleware,
        *,
        before: type[Middleware] | None = None,
        after: type[Middleware] | None = None,
    ) -> None:
        """Add a middleware: behind the recorder, which stays the first."""
        if (name := type(middleware).__name__) in _REFUSED:
            refuse(_REFUSED[name])
        if before is Recorder:
            refuse("Middleware before the recorder")
        super().add_middleware(middleware, before=before, after=after)

    def emit_after(self, signal: str, *args: Any, **kwargs: Any) -> None:
        """Tell the middleware, and of a processed message also what its actor returned: see `JobActor.__call__`."""
        if signal in ("process_message", "skip_message") and (attempt := held_attempt()) is not None:
            attempt.end()
            if "result" in kwargs:
                kwargs["result"] = attempt.result
        super().emit_after(signal, *args, **kwargs)

    def _open(self, job: JobMessage, delay: int | None) -> Present | None:
        """Put a job on record, and wait for that. Gives the job that stands for it, if there is one."""
        deadline = time.monotonic() + SEND_TIMEOUT
        try:
            if job.unique_key is None:
                self.recorder.open([job], deadline, delay).result(SEND_TIMEOUT + 1)
                return None
            [accepted], _ = self.recorder.open_once([job], None, deadline, delay).result(SEND_TIMEOUT + 1)
        except TimeoutError:
            raise DatabaseUnavailable() from None
        return accepted if isinstance(accepted, Present) else None

    def _is_told(self, signal: str) -> bool:
        """Whether any middleware wants to hear of this: most of Dramatiq's do not, and for a batch it counts."""
        nothing = getattr(Middleware, signal)
        return any(getattr(getattr(each, signal), "__func__", None) is not nothing for each in self.middleware)

    def _emit_enqueue(self, messages: Sequence[JobMessage]) -> None:
        if self._is_told("before_enqueue"):
            for message in messages:
                self.emit_before("enqueue", message, None)

    def _emit_accepted(self, messages: Sequence[JobMessage], accepted: "Answer[Accepted]") -> None:
        if accepted.exception() is None and not accepted.result().replayed:
            for message, job in zip(messages, accepted.result().jobs, strict=True):
                if not isinstance(job, Present):
                    self.emit_after("enqueue", message, None)

    def _emit_enqueued(self, messages: Sequence[JobMessage], opened: "Answer[list[Opened]]") -> None:
        if opened.exception() is None:
            for message in messages:
                self.emit_after("enqueue", message, None)

    def _job_of(self, message: Message[Any]) -> JobMessage:
        """A message of Dramatiq's own making as one that stands for a new job."""
        if any(option.startswith("group_") for option in message.options):
            refuse("Groups")
        if "pipe_target" in message.options:
            refuse("Pipelines")
        if isinstance(message, JobMessage) and message.payload is not None:
            return message
        actor = self.actors.get(message.actor_name)
        if not isinstance(actor, JobActor):
            raise UnknownType(f"No actor named {message.actor_name} is known here.")
        job = actor.message_with_options(args=message.args, kwargs=message.kwargs, **message.options)
        return replace(job, message_id=message.message_id)


class _JsonEncoder(Encoder):
    """msgspec instead of the standard library: the same JSON, in a tenth of the time."""

    def encode(self, data: dict[str, Any]) -> bytes:
        return msgspec.json.encode(data)

    def decode(self, data: bytes) -> dict[str, Any]:
        decoded: dict[str, Any] = msgspec.json.decode(data, type=dict[str, Any])
        return decoded


broker: Final = JobBroker(settings())
set_broker(broker)
set_encoder(_JsonEncoder())

#: The decorator that makes an actor: ``@actor("GREETING", max_retries=3)``.
actor: Final = broker.actor
