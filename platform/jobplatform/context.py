"""`current_job`: what an actor can say and ask about the job that it is running."""

import time
import uuid
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any, Final, Protocol

import msgspec

from jobplatform.answer import Answer
from jobplatform.attempt import Attempt, held_attempt
from jobplatform.journal import Item, LogLine, Progress
from jobplatform.outputs import Output, file_name, open_output
from jobplatform.settings import settings

#: Progress is written at most so often, in seconds; the latest is kept and never lost.
PROGRESS_INTERVAL: Final = 0.25

#: What a single attempt may log: so many lines, of so many characters.
MOST_LINES: Final = 1_000
LONGEST_LINE: Final = 4_000


class CurrentJob(Protocol):
    """The job that the calling thread is running."""

    @property
    def id(self) -> str:
        """The job's id. Empty outside a job."""

    @property
    def attempt(self) -> int:
        """Which run of the actor this is, counted from 1. 0 outside a job."""

    def progress(self, done: int, total: int) -> None:
        """Say that ``done`` of ``total`` parts are done. Cheap: call it as often as you like."""

    def log(self, text: str) -> None:
        """Keep a line with the job: up to 1,000 an attempt, each up to 4,000 characters. A last one tells of more."""

    def open_output(self, suffix: str) -> AbstractContextManager[Output]:
        """Write a file of the job's: ``with current_job().open_output(".csv") as output: output.write(b"...")``.

        It appears in OUTPUT_DIR, named by the job, when the block ends, and not at all if the block raises.
        Name it in the actor's result (``output.path``): files that no result names are swept away.
        """


def current_job() -> CurrentJob:
    """The job that the calling thread is running. Outside a job: one that records nothing."""
    attempt = held_attempt()
    if attempt is None or attempt.over or _put is None:
        return _NoJob()
    return _RunningJob(attempt, _put)


_put: "Callable[[Item], Answer[Any]] | None" = None


def write_through(put: "Callable[[Item], Answer[Any]]") -> None:
    """Say through which writer running jobs speak."""
    global _put
    _put = put


class _RunningJob:
    def __init__(self, attempt: Attempt, put: "Callable[[Item], Answer[Any]]") -> None:
        self._attempt = attempt
        self._put = put

    @property
    def id(self) -> str:
        return self._attempt.job_id

    @property
    def attempt(self) -> int:
        return self._attempt.number

    def progress(self, done: int, total: int) -> None:
        attempt = self._attempt
        attempt.progress = msgspec.json.encode({"done": int(done), "total": int(total)}).decode()
        attempt.progress_written = False
        if time.monotonic() - attempt.progress_at >= PROGRESS_INTERVAL:
            write_progress(attempt, self._put)

    def log(self, text: str) -> None:
        attempt = self._attempt
        attempt.lines_logged += 1
        if attempt.lines_logged > MOST_LINES + 1:
            return
        if attempt.lines_logged > MOST_LINES:
            text = "(This attempt logs more than is kept.)"
        clean = str(text).replace("\0", "\N{SYMBOL FOR NULL}").encode("utf-8", "replace").decode()
        self._put(LogLine(attempt.job_id, attempt.number, clean[:LONGEST_LINE]))

    def open_output(self, suffix: str) -> AbstractContextManager[Output]:
        name = file_name(self._attempt.job_id, self._attempt.number, suffix)
        return open_output(settings().output_dir, name)


class _NoJob:
    id: Final = ""
    attempt: Final = 0

    def progress(self, done: int, total: int) -> None:
        pass

    def log(self, text: str) -> None:
        pass

    def open_output(self, suffix: str) -> AbstractContextManager[Output]:
        return open_output(settings().output_dir, file_name(str(uuid.uuid4()), 1, suffix))


def write_progress(attempt: Attempt, put: "Callable[[Item], Answer[Any]]") -> None:
    """Write the attempt's latest progress, if the row does not have it yet."""
    if attempt.progress is not None and not attempt.progress_written:
        attempt.progress_at = time.monotonic()
        attempt.progress_written = True
        put(Progress(attempt.job_id, attempt.number, attempt.token, attempt.progress))
