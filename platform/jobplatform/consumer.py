"""Takes hints out of one Redis queue: wakes at once, acknowledges lazily, and sets aside what it cannot read."""

import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from typing import Any, Final
from uuid import UUID

import msgspec
import redis
from dramatiq.broker import Consumer, MessageProxy
from dramatiq.brokers.redis import RedisBroker
from dramatiq.errors import ConnectionClosed

from jobplatform.hints import HEARTBEATS_KEY, SIGN_OF_LIFE, acks_key, bodies_key, queue_key, woken_key
from jobplatform.message import JobMessage

log: Final = logging.getLogger(__name__)

#: The option of a message that is put back, or set aside: to acknowledge it means nothing.
_UNWANTED: Final = "unwanted"

# As Dramatiq's own fetch, but the ids come with the bodies, and what is done leaves in the same step. What this process
# was woken by goes back to the head first, whether there is room or not.
_FETCH: Final = """
local list, bodies, acks, alive, woken = KEYS[1], KEYS[2], KEYS[3], KEYS[4], KEYS[5]
local now = redis.call('time')
redis.call('zadd', alive, now[1] * 1000 + math.floor(now[2] / 1000), ARGV[1])
while redis.call('lmove', woken, list, 'LEFT', 'LEFT') do end
for place = 3, #ARGV do
    redis.call('srem', acks, ARGV[place])
    redis.call('hdel', bodies, ARGV[place])
end
local room = tonumber(ARGV[2])
local ids = room > 0 and redis.call('lpop', list, room)
if not ids then return {} end
redis.call('sadd', acks, unpack(ids))
return {ids, redis.call('hmget', bodies, unpack(ids))}
"""

# Each to the head of the list, the last first: they were taken from there, and so they keep their places and stamps.
_PUT_BACK: Final = """
local list, bodies, acks = KEYS[1], KEYS[2], KEYS[3]
for place = #ARGV, 1, -1 do
    if redis.call('srem', acks, ARGV[place]) == 1 and redis.call('hexists', bodies, ARGV[place]) == 1 then
        redis.call('lpush', list, ARGV[place])
    end
end
"""

#: While hints are set aside, each wait lasts only this share of the usual: who has just sent them round is then hardly
#: ever the one whose wait is the oldest, and so does not get them back.
_WAIT_BESIDE: Final = 0.3

#: Lua's stack bounds what one `unpack` takes.
_MOST: Final = 2_000


class _Hint(msgspec.Struct):
    """What is believed of a hint. All else comes from the row (P12)."""

    actor_name: str
    message_id: UUID


_decode_hint: Final = msgspec.json.Decoder(_Hint).decode


class Holding:
    """The deliveries of one queue that this process has taken and not yet acknowledged. It outlives its consumers."""

    def __init__(self) -> None:
        self.changed = threading.Condition()
        self.held: set[str] = set()
        self.done: list[str] = []
        #: Whether nothing more is to be taken: the worker is stopping, and others may be free.
        self.closing = False
        #: Whether nothing is to be taken for now: the queue is paused.
        self.resting = False
        #: Taken, refused by a pause, and to be put back where they were: jobs and deliveries. Those of some time are
        #: gathered, and go back together.
        self.unwanted: list[tuple[str, str]] = []
        self.going_back: list[str] = []
        #: Not for this worker now, and to go round. They take no room: innocents come behind them.
        self.aside: list[MessageProxy] = []
        #: Fetched, and not yet given out.
        self.fetched: deque[tuple[bytes, bytes | None]] = deque()

    @property
    def open(self) -> int:
        return len(self.held) - len(self.done) - len(self.aside)

    def close(self) -> None:
        """Take nothing more."""
        with self.changed:
            self.closing = True
            self._gather()

    def rest(self, resting: bool) -> None:
        """Take nothing until it is told otherwise, or go on. What a pause has refused until now goes back."""
        with self.changed:
            self.resting = resting
            self._gather()

    def put_back(self, message: MessageProxy) -> None:
        """Have a hint put back where it was, as its queue is paused, and take none until `rest` says otherwise."""
        message.options[_UNWANTED] = True
        with self.changed:
            self.resting = True
            self.unwanted.append((message.message_id, message.options["redis_message_id"]))

    def set_aside(self, message: MessageProxy) -> None:
        """Keep a hint, unacknowledged, until it has been sent to others."""
        message.options[_UNWANTED] = True
        with self.changed:
            self.aside.append(message)
            self.changed.notify()

    def waiting(self) -> list[MessageProxy]:
        """What is set aside."""
        with self.changed:
            return list(self.aside)

    def sent(self, messages: Sequence[MessageProxy]) -> None:
        """What was waiting has been sent again: it counts as acknowledged."""
        with self.changed:
            del self.aside[: len(messages)]
            self.done += [message.options["redis_message_id"] for message in messages]
            self.changed.notify()

    def _gather(self) -> None:
        self.going_back += [delivery for _, delivery in sorted(self.unwanted)]  # jobs' ids tell who came first
        self.unwanted.clear()
        self.changed.notify()


