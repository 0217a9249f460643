"""Actors: typed functions that do one type of job, and the decorator that makes them."""

import inspect
import re
from collections.abc import Callable, Iterable, Mapping
from datetime import datetime, timedelta
from math import inf
from typing import Any, Final, Generic, NoReturn, ParamSpec, TypeVar

import dramatiq
from dramatiq.broker import Broker
from dramatiq.common import current_millis

from jobplatform.attempt import held_attempt
from jobplatform.errors import PlatformError, Unsupported
from jobplatform.high_first import DEFAULT, HIGH
from jobplatform.hints import actor_name
from jobplatform.job_id import new_job_id
from jobplatform.message import JobMessage
from jobplatform.options import JOB_OPTIONS, fault_of
from jobplatform.signature import Signature

P = ParamSpec("P")
R = TypeVar("R")

#: The queues, each with the priority that Dramatiq gives to what it has fetched of them.
PRIORITIES: Final = {"default": DEFAULT, "high": HIGH}

#: What may be wanted where another job holds a unique key.
CONFLICTS: Final = ("reject", "return", "replace")

_TYPE: Final = re.compile(r"[A-Z][A-Z0-9]*(_[A-Z0-9]+)*")


class InvalidActor(PlatformError):
    """This function cannot be an actor."""


class JobActor(dramatiq.Actor[P, R], Generic[P, R]):
    """One type of job on one queue. The public one serves `default`, and knows its twin on `high`."""

    def __init__(
        self,
        fn: Callable[P, R],
        signature: Signature,
        *,
        type: str,  # noqa: A002
        queue_name: str,
        broker: Broker,
        options: dict[str, Any],
    ) -> None:
        self.type = type
        self.signature = signature
        self.twins: dict[str, JobActor[P, R]] = {queue_name: self}
        super().__init__(
            fn,
            broker=broker,
            actor_name=actor_name(type, queue_name),
            queue_name=queue_name,
            priority=PRIORITIES[queue_name],
            options=options,
        )

    @property
    def description(self) -> str:
        """The first line of the function's docstring."""
        return (inspect.getdoc(self.fn) or "").partition("\n")[0]

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> R:
        """Run the function: as the calling thread's attempt, or, where it holds none, as what it is."""
        attempt = held_attempt()
        if attempt is None or not attempt.begin():
            return self.fn(*args, **kwargs)
        attempt.result = self.fn(*args, **kwargs)
        # Dramatiq's worker warns of values that it cannot keep. The broker hands this one to the middleware itself.
        return None  # type: ignore[return-value]

    def message_with_options(
        self,
        *,
        args: tuple[Any, ...] = (),
        kwargs: Mapping[str, Any] | None = None,
        priority: str | None = None,
        tags: Iterable[str] = (),
        unique_key: str | None = None,
        on_conflict: str = "reject",
        **options: Any,
    ) -> JobMessage:
        """Build a message for a new job. ``priority`` names the queue; the other options are Dramatiq's.

        Raises:
            InvalidPayload: the arguments do not fit the signature.
            Unsupported: an option that the platform does not offer.
        """
        if isinstance(tags, str):
            raise Unsupported("The tags are several: give a list of them.")
        return self.message_from_json(
            self.signature.encode(args, kwargs or {}),
            priority=priority or self.queue_name,
            tags=tuple(dict.fromkeys(tags)),
            unique_key=unique_key,
            on_conflict=on_conflict,
            options=_as_json(options),
        )

    def message_from_json(
        self,
        payload: str,
        *,
        priority: str = "default",
        run_at: datetime | None = None,
        who: str | None = None,
        request_id: str | None = None,
        tags: tuple[str, ...] = (),
        unique_key: str | None = None,
        on_conflict: str = "reject",
        options: dict[str, Any] | None = None,
    ) -> JobMessage:
        """Build a message for a new job from a payload that `signature` has checked.

        Raises:
            Unsupported: an unknown priority, way out of a conflict, or option, or an option of the wrong kind.
        """
        if priority not in PRIORITIES:
            raise Unsupported(f"The priority must be one of {', '.join(PRIORITIES)}, not {priority!r}.")
        if on_conflict not in CONFLICTS:
            raise Unsupported(f"on_conflict must be one of {', '.join(CONFLICTS)}, not {on_conflict!r}.")
        if on_conflict != "reject" and unique_key is None:
            raise Unsupported(f"on_conflict={on_conflict!r} is of no use without a unique_key.")
        if options:
            _check(options)
        return JobMessage.made_of(
            queue_name=priority,
            actor_name=actor_name(self.type, priority),
            args=(),
            kwargs={},
            options=options or {},
            message_id=new_job_id(),
            message_timestamp=current_millis(),
            payload=payload,
            run_at=run_at,
            who=who,
            request_id=request_id,
            tags=tags,
            unique_key=unique_key,
            on_conflict=on_conflict,
            on_crash=self.options.get("on_crash", "retry"),
        )

    def send_with_options(
        self,
        *,
        args: tuple[Any, ...] = (),
        kwargs: Mapping[str, Any] | None = None,
        delay: timedelta | int | None = None,
        **options: Any,
    ) -> JobMessage:
        """Accept a job: on record, and sent, when this returns. Its id is the message's ``message_id``.

        ``delay`` is milliseconds or a timedelta. ``priority`` is ``high`` or ``default``. ``tags`` are strings to find
        it by. ``unique_key`` comes once among the unfinished jobs of this type: where another one holds it,
        ``on_conflict`` says whether to ``reject`` the new job, to ``return`` the other one in its place, or to
        ``replace`` the other one, as long as it waits.

        Raises:
            InvalidPayload: the arguments do not fit the signature.
            UniqueKeyTaken: another job holds the unique key.
            DatabaseUnavailable: it is not known whether the job was accepted.
        """
        if isinstance(delay, timedelta):
            delay = int(delay.total_seconds() * 1000)
        message = self.message_with_options(args=args, kwargs=kwargs, **options)
        accepted: JobMessage = self.broker.enqueue(message, delay=delay)  # type: ignore[assignment]
        return accepted


