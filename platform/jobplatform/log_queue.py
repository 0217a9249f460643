"""A worker's log goes through a queue, so that no thread that logs waits for whoever reads the log."""

import logging
import os
import sys
from logging.handlers import QueueHandler, QueueListener
from queue import SimpleQueue
from typing import Final

log: Final = logging.getLogger(__name__)

#: How many lines wait for a reader. Those that come when so many wait are left out, and counted.
_LINES: Final = 10_000


class LogQueue:
    """Between the root logger and its handlers on stderr, from `start` to `stop`.

    A worker's stderr is a pipe that the dramatiq master reads. It does not while another of its workers starts, for as
    long as 30 s if that one is killed meanwhile, nor while its own stderr is blocked. Whoever then logs into the full
    pipe would stand still, and each thread behind it that has something to say: the lifeline too, whose silence is
    taken for death.
    """

    def __init__(self, lines: int = _LINES) -> None:
        # Not a Queue: its lock is plain, and whoever logs from a signal handler or a finalizer, while his own thread
        # just puts something in, would wait for himself.
        self._records: SimpleQueue[logging.LogRecord | None] = SimpleQueue()
        self._into = _Into(self._records, lines)
        self._handlers: list[logging.Handler] = []
        self._out_of: _OutOf | None = None

    def start(self) -> None:
        """Have a thread of its own write to stderr what is logged."""
        root = logging.getLogger()
        self._handlers = [handler for handler in root.handlers if getattr(handler, "stream", None) is sys.stderr]
        if not self._handlers:
            return
        self._out_of = _OutOf(self._records, self._handlers)
        self._out_of.start()
        # Not a moment without a handler, nor with two for a line: whoever logs meanwhile has the old list.
        root.handlers = [self._into, *(handler for handler in root.handlers if handler not in self._handlers)]
        os.register_at_fork(after_in_child=self._step_aside)

    def stop(self, seconds: float = 1.0) -> None:
        """Write what waits, and log as before from then on. Where nobody reads within the time, that is lost."""
        if self._out_of is None:
            return
        self._into.say_what_is_missing()
        if self._out_of.end(seconds):
            self._step_aside()

    def _step_aside(self) -> None:
        """Also in a process that an actor forks: threads are not forked, and nobody would write what it logs."""
        root = logging.getLogger()
        if self._into in root.handlers:
            root.handlers = [*self._handlers, *(handler for handler in root.handlers if handler is not self._into)]


class _Into(QueueHandler):
    """Puts records in. Where there is no room they are left out, and the next that finds room says how many."""

    def __init__(self, records: SimpleQueue[logging.LogRecord | None], most: int) -> None:
        super().__init__(records)
        self._records = records
        self._most = most
        self._left_out = 0

    def enqueue(self, record: logging.LogRecord) -> None:
        """Put it in. Called under this handler's lock."""
        if self._records.qsize() >= self._most:
            self._left_out += 1
            return
        self.say_what_is_missing()
        self._records.put(record)

    def say_what_is_missing(self) -> None:
        """Put in how many were left out since this was last said, if any: one more than there is room for."""
        self.acquire()
        lines, self._left_out = self._left_out, 0
        self.release()
        if lines:
            text = "%d lines are missing here: this log was not read fast enough."
            self._records.put(log.makeRecord(log.name, logging.WARNING, __file__, 0, text, (lines,), None))


class _OutOf(QueueListener):
    """Hands records to the handlers, which may block."""

    def __init__(self, records: SimpleQueue[logging.LogRecord | None], handlers: list[logging.Handler]) -> None:
        super().__init__(records, *handlers, respect_handler_level=True)

    def end(self, seconds: float) -> bool:
        """Write what waits, within so many seconds. False: not all was written."""
        thread = self._thread
        if thread is None:
            return True
        self.enqueue_sentinel()
        thread.join(seconds)
        return not thread.is_alive()
