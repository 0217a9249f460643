"""One attempt, as the worker thread that runs it holds it: from the claim to the outcome."""

import threading
from dataclasses import dataclass, field
from typing import Any, Final

from dramatiq.middleware import Interrupt
from dramatiq.threading import raise_thread_exception

from jobplatform.journal import NewJob


class Cancelled(Interrupt):
    """Somebody called this job off while it ran. An actor may catch it to clean up, and should let it go on."""


@dataclass(eq=False, slots=True)
class Attempt:
    """What is known of a claimed attempt until its outcome is written."""

    job_id: str
    type: str
    queue: str
    number: int
    token: str
    worker: int
    #: Errors that led to it.
    retries: int
    #: Set while the actor's function runs, and only then (P16).
    thread: int | None = None
    #: What the function returned.
    result: Any = None
    #: Whether the actor's part is over: what is sent from here on belongs to the outcome (P13).
    over: bool = False
    cancelled: bool = False
    #: The pause until the next attempt in milliseconds, once something asked for one (P11).
    retry_delay: int | None = None
    follow_ups: list[NewJob] = field(default_factory=list)
    #: The latest progress as JSON text, and whether the row has it.
    progress: str | None = None
    progress_written: bool = True
    progress_at: float = float("-inf")
    lines_logged: int = 0
    lock: threading.Lock = field(default_factory=threading.Lock)

    def begin(self) -> bool:
        """The calling thread enters the actor's function. False where it is there already, or has left it."""
        with self.lock:
            if self.thread is not None or self.over:
                return False
            self.thread = threading.get_ident()
            return True

    def end(self) -> None:
        """It has left the function: from here on no cancel strikes it. Safe to repeat."""
        with self.lock:
            self.thread = None
            self.over = True

    def cancel(self) -> bool:
        """Raise `Cancelled` in the thread that runs the function. False where none does, or it was told already."""
        with self.lock:
            if self.thread is None or self.cancelled:
                return False
            self.cancelled = True
            raise_thread_exception(self.thread, Cancelled)
            return True


class _Held(threading.local):
    attempt: Attempt | None = None


_held: Final = _Held()


def held_attempt() -> Attempt | None:
    """The attempt that the calling thread holds."""
    return _held.attempt


def hold(attempt: Attempt | None) -> None:
    """Say which attempt the calling thread holds from here on."""
    _held.attempt = attempt