def make_actor(broker: Broker, type: str, function: Callable[P, R], options: dict[str, Any]) -> JobActor[P, R]:  # noqa: A002
    """Declare a function as an actor on both queues.

    Raises:
        InvalidActor: the name, the function or an option is unfit.
    """
    if not isinstance(type, str) or not _TYPE.fullmatch(type):
        raise InvalidActor(f"A type is written in upper case, words joined by underscores, not {type!r}.")
    if inspect.iscoroutinefunction(function):
        raise InvalidActor(f"{type} is a coroutine function; an actor is a plain function.")
    if unknown := options.keys() - broker.actor_options - {"pipe_target", "pipe_ignore"}:
        raise InvalidActor(f"{type} has the option {', '.join(sorted(unknown))}, which does not exist.")
    if options.keys() & {"pipe_target", "pipe_ignore"}:
        raise Unsupported("Pipelines are not supported: send the next job from the actor, or with on_success.")
    options = {name: _actor_name(value) if name.startswith("on_") else value for name, value in options.items()}
    if (fault := fault_of(options)) is not None:
        raise InvalidActor(f"{type}: {fault}.")
    try:
        signature = Signature(type, function)
    except (TypeError, NameError, ValueError) as error:
        raise InvalidActor(f"{type} cannot say what it takes: {str(error).splitlines()[-1]}") from error
    twins = {
        queue: JobActor(function, signature, type=type, queue_name=queue, broker=broker, options=options)
        for queue in PRIORITIES
    }
    for twin in twins.values():
        twin.twins = twins
    return twins["default"]


def refuse(what: str) -> NoReturn:
    """Say of a Dramatiq feature that it is not offered here."""
    raise Unsupported(f"{what} are not supported: the journal keeps results, and jobs send further jobs.")


def _check(options: Mapping[str, Any]) -> None:
    if unknown := options.keys() - JOB_OPTIONS:
        raise Unsupported(f"A job cannot have the option {', '.join(sorted(unknown))}.")
    if (fault := fault_of(options)) is not None:
        raise Unsupported(f"A job cannot have this option: {fault}.")
    if options.get("time_limit") == inf:  # which JSON cannot tell; an actor may have it
        raise Unsupported("A job cannot have an infinite time_limit of its own: only its type can.")


def _as_json(options: Mapping[str, Any]) -> dict[str, Any]:
    return {name: _actor_name(value) for name, value in options.items() if value is not None}


def _actor_name(value: Any) -> Any:
    return value.actor_name if isinstance(value, dramatiq.Actor) else value
