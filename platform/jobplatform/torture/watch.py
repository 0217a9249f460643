"""Watches from outside which worker processes live, whatever they or the platform say of it."""

import time

from jobplatform.torture.stack import Stack, lives


class Watch:
    """When each worker process was last seen alive. `look` often."""

    def __init__(self, stack: Stack) -> None:
        self._stack = stack
        self._alive: set[int] = set()
        self.last_seen: dict[int, float] = {}

    def look(self) -> None:
        """Note who lives now: the groups' processes, and those that lost their master."""
        for group in self._stack.of("worker"):
            self._alive.update(group.children())
        now = time.time()
        for pid in list(self._alive):
            if lives(pid):
                self.last_seen[pid] = now
            else:
                self._alive.discard(pid)
