"""Hints on their way through Redis: how a job's hint becomes a message there, and back.

A hint is a Dramatiq message without arguments, in Dramatiq's own keys: ``<namespace>:<queue>`` lists the ids of its
messages, ``<namespace>:<queue>.msgs`` maps them to their bodies.
"""

import logging
import secrets
import time
from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import Any, Final

import msgspec
import redis

from jobplatform.journal import Hint
from jobplatform.states import QUEUES

log: Final = logging.getLogger(__name__)

NAMESPACE: Final = "dramatiq"

#: A process leaves a sign of life in Redis at least so often, and has its deliveries returned when it left none for so
#: long. Seconds. (Dramatiq's own maintenance waits for a minute.)
SIGN_OF_LIFE: Final = 15.0
SILENT_FOR: Final = 20.0

#: After a failure nothing is sent for so many seconds: the keeper sends again what was not sent (P26). A server that
#: hangs costs its time-out at each try, so it is left alone for longer than one that refuses at once.
_PAUSE: Final = 0.5
_PAUSE_OF_A_HUNG_SERVER: Final = 5.0

_RETURN: Final = """
local list, bodies, acks, woken = KEYS[1], KEYS[2], KEYS[3], KEYS[4]
while redis.call('lmove', woken, list, 'LEFT', 'LEFT') do end
for _, id in ipairs(redis.call('smembers', acks)) do
    if redis.call('hexists', bodies, id) == 1 then redis.call('lpush', list, id) end
end
redis.call('del', acks)
"""

_encode: Final = msgspec.json.Encoder().encode


def queue_key(queue: str) -> str:
    """The Redis list that a queue's message ids wait in."""
    return f"{NAMESPACE}:{queue}"


def bodies_key(queue: str) -> str:
    """The Redis hash that holds the bodies of a queue's messages."""
    return f"{NAMESPACE}:{queue}.msgs"


def acks_key(broker: str, queue: str) -> str:
    """The Redis set of the deliveries that a process has taken from a queue and not yet acknowledged."""
    return f"{NAMESPACE}:__acks__.{broker}.{queue}"


def woken_key(broker: str, queue: str) -> str:
    """The Redis list to which the hint moves that a process was woken by, until its fetch, which puts it back first."""
    return f"{NAMESPACE}:__woken__.{broker}.{queue}"


#: The Redis set of when each process last fetched, milliseconds of Redis' own clock.
HEARTBEATS_KEY: Final = f"{NAMESPACE}:__heartbeats__"


def actor_name(type: str, queue: str) -> str:  # noqa: A002
    """The Dramatiq actor that runs a type's jobs from a queue: the high queue has a twin of its own."""
    return type if queue == "default" else f"{type}.{queue}"


def type_of(actor_name: str) -> str:
    """The type whose jobs a Dramatiq actor of that name runs."""
    return actor_name.partition(".")[0]


def message_of(hint: Hint, delivery: str | None = None) -> tuple[str, bytes]:
    """A hint as a message: the id of this delivery, by chance unless it is given, and the body."""
    delivery = delivery or secrets.token_hex(12)
    body = {
        "queue_name": hint.queue,
        "actor_name": actor_name(hint.type, hint.queue),
        "args": (),
        "kwargs": {},
        "options": {"redis_message_id": delivery, "dispatched_at": hint.stamp},
        "message_id": hint.job_id,
        "message_timestamp": hint.stamp // 1000,
    }
    return delivery, _encode(body)


class HintSender:
    """Sends hints, in one round trip for any number. What cannot be sent is dropped: the row remembers."""

    def __init__(self, client: "redis.Redis") -> None:
        self._client = client
        self._return = client.register_script(_RETURN)
        self._resume_at = 0.0
        self._troubled = False

    def send(self, hints: Sequence[Hint]) -> bool:
        """Append the hints to their queues, in the given order. Whether that is known to have been done."""
        if time.monotonic() < self._resume_at:
            return False
        try:
            with self._client.pipeline(transaction=True) as pipeline:
                for queue, messages in _by_queue(hints):
                    pipeline.hset(bodies_key(queue), mapping=dict(messages))
                    pipeline.rpush(queue_key(queue), *(delivery for delivery, _ in messages))
                pipeline.execute()
        except redis.RedisError as error:
            self._rest_after(error)
            return False
        self._tell_of_trouble(None)
        return True

    def resume(self) -> None:
        """Redis was seen to take what is sent: the next hints are sent, whatever failed before."""
        self._resume_at = 0.0
        self._tell_of_trouble(None)

    def return_deliveries(self, broker: str) -> None:
        """Put back what a dead process had taken out of its queues, to their heads: for others to take at once.

        What stays behind, as Redis does not answer, `return_from_the_silent` finds.
        """
        if time.monotonic() < self._resume_at:
            return
        try:
            self._return_all_of(broker)
        except redis.RedisError as error:
            self._rest_after(error)

    def return_from_the_silent(self) -> None:
        """Do the same for every process that has shown no life to Redis for `SILENT_FOR`, on record or not.

        For a process that lives after all this is harmless: what is delivered twice is refused at the claim (R2).
        """
        if time.monotonic() < self._resume_at:
            return
        try:
            now, _ = self._client.time()
            border = int((now - SILENT_FOR) * 1000)
            silent: Any = self._client.zrangebyscore(HEARTBEATS_KEY, "-inf", border)  # redis-py's hint says all sorts
            for broker in silent:
                self._return_all_of(broker.decode(errors="surrogateescape"))  # anybody can write to Redis
            self._client.zremrangebyscore(HEARTBEATS_KEY, "-inf", border)  # whoever has fetched meanwhile stays
        except redis.RedisError as error:
            self._rest_after(error)

    def _return_all_of(self, broker: str) -> None:
        for queue in QUEUES:
            taken = [acks_key(broker, queue), woken_key(broker, queue)]
            self._return(keys=[queue_key(queue), bodies_key(queue), *taken])

    def _rest_after(self, error: redis.RedisError) -> None:
        self._tell_of_trouble(error)
        hung = isinstance(error, redis.TimeoutError)
        self._resume_at = time.monotonic() + (_PAUSE_OF_A_HUNG_SERVER if hung else _PAUSE)

    def _tell_of_trouble(self, error: redis.RedisError | None) -> None:
        """Say once that Redis is away, and once that it is back."""
        if error is not None and not self._troubled:
            log.warning("Redis takes no hints, the keeper will send them again: %s", error)
        elif error is None and self._troubled:
            log.info("Redis takes hints again.")
        self._troubled = error is not None


def _by_queue(hints: Iterable[Hint]) -> Iterable[tuple[str, list[tuple[str, bytes]]]]:
    queues: dict[str, list[tuple[str, bytes]]] = defaultdict(list)
    hints = list(hints)
    chance = secrets.token_hex(12 * len(hints))  # at once: each time costs a call of the system
    for place, hint in enumerate(hints):
        queues[hint.queue].append(message_of(hint, chance[24 * place : 24 * place + 24]))
    return queues.items()
