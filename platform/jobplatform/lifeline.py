"""A worker's life on record: its row, its lock, its beat, what it holds, and who among its jobs was called off."""

import logging
import multiprocessing
import os
import signal
import threading
import time
from collections.abc import Callable, Collection
from importlib.metadata import version
from typing import Any, Final

from dramatiq.middleware import Shutdown

from jobplatform.attempt import Cancelled
from jobplatform.connection import give_up_connection, is_mistake, line_of, open_connection
from jobplatform.context import write_progress
from jobplatform.hands import Hands
from jobplatform.journal import Settle, workers
from jobplatform.journal.queues import paused
from jobplatform.keeper import Keeper
from jobplatform.memory import peak_resident_bytes, resident_bytes
from jobplatform.verdict import interrupted
from jobplatform.writer import Writer

log: Final = logging.getLogger(__name__)

#: Seconds between two beats.
BEAT: Final = 1.0

#: How long a worker that ends waits for its last outcomes to be written, in seconds.
_LAST_WRITES: Final = 60.0


#: How long an orphan waits to be told to end before it does so by itself, in seconds.
_ORPHANS_PATIENCE: Final = 3.0


class Lifeline:
    """One thread with a connection of its own, from the worker's start to its end.

    A claim needs the worker's id, which is its row's number: until Postgres has given it, claims wait. A worker that
    was declared dead while it was cut off or frozen interrupts what it runs, and goes on under a new number.
    """

    def __init__(
        self,
        worker: Any,
        *,
        types: Collection[str],
        queues: Collection[str],
        writer: Writer,
        hands: Hands,
        keeper: Keeper,
        give_back: Callable[..., object],
        go_round: Callable[[], object],
        shutdown_grace: int,
    ) -> None:
        """``worker`` is Dramatiq's; ``shutdown_grace`` is milliseconds.

        ``give_back`` is `Claims.give_back`, and ``go_round`` has the hints go round that were set aside.
        """
        self._worker = worker
        self._types = sorted(types)
        self._queues = sorted(queues)
        self._writer = writer
        self._hands = hands
        self._keeper = keeper
        self._give_back = give_back
        self._go_round = go_round
        self._grace = shutdown_grace / 1000
        self._parent = _master()
        self._orphaned_at: float | None = None
        self._id: int | None = None
        self._registered = threading.Event()
        self._stopping = threading.Event()
        self._stop_at = float("inf")
        self._ended = threading.Event()
        self._woken = threading.Event()
        self._cut_off = False
        self._thread = threading.Thread(target=self._run, name="lifeline", daemon=True)

    @property
    def stopping(self) -> bool:
        """Whether the worker has begun to stop: it claims no more."""
        return self._stopping.is_set()

    def start(self) -> None:
        """Register the worker, and beat until `stop`."""
        self._thread.start()

    def wait_for_id(self) -> int | None:
        """The worker's id, as soon as it is on record. None where it stops before that."""
        while not self._registered.wait(BEAT / 2):
            if self.stopping:
                return None
        return self._id

    def begin_to_stop(self) -> None:
        """Take and claim nothing more. What runs may end within the grace, and is interrupted then.

        What waits here for a free thread is given to other workers at once.
        """
        waiting = self._worker.broker.stop_fetching()
        self._stop_at = time.monotonic() + self._grace
        self._stopping.set()
        self._woken.set()  # the mark is for whoever finds the worker dead, which may be soon (P21)
        self._give_back(waiting)

    def stop(self) -> None:
        """Write what is left to write, say that the worker has ended, and end."""
        if not self._writer.close(_LAST_WRITES):
            log.critical("The worker ends with outcomes unwritten: Postgres did not take them.")
        self._ended.set()
        self._woken.set()
        self._thread.join(BEAT * 5)

    def _run(self) -> None:
        try:
            ended = False
            while not ended:
                self._tell(self._beat)
                # What follows is due also while Postgres is away.
                self._give_back()
                self._go_round()
                if time.monotonic() >= self._stop_at:
                    self._interrupt()
                self._watch_threads()
                ended = self._rest()
            self._tell(self._sign_off)
        except BaseException:
            log.critical("The lifeline broke, and the worker ends, to be started again.", exc_info=True)
            self._end_process()
        finally:
            give_up_connection()

    def _rest(self) -> bool:
        """Until the next beat: at once when the worker begins to stop. True: there is none, it has ended."""
        self._woken.wait(BEAT)
        self._woken.clear()
        return self._ended.is_set()

    def _tell(self, act: Callable[[], None]) -> None:
        """Do it on a sound connection, or leave it to the next beat.

        That a connection was lost shows when it is used: then a new one is tried at once.
        """
        for _ in range(1 if self._cut_off else 2):
            try:
                open_connection()
                act()
            except Exception as error:
                trouble = error
                give_up_connection()
            else:
                if self._cut_off:
                    log.info("Postgres is back.")
                self._cut_off = False
                return
        if not self._cut_off:
            log.warning(
                "The worker cannot tell Postgres that it lives: %s",
                line_of(trouble),
                exc_info=trouble if is_mistake(trouble) else None,
            )
        self._cut_off = True

    def _register(self) -> None:
        self._id = workers.register(
            version("jobplatform"),
            self._worker.broker.broker_id,
            self._queues,
            self._types,
            self._worker.worker_threads,
        )
        self._registered.set()
        log.info("Worker %d is on record, with the types %s.", self._id, ", ".join(self._types))

    def _beat(self) -> None:
        self._worker.broker.rest(paused())
        if self._id is None:
            return self._register()
        alive = workers.beat(
            self._id,
            stopping=self.stopping,
            memory=resident_bytes(),
            peak_memory=peak_resident_bytes(),
        )
        if not alive:
            return self._start_again()
        running = {row.token: row for row in workers.held_by(self._id)}
        attempts = self._hands.attempts()
        for attempt in attempts.values():
            # Others' jobs now: of a number under which this worker was declared dead, and that had not begun then.
            if attempt.worker != self._id and attempt.strike(Shutdown):
                log.info("Job %s is interrupted.", attempt.job_id)
        for token, row in running.items():
            if row.cancel_requested and token in attempts and attempts[token].strike(Cancelled):
                log.info("Job %s was asked to stop.", row.job_id)
        for token in self._hands.dropped(running):
            self._give_up(running[token])
        for attempt in attempts.values():
            write_progress(attempt, self._writer.put)
        return None

    def _give_up(self, row: workers.Held) -> None:
        """End an attempt that runs here in name only."""
        log.warning("Job %s ran here in name only, and is given back.", row.job_id)
        verdict = interrupted(may_run_again=self._hands.may_run_again(row.token), why="Its outcome was lost")
        self._writer.put(
            Settle(
                row.job_id,
                row.type,
                row.queue,
                row.attempt,
                row.token,
                row.worker,
                verdict.event,
                error=verdict.error,
            )
        )

    def _start_again(self) -> None:
        """A keeper took this worker for dead: its jobs are others' now, and its outcomes will be refused."""
        log.critical("Worker %s was declared dead while it lived, and starts again under a new number.", self._id)
        self._registered.clear()
        self._id = None
        self._interrupt()
        self._register()

    def _interrupt(self) -> None:
        for attempt in self._hands.attempts().values():
            if attempt.strike(Shutdown):
                log.info("Job %s is interrupted.", attempt.job_id)

    def _watch_threads(self) -> None:
        """End a process that has lost a thread: it would serve worse and worse, and nobody would notice (P23)."""
        if os.getppid() != self._parent:
            self._mind_no_parent()
            return
        if self.stopping:
            return
        threads = [*self._worker.workers, *self._worker.consumers.values()]
        dead = [thread.name for thread in threads if not thread.is_alive()]
        dead += [name for name, part in (("writer", self._writer), ("keeper", self._keeper)) if part.died]
        if dead:
            log.critical("The worker lost a thread (%s) and ends, to be started again.", ", ".join(dead))
            self._end_process()

    def _mind_no_parent(self) -> None:
        """End a process whose master is gone: nobody reads its log, nor starts it again (P23).

        A supervisor may have told it already; Dramatiq takes a second signal for impatience, so this one waits.
        """
        now = time.monotonic()
        self._orphaned_at = self._orphaned_at or now
        if now - self._orphaned_at < _ORPHANS_PATIENCE:
            return
        if not self.stopping:
            log.critical("The worker's master is gone, and so it ends.")
            self._end_process()
        elif now - self._stop_at > _ORPHANS_PATIENCE and not self._hands.attempts():
            # Its main thread may be waiting for the master, which died while it was being told that this one is ready.
            log.critical("The worker's master is gone, and it cannot end as it should.")
            self._tell(self._sign_off)
            os._exit(1)

    def _end_process(self) -> None:
        """Have Dramatiq stop this worker. Until it does, hints would be taken only to be sent back, round and round."""
        try:
            self.begin_to_stop()
        finally:
            os.kill(os.getpid(), signal.SIGTERM)

    def _sign_off(self) -> None:
        if self._id is not None:
            workers.sign_off(self._id)


def _master() -> int:
    """The process that this one is a child of, also if it is gone by now."""
    made_by = multiprocessing.parent_process()
    if made_by is None or made_by.pid is None or multiprocessing.get_start_method(allow_none=True) == "forkserver":
        return os.getppid()  # a server of forks stands between the two, and ends with the master
    return made_by.pid
