"""The queue between a worker's threads and its log."""

import io
import logging
import os
import signal
import threading
from collections.abc import Iterator
from types import SimpleNamespace

import pytest

from jobplatform.log_queue import LogQueue
from tests.services.patience import eventually

log = logging.getLogger("tests.log_queue")


class Pipe(io.StringIO):
    """A stream whose writers stand still until it is read."""

    def __init__(self) -> None:
        super().__init__()
        self.read_by_somebody = threading.Event()
        self.writing = threading.Event()

    def write(self, text: str) -> int:
        self.writing.set()
        assert self.read_by_somebody.wait(5)
        return super().write(text)

    @property
    def lines(self) -> list[str]:
        return self.getvalue().splitlines()


@pytest.fixture
def pipe(monkeypatch: pytest.MonkeyPatch) -> Iterator[Pipe]:
    """The process's stderr, with a handler of the root logger on it, as Dramatiq sets them up."""
    pipe = Pipe()
    handler = logging.StreamHandler(pipe)
    handler.setFormatter(logging.Formatter("%(levelname)s %(threadName)s %(message)s"))
    root = logging.getLogger()
    monkeypatch.setattr("jobplatform.log_queue.sys", SimpleNamespace(stderr=pipe))
    monkeypatch.setattr(root, "handlers", [handler])
    monkeypatch.setattr(root, "level", logging.INFO)
    yield pipe
    pipe.read_by_somebody.set()


def test_whoever_logs_does_not_wait_for_the_reader(pipe: Pipe) -> None:
    lines = LogQueue()
    lines.start()

    log.info("first")
    assert pipe.writing.wait(10)
    log.info("second")
    assert pipe.lines == []

    pipe.read_by_somebody.set()
    lines.stop()
    assert pipe.lines == ["INFO MainThread first", "INFO MainThread second"]


def test_a_traceback_is_written_whole(pipe: Pipe) -> None:
    pipe.read_by_somebody.set()
    lines = LogQueue()
    lines.start()

    try:
        raise ValueError("this one")
    except ValueError:
        log.exception("It failed.")

    lines.stop()
    assert pipe.lines[:2] == ["ERROR MainThread It failed.", "Traceback (most recent call last):"]
    assert pipe.lines[-1] == "ValueError: this one"


def test_lines_beyond_the_queue_are_left_out_and_counted_where_they_are_missing(pipe: Pipe) -> None:
    lines = LogQueue(lines=3)
    lines.start()
    log.info("taken out, and being written")
    assert pipe.writing.wait(10)

    for number in range(1, 8):
        log.info("line %d", number)
    pipe.read_by_somebody.set()
    eventually(lambda: len(pipe.lines) == 4, 5)
    log.info("line 8")
    lines.stop()

    assert [line.split(" ", 2)[2] for line in pipe.lines[1:]] == [
        *("line 1", "line 2", "line 3"),
        "4 lines are missing here: this log was not read fast enough.",
        "line 8",
    ]


def test_a_stop_does_not_wait_for_ever_and_says_later_lines_to_nobody(pipe: Pipe) -> None:
    lines = LogQueue()
    lines.start()
    log.info("nobody reads this")
    assert pipe.writing.wait(10)

    lines.stop(seconds=0.05)

    log.info("this would block, written as before")
    assert pipe.lines == []


def test_after_a_stop_logging_is_as_before(pipe: Pipe) -> None:
    before = list(logging.getLogger().handlers)
    lines = LogQueue()
    lines.start()
    assert logging.getLogger().handlers != before

    pipe.read_by_somebody.set()
    lines.stop()

    assert logging.getLogger().handlers == before


def test_a_process_that_an_actor_forks_logs_by_itself(pipe: Pipe) -> None:
    lines = LogQueue()
    lines.start()
    reading, writing = os.pipe()

    if (child := os.fork()) == 0:  # in the child nobody takes anything out of the queue
        pipe.read_by_somebody.set()
        log.info("from the child")
        os.write(writing, pipe.getvalue().encode())
        os._exit(0)

    os.waitpid(child, 0)
    assert os.read(reading, 1000) == b"INFO MainThread from the child\n"
    os.close(reading)
    os.close(writing)
    pipe.read_by_somebody.set()
    lines.stop()


def test_handlers_on_other_streams_are_left_alone(pipe: Pipe) -> None:
    elsewhere = logging.StreamHandler(io.StringIO())
    logging.getLogger().addHandler(elsewhere)
    lines = LogQueue()
    lines.start()

    assert elsewhere in logging.getLogger().handlers

    pipe.read_by_somebody.set()
    lines.stop()


def test_a_slow_reader_gets_lines_and_not_only_word_of_missing_ones(pipe: Pipe) -> None:
    """Each place that it frees is for a line, with what is missing before it."""
    lines = LogQueue(lines=2)
    lines.start()
    log.info("taken out, and being written")
    assert pipe.writing.wait(10)
    for _ in range(20):
        for number in range(5):
            log.info("line %d", number)
        records = lines._records
        before = records.qsize()
        records.get()  # as the reader does, slower than others write
        assert before >= 2

    pipe.read_by_somebody.set()
    lines.stop()
    assert sum("missing" in line for line in pipe.lines) <= len(pipe.lines) / 2


def test_a_signal_handler_may_log_while_its_own_thread_is_logging(pipe: Pipe) -> None:
    """As Dramatiq's does. With a queue whose lock is plain this thread would wait for itself."""
    pipe.read_by_somebody.set()
    lines = LogQueue()
    lines.start()
    before = signal.signal(signal.SIGALRM, lambda *_: log.info("from the handler"))
    signal.setitimer(signal.ITIMER_REAL, 0.0005, 0.0005)
    try:
        for number in range(3_000):
            log.info("line %d", number)
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)

    lines.stop(10)
    assert sum("from the handler" in line for line in pipe.lines) > 5
    assert sum(" line " in line for line in pipe.lines) == 3_000


def test_what_is_missing_at_the_end_is_said_at_the_end(pipe: Pipe) -> None:
    lines = LogQueue(lines=1)
    lines.start()
    log.info("taken out, and being written")
    assert pipe.writing.wait(10)
    log.info("waits")
    log.info("is left out")

    pipe.read_by_somebody.set()
    lines.stop()

    assert "1 lines are missing here" in pipe.lines[-1]
