"""Starts children in order, starts again what ends by itself, stops all in reverse."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from threading import Event
from typing import Final

from jobplatform.local.children import Child, ChildFailed

_LOOK_EVERY_SECONDS: Final = 0.2
_FIRST_PAUSE_SECONDS: Final = 0.5
_LONGEST_PAUSE_SECONDS: Final = 30.0
#: Who ran for so long is well again: its next pause is the first one.
_WELL_AFTER_SECONDS: Final = 30.0


class Interrupted(Exception):
    """The start was called off."""


@dataclass
class _Care:
    """What the supervisor knows about one child."""

    child: Child
    started_at: float
    ends: int = 0
    #: When it is started again, and when even if something of its group still lives; None while it runs.
    again_at: float | None = None
    again_at_the_latest: float = 0


class Supervisor:
    """A stack of children, the first at the bottom."""

    def __init__(self, say: Callable[[str], None]) -> None:
        self._say = say
        self._stopping = Event()
        self._starting: Child | None = None
        self._cared_for: list[_Care] = []

    @property
    def stopping(self) -> bool:
        return self._stopping.is_set()

    def ask_to_stop(self) -> None:
        """Make ``watch`` return and a start in progress give up; a signal handler may call it, and more than once."""
        self._stopping.set()
        if self._starting is not None:
            self._starting.stop_soon()

    def start(self, child: Child) -> None:
        """Put a child on top.

        Raises:
            ChildFailed: it did not get ready.
            Interrupted: it was asked to stop.
        """
        self._cared_for.append(_Care(child, time.monotonic()))
        self._start(child)

    def watch(self) -> None:
        """Keep all of them running until asked to stop. Call it from the main thread."""
        while not self._stopping.wait(_LOOK_EVERY_SECONDS):
            for care in self._cared_for:
                self._look_after(care)

    def stop(self) -> None:
        """Stop all, the last started first, each one wholly before the next."""
        self._stopping.set()
        if self._cared_for:
            self._say("stopping")
        for care in reversed(self._cared_for):
            care.child.stop()

    def _start(self, child: Child) -> None:
        try:
            self._starting = child
            if not self.stopping:
                child.start()
        except ChildFailed:
            if not self.stopping:
                raise
        finally:
            self._starting = None
        if self.stopping:
            raise Interrupted

    def _look_after(self, care: _Care) -> None:
        child, now = care.child, time.monotonic()
        if child.running:
            return
        if care.again_at is None:
            self._plan(care, now)
        elif (now >= care.again_at and child.gone) or now >= care.again_at_the_latest:
            care.again_at, care.started_at = None, now
            try:
                self._start(child)
            except ChildFailed as error:
                self._say(str(error))
            except Interrupted:
                return

    def _plan(self, care: _Care, now: float) -> None:
        if now - care.started_at > _WELL_AFTER_SECONDS:
            care.ends = 0
        pause = min(_LONGEST_PAUSE_SECONDS, _FIRST_PAUSE_SECONDS * 2**care.ends)
        care.ends += 1
        care.child.stop_soon()
        care.again_at = now + pause
        care.again_at_the_latest = now + max(pause, care.child.grace_seconds)
        self._say(f"{care.child.name} ended by itself ({care.child.ending}): it is started again in {pause:g} s")
