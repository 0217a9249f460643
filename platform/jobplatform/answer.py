"""What an asker gets at once, and the answer in it later.

As `concurrent.futures.Future`, and with its names, at a third of its cost: each job passes three of them, and each read
one. What it leaves out is cancelling, as what has been asked is done all the same.
"""

import logging
import threading
from collections.abc import Callable
from typing import Any, Final, Generic, TypeVar

log: Final = logging.getLogger(__name__)

_T = TypeVar("_T")


class Answer(Generic[_T]):
    """Is given once, by one thread, and read by any."""

    __slots__ = ("_callbacks", "_error", "_given", "_lock", "_result")

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._given = False
        self._result: Any = None
        self._error: BaseException | None = None
        self._callbacks: list[Callable[[Answer[_T]], object]] = []

    def done(self) -> bool:
        """Whether it is there."""
        return self._given

    def result(self, timeout: float | None = None) -> _T:
        """Wait for it, so many seconds at the most.

        Raises:
            TimeoutError: the time is up.
            BaseException: what was given in its place.
        """
        if (error := self.exception(timeout)) is not None:
            raise error
        result: _T = self._result
        return result

    def exception(self, timeout: float | None = None) -> BaseException | None:
        """Wait for it, and give the error that came in its place. Raises `TimeoutError` as `result` does."""
        if not self._given:
            given = threading.Lock()
            given.acquire()
            if self._add(lambda _: given.release()) and not given.acquire(timeout=-1 if timeout is None else timeout):
                raise TimeoutError
        return self._error

    def add_done_callback(self, tell: "Callable[[Answer[_T]], object]") -> None:
        """Call this when it is there: in the thread that gives it, or at once."""
        if not self._add(tell):
            self._call(tell)

    def set_result(self, result: _T) -> None:
        """Give it."""
        self._result = result
        self._give()

    def set_exception(self, error: BaseException) -> None:
        """Give an error in its place."""
        self._error = error
        self._give()

    def _add(self, tell: "Callable[[Answer[_T]], object]") -> bool:
        """Whether it was in time."""
        with self._lock:
            if not self._given:
                self._callbacks.append(tell)
            return not self._given

    def _give(self) -> None:
        with self._lock:
            self._given = True  # from here on nobody adds to the callbacks
        for tell in self._callbacks:
            self._call(tell)
        self._callbacks.clear()

    def _call(self, tell: "Callable[[Answer[_T]], object]") -> None:
        try:
            tell(self)
        except Exception:  # it is no matter of who gives the answer, nor of those who are told next
            log.exception("Who was told of an answer failed.")