class JobConsumer(Consumer):
    """Dramatiq's consumer thread iterates over it, while its worker threads acknowledge.

    An acknowledgement waits for the next fetch and travels with it. If the process dies first, the hint is delivered
    again, and its claim is refused (R2).
    """

    def __init__(
        self,
        broker: RedisBroker,
        queue: str,
        prefetch: int,
        timeout: int,
        *,
        holding: Holding,
        fetched: Callable[..., None],
    ) -> None:
        """``timeout`` is milliseconds. ``fetched(queue, more=...)`` hears of every fetch: `HighFirst.fetched`."""
        self._broker = broker
        self._tell_fetched = fetched
        self._client = broker.client
        self._script = self._client.register_script(_FETCH)
        self._put_back_script = self._client.register_script(_PUT_BACK)
        self._queue = queue
        self._prefetch = min(prefetch, _MOST)
        self._timeout = timeout / 1000
        self._acks = acks_key(broker.broker_id, queue)
        self._woken = woken_key(broker.broker_id, queue)
        self._holding = holding
        self._fetched = holding.fetched
        self._alive_at = float("-inf")
        #: Whether a hint may have woken this process that it has not put back since. Its predecessor's may lie there.
        self._may_be_woken = True
        try:
            self._take_back()
        except redis.RedisError as error:
            raise ConnectionClosed(error) from None

    def __next__(self) -> MessageProxy | None:
        try:
            while True:
                while self._fetched:
                    if (message := self._read(*self._fetched.popleft())) is not None:
                        return message
                self._put_back()
                if not self._has_room():
                    if self._may_be_woken:  # meanwhile the worker began to stop, or the queue was paused
                        self._run_script(room=0)
                    self._show_life()
                    if self._holding.resting:
                        self._tell_fetched(self._queue, more=False)
                    if not self._wait_for_room():
                        return None
                elif not self._fetch() and not self._wait_for_hint():
                    return None
        except redis.RedisError as error:  # a time-out too, which redis-py does not count as a lost connection
            self._tell_fetched(self._queue, more=False)
            raise ConnectionClosed(error) from None

    def ack(self, message: MessageProxy) -> None:
        if message.options.get(_UNWANTED):
            return
        with self._holding.changed:
            self._holding.done.append(message.options["redis_message_id"])
            self._holding.changed.notify()

    #: A job that failed is on record in its row: there are no dead letters.
    nack = ack

    def requeue(self, messages: Iterable[MessageProxy]) -> None:
        ids = [message.options["redis_message_id"] for message in messages]
        try:
            if ids:
                self._return(ids)
        except redis.RedisError as error:
            log.warning("%d hints stay behind, the keeper will send them again: %s", len(ids), error)

    def close(self) -> None:
        with suppress(redis.RedisError):  # what was not acknowledged is delivered again, and refused
            self._put_back()
            self._run_script(room=0)
        self._tell_fetched(self._queue, more=False)

    def _take_back(self) -> None:
        """Return to the queue what was taken from it and never arrived here: the answer of a fetch was lost."""
        taken = {_text(member) for member in self._client.smembers(self._acks)}
        with self._holding.changed:
            lost = taken - self._holding.held
        if lost:
            self._return(sorted(lost))

    def _has_room(self) -> bool:
        """Whether a good part of the prefetch is free: fetching for less would cost a round trip a job."""
        takes = not (self._holding.closing or self._holding.resting)
        return takes and self._prefetch - self._holding.open >= max(1, self._prefetch // 4)

    def _put_back(self) -> None:
        with self._holding.changed:
            deliveries = self._holding.going_back[-_MOST:]
        if deliveries:
            self._return(deliveries)
            with self._holding.changed:
                gone = set(deliveries)  # while they went, others may have been gathered
                self._holding.going_back[:] = [waits for waits in self._holding.going_back if waits not in gone]
                self._holding.held -= gone

    def _return(self, deliveries: Sequence[str]) -> None:
        # Dramatiq's own would leave the host's time in the heartbeats, and compare it with those of Redis.
        self._put_back_script(keys=[queue_key(self._queue), bodies_key(self._queue), self._acks], args=deliveries)

    def _fetch(self) -> bool:
        room = self._prefetch - self._holding.open
        ids, bodies = self._run_script(room)
        with self._holding.changed:
            self._holding.held.update(map(_text, ids))
        self._fetched.extend(zip(ids, bodies, strict=True))
        self._tell_fetched(self._queue, more=len(ids) == room)
        return bool(ids)

    def _run_script(self, room: int) -> tuple[list[bytes], list[bytes | None]]:
        with self._holding.changed:
            done = self._holding.done[:_MOST]
        answer = self._script(
            keys=[
                queue_key(self._queue),
                bodies_key(self._queue),
                self._acks,
                HEARTBEATS_KEY,
                self._woken,
            ],
            args=[self._broker.broker_id, room, *done],
        )
        self._alive_at = time.monotonic()
        self._may_be_woken = False
        with self._holding.changed:
            del self._holding.done[: len(done)]
            self._holding.held.difference_update(done)
        return answer or ([], [])

    def _wait_for_room(self) -> bool:
        with self._holding.changed:
            woken = self._holding.changed.wait_for(lambda: self._has_room() or self._holding.going_back, self._timeout)
            return bool(woken)

    def _wait_for_hint(self) -> bool:
        """Wait at the empty list, and wake at once. A hint wakes the one whose wait is the oldest, and nobody else.

        So it must leave the list: it moves to one of this process, where `HintSender.return_deliveries` finds it too.
        """
        self._may_be_woken = True  # also if the answer is lost
        # redis-py's hint says int; a fraction is fine
        seconds: Any = self._timeout * (_WAIT_BESIDE if self._holding.aside else 1)
        return self._client.blmove(queue_key(self._queue), self._woken, seconds, "LEFT", "LEFT") is not None

    def _show_life(self) -> None:
        if time.monotonic() - self._alive_at > SIGN_OF_LIFE:
            self._run_script(room=0)
            self._take_back()

    def _read(self, delivery: bytes, body: bytes | None) -> MessageProxy | None:
        delivery_id = _text(delivery)
        if body is None:  # delivered twice, and acknowledged meanwhile
            self._done(delivery_id)
            return None
        try:
            hint = _decode_hint(body)
        except (msgspec.MsgspecError, UnicodeError, RecursionError) as error:
            log.error("Message %r of queue %s cannot be read, and is set aside: %s", delivery_id, self._queue, error)
            self._done(delivery_id)
            self._broker.do_nack(self._queue, delivery_id)
            return None
        if hint.actor_name not in self._broker.actors:
            # Whoever knows the type gets a hint of its own from the keeper: the row is still queued (P14).
            log.warning("Job %s is of a type unknown here: %s", hint.message_id, hint.actor_name)
            self._done(delivery_id)
            return None
        options = {"redis_message_id": delivery_id}
        return MessageProxy(JobMessage(self._queue, hint.actor_name, (), {}, options, str(hint.message_id)))

    def _done(self, delivery_id: str) -> None:
        with self._holding.changed:
            self._holding.done.append(delivery_id)


def _text(delivery: bytes | str) -> str:
    """The id of a delivery, as Dramatiq wants it. Sent back to Redis, it is the same bytes again, whatever they are."""
    return delivery if isinstance(delivery, str) else delivery.decode(errors="surrogateescape")
