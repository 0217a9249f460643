"""Answers of the engine's threads on their way into the event loop: many per wake-up, each within a deadline."""

import asyncio
from collections import deque
from contextlib import suppress
from typing import Any, TypeVar

from jobplatform.answer import Answer
from jobplatform.errors import DatabaseUnavailable

_T = TypeVar("_T")


class Answers:
    """Lets coroutines await what the writer and the reader will answer.

    Does what ``wait_for(shield(wrap_future(future)), timeout)`` does for a future, at less than half the cost: one
    wake-up of the loop serves all the answers that a commit brings, and one timer all the deadlines, which come in
    order because all are equally far away. A coroutine that is cancelled leaves its answer alone: what was asked is
    done.
    """

    def __init__(self, timeout_ms: int) -> None:
        self._timeout = timeout_ms / 1000
        self._settled: deque[tuple[asyncio.Future[Any], Answer[Any]]] = deque()
        self._woken = False
        self._waiting: deque[tuple[float, asyncio.Future[Any]]] = deque()
        self._timer: asyncio.TimerHandle | None = None

    def of(self, answer: "Answer[_T]") -> "asyncio.Future[_T]":
        """Await this for the answer, or the error in its place.

        Raises (when awaited):
            DatabaseUnavailable: the time is up. What was asked may be done yet.
        """
        loop = asyncio.get_running_loop()
        waiter: asyncio.Future[_T] = loop.create_future()
        while self._waiting and self._waiting[0][1].done():
            self._waiting.popleft()
        self._waiting.append((loop.time() + self._timeout, waiter))
        if self._timer is None:
            self._timer = loop.call_later(self._timeout, self._expire, loop)
        answer.add_done_callback(lambda settled: self._settle(loop, waiter, settled))
        return waiter

    def _settle(self, loop: asyncio.AbstractEventLoop, waiter: "asyncio.Future[Any]", settled: "Answer[Any]") -> None:
        """Runs in the thread that gave the answer."""
        self._settled.append((waiter, settled))
        if not self._woken:
            self._woken = True
            with suppress(RuntimeError):  # the loop is closed: nobody waits any more
                loop.call_soon_threadsafe(self._deliver)

    def _deliver(self) -> None:
        self._woken = False  # before looking: what is appended from now on wakes the loop again
        while self._settled:
            waiter, settled = self._settled.popleft()
            if waiter.done():
                continue
            if error := settled.exception():
                waiter.set_exception(error)
            else:
                waiter.set_result(settled.result())

    def _expire(self, loop: asyncio.AbstractEventLoop) -> None:
        self._timer = None
        while self._waiting:
            deadline, waiter = self._waiting[0]
            if not waiter.done() and deadline > loop.time():
                self._timer = loop.call_at(deadline, self._expire, loop)
                return
            self._waiting.popleft()
            if not waiter.done():
                waiter.set_exception(DatabaseUnavailable())
