"""Group commit: one thread and one connection per process, through which everything is written.

Whoever asks gets an `Answer`. What gathers during one commit goes into the next. An idle process answers at once; a
busy one waits a few milliseconds for as many items as it wrote last, since a commit costs much, an item in it little.
"""

import logging
import os
import queue
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any, Final, NamedTuple

from peewee import PeeweeException

from jobplatform import journal
from jobplatform.answer import Answer
from jobplatform.connection import blames_a_value, give_up_connection, line_of, open_connection, unavailable
from jobplatform.errors import DatabaseUnavailable, RefusedByDatabase, TooMuchWaits
from jobplatform.journal import Hint, Item, Settle

log: Final = logging.getLogger(__name__)

#: A batch takes so many items, and so many characters of text, at the most.
MOST_ITEMS: Final = 500
MOST_TEXT: Final = 8_000_000

#: From so many items on a batch is worth waiting for, so often, for so many seconds.
WORTH_WAITING: Final = 4
_LOOKS: Final = 8
_LOOK: Final = 0.001

#: So many characters may wait. Beyond that nothing is taken whose asker gives up soon: if Postgres hangs, as it may for
#: minutes before a connection counts as lost, no deadline is looked at, and a busy API would grow without end.
MOST_WAITING: Final = 64_000_000

#: What an item takes beside its text: itself, its answer, and who waits for it.
_TEXT_AROUND: Final = 2_000

#: The pause after a lost connection, in seconds: it doubles up to the longer one (P18).
_SHORTEST_PAUSE: Final = 0.05
_LONGEST_PAUSE: Final = 1.0


class _Asked(NamedTuple):
    item: Item
    answer: Answer[Any]
    #: How much text it carries, in characters.
    size: int


