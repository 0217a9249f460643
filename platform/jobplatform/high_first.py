"""A worker's inner queue in which `high` really goes first.

Dramatiq orders what a process has fetched by the actors' priority. That alone lets a default job slip in while further
high ones are still on their way from Redis: at the start, and whenever the fetched ones are used up.
"""

import threading
import time
from queue import PriorityQueue
from typing import Any, Final

#: Dramatiq serves lower numbers first.
HIGH: Final = 0
DEFAULT: Final = 10

#: How long a default job waits at the most for the next fetch of high ones, in seconds.
_PATIENCE: Final = 0.5


class HighFirst(PriorityQueue[Any]):
    """Holds back default work while the `high` queue may still have some."""

    def __init__(self) -> None:
        super().__init__()
        self._more_high = False
        self._high_settled = threading.Condition(self.mutex)

    def expect_high(self) -> None:
        """A consumer of `high` is about to fetch for the first time."""
        self._more_high = True

    def fetched(self, queue: str, *, more: bool) -> None:
        """A consumer has fetched, or given up. ``more``: it got all that it had asked for."""
        if queue == "high":
            with self.mutex:
                self._more_high = more
                self._high_settled.notify_all()

    def _put(self, item: Any) -> None:
        super()._put(item)
        if item.priority <= HIGH:
            self._high_settled.notify_all()

    def get(self, block: bool = True, timeout: float | None = None) -> Any:
        deadline = None if timeout is None else time.monotonic() + timeout
        while True:
            item = super().get(block, timeout)
            if item.priority <= HIGH or not self._more_high:
                return item
            with self.mutex:
                self._put(item)
                self.not_empty.notify()
                settled = self._high_settled.wait_for(self._may_serve_default, _PATIENCE)
                if not settled:
                    self._more_high = False
            timeout = None if deadline is None else max(0.0, deadline - time.monotonic())

    def drain(self) -> list[Any]:
        """Take out all that is there."""
        with self.mutex:
            items, self.queue = self.queue, []
        return items

    def _may_serve_default(self) -> bool:
        return not self._more_high or (self._qsize() > 0 and self.queue[0].priority <= HIGH)
