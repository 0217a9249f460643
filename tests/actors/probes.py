"""Actors that fail, wait, return, log and send as a test tells them to, in real workers."""

import logging
import os
import signal
import threading
import time
from typing import Any

from dramatiq import Retry

from jobplatform import Cancelled, actor, current_job


class Trouble(Exception):
    """What these actors raise."""


class GiveUp(Exception):
    """What they raise for good."""


@actor("ECHO")
def echo(value: Any = None) -> Any:
    return value


@actor("NAP")
def nap(seconds: float = 0.02) -> None:
    _sleep(seconds)


@actor("FLAKY")
def flaky(failures: int = 2) -> int:
    if current_job().attempt <= failures:
        raise Trouble(f"attempt {current_job().attempt}")
    return current_job().attempt


@actor("HOPELESS")
def hopeless() -> None:
    raise Trouble("always")


@actor("THROWING", throws=GiveUp)
def throwing() -> None:
    raise GiveUp("for good")


@actor("RETRIED_ONCE", max_retries=1, min_backoff=200, max_backoff=10_000)
def retried_once() -> None:
    raise Trouble


@actor("PICKY", retry_when=lambda retries, error: retries < 1 and isinstance(error, Trouble))
def picky(final: bool = False) -> None:
    raise GiveUp if final else Trouble


@actor("ASKING")
def asking(delay: int) -> None:
    if current_job().attempt == 1:
        raise Retry("later", delay=delay)


@actor("SLOW", time_limit=300, max_retries=0)
def slow(seconds: float = 30) -> None:
    _sleep(seconds)


@actor("AGED", max_age=60_000)
def aged() -> None: ...


@actor("WITH_SUCCESS", on_success="AFTERWARDS")
def with_success(value: Any = None) -> Any:
    return value


@actor("WITH_FAILURE", max_retries=1, on_failure="AFTERWARDS", on_retry_exhausted="AFTERWARDS")
def with_failure() -> None:
    raise Trouble("told on")


@actor("AFTERWARDS")
def afterwards(message: dict[str, Any], outcome: Any) -> Any:
    return {"of": message["message_id"], "outcome": outcome}


@actor("LONG", notify_shutdown=True)
def long(seconds: float = 30) -> int:
    if current_job().attempt == 1:
        _sleep(seconds)
    return current_job().attempt


@actor("STUBBORN")
def stubborn(seconds: float) -> str:
    _sleep(seconds)
    return "done"


@actor("CANCELLABLE")
def cancellable(swallows: bool = False) -> str:
    try:
        _sleep(30)
    except Cancelled:
        if not swallows:
            raise
    return "cleaned up"


@actor("TALKING")
def talking(lines: list[str]) -> None:
    for done, line in enumerate(lines, 1):
        current_job().log(line)
        current_job().progress(done, len(lines))


@actor("LOGGING")
def logging_(lines: int) -> None:
    """Say so much to the worker's own log, not to the job's."""
    for line in range(1, lines + 1):
        logging.getLogger(__name__).info("line %d of %d %s", line, lines, "." * 60)


@actor("WRITING")
def writing(failures: int = 0) -> dict[str, Any]:
    with current_job().open_output(".txt") as output:
        output.write(f"attempt {current_job().attempt}".encode())
    if current_job().attempt <= failures:
        raise Trouble
    return {"filePath": output.path}


@actor("KILL_WRITER")
def kill_writer() -> None:
    """End the process' writer thread, as only a fault of the platform's own could. On the first attempt."""
    if current_job().attempt > 1:
        return
    from jobplatform.broker import broker

    thread = broker.recorder.writer._thread
    if thread is not None:
        broker.recorder.writer._closed.clear()
        _raise_in(thread)


@actor("KILL_THREAD")
def kill_thread() -> None:
    """End a worker thread while it is idle, as TimeLimit can when it strikes outside an actor (dramatiq#445)."""
    if current_job().attempt > 1:
        return
    current = threading.current_thread()
    others = [t for t in threading.enumerate() if type(t).__name__ == "WorkerThread" and t is not current]
    _raise_in(others[0])


@actor("DIE")
def die() -> None:
    """Take the whole process along, on the first attempt."""
    if current_job().attempt == 1:
        os.kill(os.getpid(), signal.SIGKILL)


@actor("TROUBLED", max_retries=5, min_backoff=200, max_backoff=400)
def troubled() -> str:
    """Fail twice, run until the worker is killed, and then succeed."""
    job = current_job()
    job.log(f"attempt {job.attempt} begins")
    job.progress(job.attempt, 4)
    if job.attempt <= 2:
        raise Trouble(f"attempt {job.attempt}")
    if job.attempt == 3:
        _sleep(60)
    return "at last"


@actor("GREET")
def greet(name: str, times: int = 1) -> str:
    """Greet somebody who has a name."""
    if name == "nobody":
        raise Trouble("there is nobody to greet")
    return ", ".join([f"Hello {name}"] * times)


def _raise_in(thread: threading.Thread) -> None:
    from dramatiq.threading import raise_thread_exception

    assert thread.ident is not None
    raise_thread_exception(thread.ident, SystemExit)


def _sleep(seconds: float) -> None:
    """Sleep such that an exception from outside is heard."""
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        time.sleep(0.01)