class Writer:
    """Writes items, and sends the hints of what it has written.

    ``send`` gets the hints after their commit and before the answers are given. It must not take long (P26).
    """

    def __init__(self, send: Callable[[Sequence[Hint]], object]) -> None:
        self._send = send
        self._start_over()
        os.register_at_fork(after_in_child=self._start_over)  # a thread does not survive a fork

    def put(self, item: Item) -> "Answer[Any]":
        """Ask for an item to be written. Never blocks.

        The answer is the item's, or raises `RefusedByDatabase`, `JobIdTaken` or, once the item's deadline has passed,
        `DatabaseUnavailable`; `TooMuchWaits` at once where too much waits already. An item without a deadline is tried
        until it is written.
        """
        asked = _Asked(item, Answer(), item.size)
        if not self._has_room(asked):
            asked.answer.set_exception(TooMuchWaits())
            return asked.answer
        self._queue.put(asked)
        if self._thread is None or not self._thread.is_alive():
            self._start()
        return asked.answer

    @property
    def died(self) -> bool:
        """Whether a thread has ever ended without being asked to (P23). Another one writes what was put since."""
        return self._died

    @property
    def closed(self) -> bool:
        """Whether it has been told to end."""
        return self._closed.is_set()

    def close(self, timeout: float) -> bool:
        """Write what is still waiting, then end. Whether all was written within ``timeout`` seconds."""
        until = time.monotonic() + timeout
        thread = self._present_thread()
        self._closed.set()
        self._queue.put(None)
        while thread is not None:
            thread.join(max(0.0, until - time.monotonic()))
            if thread.is_alive():
                return False
            thread = self._present_thread()  # one that died has another one follow
        return True

    def _start_over(self) -> None:
        self._queue: queue.SimpleQueue[_Asked | None] = queue.SimpleQueue()
        self._closed = threading.Event()
        self._starting = threading.Lock()
        self._thread: threading.Thread | None = None
        self._died = False
        self._counting = threading.Lock()
        self._waiting = 0

    def _has_room(self, asked: _Asked) -> bool:
        with self._counting:
            if self._waiting > MOST_WAITING and asked.item.deadline is not None:
                return False
            self._waiting += asked.size + _TEXT_AROUND
            return True

    def _make_room(self, batch: Sequence[_Asked]) -> None:
        with self._counting:
            self._waiting -= sum(asked.size + _TEXT_AROUND for asked in batch)

    def _present_thread(self) -> threading.Thread | None:
        with self._starting:
            return self._thread if self._thread is not None and self._thread.is_alive() else None

    def _start(self) -> None:
        with self._starting:
            if self._thread is None or not self._thread.is_alive():
                self._begin()

    def _begin(self) -> None:
        thread = threading.Thread(target=self._run, name="writer", daemon=True)
        thread.start()
        self._thread = thread  # once it runs: before, it would look as if it had ended

    def _run(self) -> None:
        batch: list[_Asked] = []
        written = 0
        try:
            while not self._is_over():
                batch = []
                self._await_company(written)
                self._gather(batch)
                written = len(batch)
                self._write(batch)
                self._make_room(batch)
                batch = []  # what it carried may be large
        except BaseException as error:
            self._died = True
            self._hand_over(batch, error)
        finally:
            give_up_connection()

    def _is_over(self) -> bool:
        """Whether to end: closed, and nothing waits. Who puts an item from then on starts another thread for it."""
        if not (self._closed.is_set() and self._queue.empty()):
            return False
        with self._starting:
            self._thread = None
            if self._queue.empty():
                return True
            self._thread = threading.current_thread()  # an item came for which nobody started one
            return False

    def _await_company(self, written: int) -> None:
        """Where many were written together, let as many gather again: those who were answered are about to ask anew."""
        for _ in range(_LOOKS):
            if written < WORTH_WAITING or self._queue.qsize() >= written:
                return
            time.sleep(_LOOK)

    def _gather(self, batch: list[_Asked]) -> None:
        """Wait for an item, and take what else is there. Nothing when woken to end."""
        text = 0
        asked = self._queue.get()
        while asked is not None:
            batch.append(asked)
            text += asked.size
            if len(batch) >= MOST_ITEMS or text >= MOST_TEXT or self._queue.empty():
                break
            asked = self._queue.get()

    def _write(self, batch: Sequence[_Asked]) -> None:
        """Try until all of the batch is written, refused, or no longer waited for."""
        pause = _SHORTEST_PAUSE
        batch = _still_wanted(batch, DatabaseUnavailable())
        while batch:
            try:
                open_connection()
                self._commit(batch)
                return
            except Exception as error:
                # A lack of memory that lasts is due to what is to be written.
                if blames_a_value(error) or (isinstance(error, MemoryError) and pause == _LONGEST_PAUSE):
                    self._write_one_by_one(batch, error)
                    return
                give_up_connection()
                if pause == _SHORTEST_PAUSE:
                    log.warning("Postgres cannot be written to, %d items wait: %s", len(batch), line_of(error))
                batch = _still_wanted(batch, error)
            if batch:
                time.sleep(pause)
                pause = min(2 * pause, _LONGEST_PAUSE)

    def _commit(self, batch: Sequence[_Asked]) -> None:
        answers, hints = journal.commit([asked.item for asked in batch])
        if hints:
            self._send_hints(hints)
        for asked, answer in zip(batch, answers, strict=True):
            _answer(asked, answer)

    def _send_hints(self, hints: Sequence[Hint]) -> None:
        try:
            self._send(hints)
        except Exception:  # all is written: to do it again, or to refuse it, would be wrong
            log.critical("%d hints could not be sent. The keeper sends them again.", len(hints), exc_info=True)

    def _write_one_by_one(self, batch: Sequence[_Asked], error: Exception) -> None:
        """Find the item that spoils its batch: only it fails (P5)."""
        if len(batch) > 1:
            for asked in batch:
                self._write([asked])
            return
        (asked,) = batch
        if isinstance(asked.item, Settle) and not asked.item.is_replacement:
            self._write([asked._replace(item=asked.item.replacement(line_of(error)))])
            return
        refusal = RefusedByDatabase(line_of(error)) if isinstance(error, PeeweeException | ValueError) else error
        log.warning("Refused: %s of %s: %s", type(asked.item).__name__, asked.item.locks or "new jobs", refusal)
        _answer(asked, refusal)

    def _hand_over(self, batch: list[_Asked], error: BaseException) -> None:
        """Die: tell all that wait, and have another thread write what is put meanwhile. They may put the same again."""
        log.critical("The writer died.", exc_info=error)
        with suppress(queue.Empty):
            while True:
                if (waiting := self._queue.get_nowait()) is not None:
                    batch.append(waiting)
        self._make_room(batch)
        failure = DatabaseUnavailable(f"The writer died: {line_of(error)}")
        for asked in batch:
            _answer(asked, failure)
        with self._starting:
            self._thread = None
            if not self._queue.empty():
                self._begin()


def _still_wanted(batch: Sequence[_Asked], error: Exception) -> list[_Asked]:
    """Answer those whose deadline has passed, and give the others."""
    now = time.monotonic()
    wanted = []
    for asked in batch:
        if asked.item.deadline is None or now < asked.item.deadline:
            wanted.append(asked)
        else:
            _answer(asked, unavailable(error))
    return wanted


def _answer(asked: _Asked, answer: Any) -> None:
    if asked.answer.done():
        return  # by a writer that died on the way through its batch
    if isinstance(answer, Exception):
        asked.answer.set_exception(answer)
    else:
        asked.answer.set_result(answer)
