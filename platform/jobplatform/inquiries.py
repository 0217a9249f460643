"""Long reads: a few threads, each with its own connection, that answer one question at a time.

The `Reader` gathers the short ones. What may take longer, such as lists and counts, must not stand in their way.
"""

import os
import threading
import time
from collections import deque
from collections.abc import Callable
from typing import Any, Final, NamedTuple, TypeVar

from jobplatform.answer import Answer
from jobplatform.connection import ask, give_up_connection, open_connection
from jobplatform.errors import DatabaseUnavailable
from jobplatform.models import database

#: How many questions are worked on at once, and how many more may wait.
THREADS: Final = 4
MOST_WAITING: Final = 200
#: How long a question may wait, and then how long each of its queries may take, in seconds.
PATIENCE: Final = 5

_T = TypeVar("_T")


class _Asked(NamedTuple):
    question: Callable[[], Any]
    answer: Answer[Any]
    until: float


class Inquiries:
    """Gives answers later. A question is a function that reads through the calling thread's connection."""

    _threads: list[threading.Thread]
    _idle: int

    def __init__(self, threads: int = THREADS, most_waiting: int = MOST_WAITING) -> None:
        self._most_threads = threads
        self._most_waiting = most_waiting
        self._start_over()
        os.register_at_fork(after_in_child=self._start_over)

    def ask(self, function: Callable[..., _T], *args: Any) -> "Answer[_T]":
        """Call the function with these arguments in one of the threads. Never blocks.

        Raises (from the answer):
            DatabaseUnavailable: Postgres does not answer in time, or so many questions wait that this one will not.
            Exception: what else the function raises.
        """
        answer: Answer[_T] = Answer()
        asked = _Asked(lambda: function(*args), answer, time.monotonic() + PATIENCE)
        with self._ready:
            if len(self._waiting) >= self._most_waiting:
                answer.set_exception(DatabaseUnavailable("Too many questions are waiting for Postgres."))
                return answer
            self._waiting.append(asked)
            self._threads = [thread for thread in self._threads if thread.is_alive()]
            if len(self._waiting) > self._idle and len(self._threads) < self._most_threads:
                self._threads.append(threading.Thread(target=self._run, name="inquiries", daemon=True))
                self._threads[-1].start()
            self._ready.notify()
        return answer

    def close(self) -> None:
        """Answer what waits, and end the threads and their connections."""
        with self._ready:
            self._closing = True
            self._ready.notify_all()
            threads = self._threads
        for thread in threads:
            thread.join()

    def _start_over(self) -> None:
        self._ready = threading.Condition()
        self._waiting: deque[_Asked] = deque()
        self._threads = []
        self._idle = 0
        self._closing = False

    def _run(self) -> None:
        while (asked := self._next()) is not None:
            _answer(asked)
            del asked  # an answer may be large, and the next question far away
        give_up_connection()

    def _next(self) -> _Asked | None:
        with self._ready:
            self._idle += 1
            self._ready.wait_for(lambda: self._waiting or self._closing)
            self._idle -= 1
            return self._waiting.popleft() if self._waiting else None


def _answer(asked: _Asked) -> None:
    if time.monotonic() > asked.until:
        asked.answer.set_exception(DatabaseUnavailable("Postgres did not come to this question in time."))
        return
    try:
        found = ask(lambda: _once(asked.question))
    except BaseException as error:
        asked.answer.set_exception(error)
        if not isinstance(error, Exception):
            raise
    else:
        asked.answer.set_result(found)


def _once(question: Callable[[], _T]) -> _T:
    if database.is_closed():
        open_connection()
        database.execute_sql(f"SET statement_timeout = '{PATIENCE}s'")
    return question()
