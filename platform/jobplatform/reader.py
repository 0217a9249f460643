"""Gathered reads: one thread and one connection per process, through which coroutines read single jobs.

What gathers during one query goes into the next, as with the writer.
"""

import os
import queue
import threading
from collections import defaultdict
from collections.abc import Callable, Collection, Sequence
from typing import Any, Final, NamedTuple
from uuid import UUID

from jobplatform import queries
from jobplatform.answer import Answer
from jobplatform.connection import ask, open_connection
from jobplatform.queries import EventRow, JobRow

#: A query asks for so many jobs at the most.
_MOST: Final = 500

_Question = Callable[[Sequence[str]], dict[str, Any]]


class _Asked(NamedTuple):
    question: _Question
    id: str
    answer: Answer[Any]


class Reader:
    """Gives answers, which raise `DatabaseUnavailable` where Postgres does not answer.

    What else goes wrong is a mistake of this platform, and raised as it is.
    """

    _thread: threading.Thread | None

    def __init__(self) -> None:
        self._start_over()
        os.register_at_fork(after_in_child=self._start_over)

    def job(self, job_id: UUID | str) -> "Answer[JobRow | None]":
        """The job with this id; None where there is none."""
        return self._ask(queries.jobs, str(job_id))

    def events(self, job_id: UUID | str) -> "Answer[list[EventRow] | None]":
        """The job's transitions in their order; None where there is no such job."""
        return self._ask(queries.events, str(job_id))

    def statuses(self, ids: Collection[str]) -> "Answer[dict[str, str]]":
        """The status of each of these jobs, those that exist."""
        return self._ask(lambda _: {"": queries.statuses(ids)}, "")

    def ping(self) -> "Answer[None]":
        """Answers when Postgres answers and has the schema."""
        return self._ask(_ping, "")

    def _ask(self, question: _Question, id: str) -> "Answer[Any]":  # noqa: A002
        answer: Answer[Any] = Answer()
        self._queue.put(_Asked(question, id, answer))
        if self._thread is None or not self._thread.is_alive():
            self._start()
        return answer

    def _start(self) -> None:
        with self._starting:
            if self._thread is None or not self._thread.is_alive():
                thread = threading.Thread(target=self._run, name="reader", daemon=True)
                thread.start()
                self._thread = thread

    def _start_over(self) -> None:
        self._queue: queue.SimpleQueue[_Asked] = queue.SimpleQueue()
        self._starting = threading.Lock()
        self._thread = None

    def _run(self) -> None:
        while True:
            batch = [self._queue.get()]
            while len(batch) < _MOST and not self._queue.empty():
                batch.append(self._queue.get())
            by_question: dict[_Question, list[_Asked]] = defaultdict(list)
            for asked in batch:
                by_question[asked.question].append(asked)
            for question, askers in by_question.items():
                _answer(question, askers)


def _answer(question: _Question, askers: Sequence[_Asked]) -> None:
    ids = [asked.id for asked in askers]

    def once() -> dict[str, Any]:
        open_connection()
        return question(ids)

    try:
        found = ask(once)
    except Exception as error:
        for asked in askers:
            asked.answer.set_exception(error)
        return
    for asked in askers:
        asked.answer.set_result(found.get(asked.id))


def _ping(ids: Sequence[str]) -> dict[str, Any]:
    queries.schema_version()
    return dict.fromkeys(ids)
