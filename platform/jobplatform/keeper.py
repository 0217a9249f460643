"""The keeper: makes every job move again that waits for a time, whose hint was lost, or whose worker died (R3).

Any number may run, in workers and alone. Each looks for itself, and compare-and-set keeps them apart.
"""

import logging
import random
import signal
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from datetime import datetime
from typing import Final, NamedTuple

import msgspec
import redis

from jobplatform import bulk, journal
from jobplatform.connection import (
    TOOK_TOO_LONG,
    blames_a_value,
    give_up_connection,
    is_mistake,
    line_of,
    open_connection,
    sqlstate,
)
from jobplatform.death_watch import DeathWatch
from jobplatform.hints import NAMESPACE, SILENT_FOR, HintSender, bodies_key, queue_key
from jobplatform.journal import keepers
from jobplatform.journal.hint import stamp_of, time_of
from jobplatform.journal.queues import paused
from jobplatform.journal.release import BATCH_SIZE
from jobplatform.journal.tallies import BITE
from jobplatform.models import connect_to, database
from jobplatform.redis_client import quick_client
from jobplatform.settings import Settings, settings
from jobplatform.states import QUEUES
from jobplatform.sweep import sweep

log: Final = logging.getLogger(__name__)

#: Seconds between two sweeps of the output folder, and of the idempotency keys that have expired.
_SWEEP_EVERY: Final = 600.0

#: Since when Redis remembers: the first look leaves the time there, and so does the first one after a loss.
MEMORY_KEY: Final = f"{NAMESPACE}:__remembers_since__"

#: While a worker's lock is free, the next look comes soon: its death is told as soon as it has been silent long enough.
_PAUSE_OF_SUSPICION: Final = 0.25

#: Seconds between two looks for processes that show no life to Redis.
_SILENT_EVERY: Final = 5.0

#: A look for lost hints that takes longer, in seconds, is followed by a rest.
_LONG_LOOK: Final = 0.5

#: Seconds between two looks for something to add up; after an error of which the connection is innocent; and, where one
#: bite follows the other, so many times as long as the bite took: it takes a quarter of the time at the most.
_TALLY_EVERY: Final = 5.0
_TALLY_AFTER_ERROR: Final = 60.0
_TALLY_REST: Final = 3
_SMALLEST_BITE: Final = 100

#: Seconds between two ticks at the least.
_SHORTEST_PAUSE: Final = 0.01

# The look writes a little: a server that refuses writes, being full for one, tells nothing of use.
_LOOK: Final = """
redis.call('set', KEYS[3], ARGV[1], 'nx')
local since = redis.call('get', KEYS[3])
local id = redis.call('lindex', KEYS[1], 0)
if not id then return {since} end
return {since, id, redis.call('hget', KEYS[2], id)}
"""


class _Seen(NamedTuple):
    """What a look at a queue's list has shown."""

    #: Whatever was dispatched before it has left the list. None where the list does not tell.
    mark: datetime | None
    #: Before it, Redis had forgotten everything. None where it does not tell.
    since: datetime | None


