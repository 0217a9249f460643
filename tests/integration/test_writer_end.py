"""What a writer does at its end: nothing that was put into it is left."""

import queue
import threading
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest

from jobplatform import journal
from jobplatform.answer import Answer
from jobplatform.journal import NewJob, Open
from jobplatform.writer import Writer
from tests.services.journal import new_job, read


def test_a_writer_that_is_closed_first_writes_what_waits(journal_url: str) -> None:
    writer = Writer(list)
    futures = [writer.put(Open([new_job()])) for _ in range(50)]

    assert writer.close(10)

    assert all(future.done() for future in futures)
    assert read(journal_url, "SELECT count(*) FROM jobs") == [(50,)]
    assert not writer.died


class _Late(queue.SimpleQueue[Any]):
    """A queue that something arrives in just after it was seen to be empty for the last time."""

    def __init__(self, arrive: Callable[[], None]) -> None:
        super().__init__()
        self._arrive: Callable[[], None] | None = arrive
        self.closed = threading.Event()

    def empty(self) -> bool:
        was_empty = super().empty()
        if was_empty and self.closed.is_set() and self._arrive is not None:
            arrive, self._arrive = self._arrive, None
            arrive()
        return was_empty


def test_an_item_that_comes_just_as_the_writer_ends_is_written(journal_url: str) -> None:
    writer = Writer(list)
    late: list[Answer[Any]] = []

    def arrive() -> None:
        asker = threading.Thread(target=lambda: late.append(writer.put(Open([new_job()]))))
        asker.start()
        asker.join(10)

    writer._queue = waiting = _Late(arrive)
    writer._closed = waiting.closed
    writer.put(Open([new_job()])).result(10)

    assert writer.close(10)

    assert len(late[0].result(10)) == 1
    assert read(journal_url, "SELECT count(*) FROM jobs") == [(2,)]


def test_what_is_put_again_by_those_who_hear_of_the_writers_death_is_written_before_it_is_closed(
    journal_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    commit, dead = journal.commit, threading.Event()

    def die_once(items: Any) -> Any:
        if not dead.is_set():
            dead.set()
            raise SystemExit
        return commit(items)

    monkeypatch.setattr(journal, "commit", die_once)
    writer = Writer(list)
    again: list[Answer[Any]] = []

    def put_again(told: "Answer[Any]", job: NewJob) -> None:
        if told.exception() is not None:
            again.append(writer.put(Open([job])))

    for job in [new_job() for _ in range(20)]:
        writer.put(Open([job])).add_done_callback(partial(put_again, job=job))

    assert dead.wait(10)
    assert writer.close(10)

    assert writer.died
    assert again
    assert all(future.result(0) for future in again)
    assert read(journal_url, "SELECT count(*) FROM jobs") == [(20,)]
