"""One attempt, as the worker thread that runs it holds it: from the claim to the outcome."""

import threading
from dataclasses import dataclass, field
from typing import Any, Final, TypeAlias

from dramatiq.middleware import Interrupt, Shutdown
from dramatiq.threading import raise_thread_exception

from jobplatform.journal import NewJob


class Cancelled(Interrupt):
    """Somebody called this job off while it ran. An actor may catch it to clean up, and should let it go on."""


#: What may be raised in a running attempt from outside.
Strike: TypeAlias = type[Cancelled] | type[Shutdown]


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
    #: What is wanted when its worker dies or stops: ``retry`` or ``fail``, as it was when the job was accepted.
    on_crash: str
    #: Set while the actor's function runs, and only then (P16).
    thread: int | None = None
    #: Whether it ever did.
    begun: bool = False
    #: What the function returned.
    result: Any = None
    #: Whether the actor's part is over: what is sent from here on belongs to the outcome (P13).
    over: bool = False
    #: What was raised in it from outside.
    struck_by: Strike | None = None
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
            self.begun = True
            return True

    def end(self) -> None:
        """It has left the function: from here on no cancel strikes it. Safe to repeat."""
        with self.lock:
            self.thread = None
            self.over = True

    def strike(self, interrupt: Strike) -> bool:
        """Raise an interrupt in the thread that runs the function.

        False where none does, or where it was struck before: a job that cleans up is left to it.
        """
        with self.lock:
            if self.thread is None or self.struck_by is not None:
                return False
            self.struck_by = interrupt
            raise_thread_exception(self.thread, interrupt)
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
