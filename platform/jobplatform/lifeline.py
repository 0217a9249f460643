"""A worker's life on record: its row, its beat, what it holds, and who among its jobs was called off."""

import logging
import os
import signal
import socket
import threading
from collections.abc import Callable, Collection
from importlib.metadata import version
from typing import Any, Final

from peewee import fn

from jobplatform.attempt import Attempt
from jobplatform.connection import give_up_connection, open_connection
from jobplatform.context import write_progress
from jobplatform.journal import Settle
from jobplatform.models import Job, Worker, database
from jobplatform.states import Event, Status
from jobplatform.writer import Writer

log: Final = logging.getLogger(__name__)

#: Seconds between two beats.
BEAT: Final = 1.0

#: How long a worker that ends waits for its last outcomes to be written, in seconds.
_LAST_WRITES: Final = 60.0


class Lifeline:
    """One thread with a connection of its own, from the worker's start to its end.

    A claim needs the worker's id, which is its row's number: until Postgres has given it, claims wait.
    """

    def __init__(self, worker: Any, types: Collection[str], queues: Collection[str], writer: Writer) -> None:
        self._worker = worker
        self._types = sorted(types)
        self._queues = sorted(queues)
        self._writer = writer
        self._id: int | None = None
        self._registered = threading.Event()
        self._stopping = threading.Event()
        self._ended = threading.Event()
        self._lock = threading.Lock()
        #: By token: attempts that run or whose outcome is not yet written, and None for claims under way (P6).
        self._held: dict[str, Attempt | None] = {}
        self._held_by_none: set[str] = set()
        self._thread = threading.Thread(target=self._run, name="lifeline", daemon=True)
        self.unknown_hints = 0

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

    def expect(self, token: str) -> None:
        """A claim under this token is under way."""
        with self._lock:
            self._held[token] = None

    def take(self, attempt: Attempt) -> None:
        """The claim was granted: a thread holds this attempt."""
        with self._lock:
            self._held[attempt.token] = attempt

    def forget(self, token: str) -> None:
        """Nobody here holds this token, or its outcome is written."""
        with self._lock:
            self._held.pop(token, None)

    def count_unknown(self) -> None:
        """A hint named a job that is not on record (P9)."""
        with self._lock:
            self.unknown_hints += 1

    def begin_to_stop(self) -> None:
        """Claim nothing more. What runs may end."""
        self._stopping.set()

    def stop(self) -> None:
        """Write what is left to write, say that the worker has ended, and end."""
        if not self._writer.close(_LAST_WRITES):
            log.critical("The worker ends with outcomes unwritten: Postgres did not take them.")
        self._ended.set()
        self._thread.join(BEAT * 5)

    def _run(self) -> None:
        try:
            self._keep_trying(self._register)
            while not self._ended.wait(BEAT):
                self._keep_trying(self._beat)
                self._watch_threads()
            self._keep_trying(self._sign_off, tries=1)
        except BaseException:
            log.critical("The lifeline broke, and the worker ends, to be started again.", exc_info=True)
            self._end_process()
        finally:
            give_up_connection()

    def _keep_trying(self, act: Callable[[], None], tries: int | None = None) -> None:
        """Do it on a sound connection, again and again, unless the worker ends meanwhile."""
        failures = 0
        while tries is None or failures < tries:
            try:
                open_connection()
                act()
                if failures:
                    log.info("Postgres is back.")
                return
            except Exception as error:
                if failures == 0:
                    log.warning("The worker cannot tell Postgres that it lives: %s", " ".join(str(error).split()))
                failures += 1
                give_up_connection()
            if self._ended.wait(BEAT):
                return

    def _register(self) -> None:
        self._id = Worker.insert(
            host=socket.gethostname(),
            pid=os.getpid(),
            version=version("jobplatform"),
            queues=self._queues,
            types=self._types,
            threads=self._worker.worker_threads,
            started_at=fn.clock_timestamp(),
            last_seen_at=fn.clock_timestamp(),
        ).execute()
        self._registered.set()
        log.info("Worker %d is on record, with the types %s.", self._id, ", ".join(self._types))

    def _beat(self) -> None:
        beaten = {Worker.last_seen_at: fn.clock_timestamp()}
        if self.stopping:
            beaten[Worker.stopping_at] = fn.coalesce(Worker.stopping_at, fn.clock_timestamp())
        Worker.update(beaten).where(Worker.id == self._id).execute()
        running: list[tuple[Any, ...]] = list(
            Job.select(Job.id, Job.type, Job.queue, Job.attempts, Job.token, Job.worker, Job.cancel_requested)
            .where(Job.worker == self._id, Job.status == Status.RUNNING)
            .tuples()
            .execute(database)
        )
        with self._lock:
            held = dict(self._held)
        for job_id, _, _, _, token, _, cancel_requested in running:
            attempt = held.get(str(token))
            if cancel_requested and attempt is not None and attempt.cancel():
                log.info("Job %s was asked to stop.", job_id)
        self._give_back(row for row in running if str(row[4]) not in held)
        for attempt in held.values():
            if attempt is not None:
                write_progress(attempt, self._writer.put)

    def _give_back(self, rows: Any) -> None:
        """Release the rows that run under this worker's id and that nothing here holds, at the second look (P6)."""
        seen: set[str] = set()
        for job_id, kind, queue, attempt, token, worker, _ in rows:
            if str(token) in self._held_by_none:
                log.warning("Job %s ran here in name only, and is given back.", job_id)
                self._writer.put(Settle(str(job_id), kind, queue, attempt, str(token), worker, Event.INTERRUPTED))
            else:
                seen.add(str(token))
        self._held_by_none = seen

    def _watch_threads(self) -> None:
        """End a process that has lost a thread: it would serve worse and worse, and nobody would notice (P23)."""
        if self.stopping:
            return
        threads = [*self._worker.workers, *self._worker.consumers.values()]
        dead = [thread.name for thread in threads if not thread.is_alive()]
        if self._writer.died:
            dead.append("writer")
        if dead:
            log.critical("The worker lost a thread (%s) and ends, to be started again.", ", ".join(dead))
            self._end_process()

    def _end_process(self) -> None:
        self._stopping.set()
        os.kill(os.getpid(), signal.SIGTERM)

    def _sign_off(self) -> None:
        Worker.update({Worker.ended_at: fn.clock_timestamp(), Worker.last_seen_at: fn.clock_timestamp()}).where(
            Worker.id == self._id
        ).execute()