class Keeper:
    """Looks once a tick, in a thread of its own: for due jobs, dead workers, and lost hints."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._client = quick_client(settings.redis_url)
        self._sender = HintSender(self._client)
        self._look = self._client.register_script(_LOOK)
        self._watermarks = {queue: Watermarks(settings.resend_grace / 1000) for queue in QUEUES}
        self._deaths = DeathWatch(settings.death_after, settings.frozen_after)
        self._look_for_silent_at = float("-inf")
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self.run, name="keeper", daemon=True)
        # Keepers that started together do not all go through one folder at once.
        self._sweep_at = time.monotonic() + random.uniform(0, _SWEEP_EVERY)  # noqa: S311
        self._sweeping: Iterator[object] | None = None
        self._forgets = self._forgets_tallies = True
        self._tally_at = time.monotonic() + random.uniform(0.5, 1.0) * _TALLY_EVERY  # noqa: S311
        self._bite = BITE
        self._rest_until = dict.fromkeys(QUEUES, 0.0)
        self._id: int | None = None
        self._done = keepers.Done()
        self._told_at = float("-inf")

    def start(self) -> None:
        """Keep, in a thread."""
        self._thread.start()

    def stop(self) -> None:
        """End after the present tick."""
        self._stop.set()

    def wait(self, seconds: float) -> None:
        """Let the thread end its last tick: what it has queued it also sends, and it signs off."""
        self._thread.join(seconds)

    @property
    def died(self) -> bool:
        """Whether the thread has ended without being asked to."""
        return self._thread.ident is not None and not self._thread.is_alive() and not self._stop.is_set()

    def run(self) -> None:
        """Keep until `stop`. Nothing that goes wrong ends it."""
        troubled = False
        while not self._stop.is_set():
            try:
                open_connection()
                pause = self.tick()
                if troubled:
                    log.info("The keeper keeps again.")
                troubled = False
            except Exception as error:
                if not troubled:
                    log.warning(
                        "The keeper waits for Postgres: %s",
                        line_of(error),
                        exc_info=is_mistake(error),
                    )
                troubled = True
                self._deaths.connection_was_lost()
                give_up_connection()
                pause = self._settings.keeper_tick / 1000
            # Many keepers spread out by chance, so that some tick soon, whatever their number.
            self._stop.wait(pause * random.uniform(0.9, 1.0))  # noqa: S311
        self._sign_off()
        give_up_connection()

    def tick(self) -> float:
        """Do everything once, and say so. Returns the seconds until the next tick is due."""
        if self._id is None:
            self._id = keepers.register_keeper()
        released = self._release()
        dead = self._deaths.look()
        rescued = self._rescue()
        self._return_deliveries(dead)
        resent = [self._resend(queue) for queue in self._awake()]
        acts = self._act()
        self._sweep()
        forgotten = self._forget()
        self._tally()
        tick = self._settings.keeper_tick / 1000
        self._done += keepers.Done(released, rescued, sum(resent))
        if time.monotonic() - self._told_at >= tick:
            self._tell()
        if acts or BATCH_SIZE in (released, rescued, *resent, forgotten):
            return _SHORTEST_PAUSE  # there is more, and meanwhile another worker may have died
        if self._deaths.suspects_someone:
            tick = min(tick, _PAUSE_OF_SUSPICION)
        tick = min(tick, max(_SHORTEST_PAUSE, self._tally_at - time.monotonic()))
        due = journal.next_due()
        # What is due and was not released is in another keeper's hands for a moment.
        return tick if due is None else min(tick, max(_SHORTEST_PAUSE, due))

    def _release(self) -> int:
        """Queue what is due, a batch at the most."""
        hints = journal.release()
        if hints:
            self._sender.send(hints)
        return len(hints)

    def _rescue(self) -> int:
        """Take back what runs under workers that are no more, a batch at the most (P17)."""
        rescued, hints = journal.rescue(self._settings.crash_limit)
        for job in rescued:
            log.warning("Job %s was taken back from worker %d: %s.", job.job_id, job.worker, job.event)
        if hints:
            self._sender.send(hints)
        return len(rescued)

    def _return_deliveries(self, dead: Iterable[str]) -> None:
        """Put back what the dead had taken from Redis, and now and then what any silent process has.

        That one may have died before it was on record, or its keeper before it came to this, or Redis was away.
        """
        for broker in dead:
            self._sender.return_deliveries(broker)
        if time.monotonic() >= self._look_for_silent_at:
            self._look_for_silent_at = time.monotonic() + _SILENT_EVERY
            self._sender.return_from_the_silent()

    def _act(self) -> bool:
        """Do a batch of what people asked to be done to many jobs. Whether there is more."""
        batch = bulk.do_next_batch()
        if batch.hints:
            self._sender.send(batch.hints)
        return batch.more

    def _awake(self) -> list[str]:
        """The queues that are not paused. Workers put the hints of the others back: nothing in them is lost."""
        resting = paused()
        for queue in resting:
            self._watermarks[queue] = Watermarks(self._settings.resend_grace / 1000)
        return [queue for queue in QUEUES if queue not in resting]

    def _resend(self, queue: str) -> int:
        """Send again what left the queue's list unclaimed, a batch at the most (P24)."""
        if time.monotonic() < self._rest_until[queue]:
            return 0
        began = time.monotonic()
        resent = self._resend_lost(queue)
        # Where nobody can do what waits, each look goes over all of it: then it takes a tenth of the time at the most.
        if (took := time.monotonic() - began) > _LONG_LOOK:
            self._rest_until[queue] = time.monotonic() + 9 * took
        return resent

    def _resend_lost(self, queue: str) -> int:
        watermarks = self._watermarks[queue]
        (now,) = database.execute_sql("SELECT clock_timestamp()").fetchone()
        try:
            seen = self._look_at(queue, now)
        except redis.RedisError:
            # Where Redis was away, nobody could show it life.
            self._look_for_silent_at = time.monotonic() + SILENT_FOR
            return 0  # a hint that cannot be sent would only make the pause before the next one longer
        self._sender.resume()
        if seen.mark is not None:
            watermarks.note(seen.mark)
        lost_before = watermarks.settled()
        if lost_before is None:
            return 0
        hints = journal.resend(queue, lost_before, self._settings.resend_grace, forgotten_before=seen.since)
        if hints:
            log.warning("%d hints of queue %s were lost, and are sent again.", len(hints), queue)
            self._sender.send(hints)
        return len(hints)

    def _sweep(self) -> None:
        """Now and again go through the output folder, a batch at the most."""
        if time.monotonic() > self._sweep_at:
            self._sweep_at = time.monotonic() + _SWEEP_EVERY
            self._forgets = self._forgets_tallies = True
            self._sweeping = self._sweeping or sweep(self._settings.output_dir)
        try:
            if self._sweeping is not None and next(self._sweeping, None) is None:
                self._sweeping = None
        except OSError as error:  # no reason to leave the jobs alone
            log.warning("The output folder cannot be swept: %s", error)
            self._sweeping = None

    def _forget(self) -> int:
        """Delete idempotency keys that have had their time, a batch at the most, until there are no more of them."""
        if not self._forgets:
            return 0
        forgotten = journal.forget_expired(BATCH_SIZE)
        self._forgets = forgotten == BATCH_SIZE
        return forgotten

    def _tally(self) -> None:
        """Now and again add up what has happened, a bite at the most, and delete tallies that have had their time.

        What goes wrong there keeps nothing else. A tick that fails gives up its connection, and deaths are looked for
        from the beginning: if a missing table or a slow bite made each tick fail, none would ever be seen.
        """
        if time.monotonic() < self._tally_at:
            return
        began = time.monotonic()
        try:
            more = journal.add_up(self._bite)
            if not more and self._forgets_tallies:
                self._forgets_tallies = journal.forget_tallies(BATCH_SIZE) > 0
        except Exception as error:
            if not (blames_a_value(error) or sqlstate(error)):
                raise
            log.critical("Nothing can be added up: %s", line_of(error), exc_info=is_mistake(error))
            if sqlstate(error) == TOOK_TOO_LONG:
                self._bite = max(self._bite // 4, _SMALLEST_BITE)
            self._tally_at = time.monotonic() + _TALLY_AFTER_ERROR
            return
        now = time.monotonic()
        self._tally_at = now + (_TALLY_REST * (now - began) if more else _TALLY_EVERY)

    def _tell(self) -> None:
        if self._id is not None:
            keepers.tick_of(self._id, self._done)
            self._told_at, self._done = time.monotonic(), keepers.Done()

    def _sign_off(self) -> None:
        if self._id is not None:
            try:
                open_connection()
                self._tell()
                keepers.sign_off_keeper(self._id)
            except Exception as error:
                log.warning("The keeper ends without a word in Postgres: %s", line_of(error))

    def _look_at(self, queue: str, now: datetime) -> _Seen:
        """Look at a queue's list.

        Raises:
            redis.RedisError: Redis does not answer, or takes no hints.
        """
        keys = [queue_key(queue), bodies_key(queue), MEMORY_KEY]
        since, *head = self._look(keys=keys, args=[stamp_of(now)])
        return _Seen(_stamp_in(head[1], now) if head else now, _time_in(since))


class Watermarks:
    """Of one queue: what was seen, and the largest mark that a grace has passed since."""

    def __init__(self, grace_seconds: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._grace = grace_seconds
        self._clock = clock
        self._seen: deque[tuple[float, datetime]] = deque()
        self._settled: datetime | None = None

    def note(self, mark: datetime) -> None:
        """A look at the list gave this mark."""
        self._seen.append((self._clock(), mark))

    def settled(self) -> datetime | None:
        """A job that was dispatched before this time and is still queued has lost its hint."""
        while self._seen and self._clock() - self._seen[0][0] >= self._grace:
            _, mark = self._seen.popleft()
            self._settled = mark if self._settled is None else max(self._settled, mark)
        return self._settled


def _stamp_in(body: bytes | None, now: datetime) -> datetime | None:
    try:
        return min(time_of(msgspec.json.decode(body or b"")["options"]["dispatched_at"]), now)
    except (msgspec.MsgspecError, KeyError, TypeError, ValueError, OverflowError, RecursionError):
        return None


def _time_in(text: bytes) -> datetime | None:
    try:
        return time_of(int(text))
    except (ValueError, OverflowError):
        return None


def main() -> int:
    """Keep alone, until SIGTERM or SIGINT."""
    logging.basicConfig(level=logging.INFO, format="[%(asctime)s] [%(levelname)s] %(message)s")
    chosen = settings()
    if not chosen.database_url or not chosen.redis_url:
        raise SystemExit("A keeper needs DATABASE_URL and REDIS_URL. `python -m jobplatform up` brings both.")
    connect_to(chosen.database_url)
    keeper = Keeper(chosen)
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: keeper.stop())
    log.info("The keeper looks every %d ms.", chosen.keeper_tick)
    keeper.run()
    return 0
