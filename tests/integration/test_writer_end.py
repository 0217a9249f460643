"""What a writer does at its end: nothing that was put into it is left."""

import queue
import threading
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any

from jobplatform.journal import Open
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
    late: list[Future[Any]] = []

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
