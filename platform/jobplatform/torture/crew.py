"""Keeps the children of a run running, as a supervisor does, but lets the injector keep one down for a while."""

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from signal import SIGKILL
from typing import Final

from jobplatform.local.children import Child, ChildFailed

#: From an end to the next start: short, so that a run of a few minutes has room for many ends.
PAUSE_SECONDS: Final = 0.5


@dataclass
class _Care:
    child: Child
    #: When it is started again, and when even if something of its group still lives; None while it runs.
    again_at: float | None = None
    again_at_the_latest: float = 0.0
    down_until: float = 0.0
    starts: int = 1
    #: Done after its end, before its next start.
    between: Callable[[], None] | None = None


class Crew:
    """All children of a run. `tick` belongs to the main thread: on Linux a child ends with the thread it came from."""

    def __init__(self, say: Callable[[str], None]) -> None:
        self._say = say
        self._cared_for: dict[str, _Care] = {}
        self._lock = threading.Lock()

    def start(self, child: Child) -> None:
        """Start a child, and care for it."""
        child.start()
        self._cared_for[child.name] = _Care(child)

    def keep_down(self, child: Child, seconds: float, between: Callable[[], None] | None = None) -> None:
        """When it ends next, let it be for so long, and do something meanwhile. Call it before ending the child."""
        with self._lock:
            care = self._cared_for[child.name]
            care.down_until = time.monotonic() + seconds
            care.between = between

    def settled(self) -> bool:
        """Whether all run."""
        return all(care.child.running and care.again_at is None for care in self._cared_for.values())

    def starts(self) -> dict[str, int]:
        """How often each was started."""
        return {name: care.starts for name, care in self._cared_for.items()}

    def tick(self) -> None:
        """Start again what ended."""
        for care in self._cared_for.values():
            self._look_after(care)

    def stop(self) -> None:
        """Stop all, the last started first."""
        for care in reversed(self._cared_for.values()):
            care.child.stop()

    def _look_after(self, care: _Care) -> None:
        child, now = care.child, time.monotonic()
        if child.running:
            return
        with self._lock:
            down_until, between = care.down_until, care.between
        if care.again_at is None:
            child.stop_soon()  # what it left behind
            care.again_at = max(now + PAUSE_SECONDS, down_until)
            care.again_at_the_latest = max(care.again_at, now + child.grace_seconds)
        elif (now >= care.again_at and child.gone) or now >= care.again_at_the_latest:
            care.again_at = None
            care.between = None
            child.signal(SIGKILL)
            if between is not None:
                between()
            care.starts += 1
            try:
                child.start()
            except ChildFailed as error:
                self._say(f"{child.name}: {error}")
