"""How much a writer puts into one transaction."""

import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from types import SimpleNamespace
from typing import Any

import pytest

from jobplatform import journal
from jobplatform.journal import Item, Open
from jobplatform.writer import WORTH_WAITING, Writer
from tests.services.journal import new_job
from tests.services.patience import eventually


@contextmanager
def closing_writer() -> Iterator[Writer]:
    writer = Writer(list)
    yield writer
    assert writer.close(10)


def test_a_busy_writer_waits_for_as_many_as_it_wrote_last(
    journal_url: str,  # noqa: ARG001
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """While it looks for them they come one by one. The last batch waits in vain, and not for long."""
    sizes: list[int] = []
    commit = journal.commit
    may_go_on = threading.Event()
    late = iter([new_job() for _ in range(WORTH_WAITING)])

    def committed(items: Sequence[Item]) -> Any:
        sizes.append(len(items))
        assert may_go_on.wait(15)
        return commit(items)

    def look(_: float) -> None:
        if (job := next(late, None)) is not None:
            busy.put(Open([job]))

    monkeypatch.setattr("jobplatform.writer.journal.commit", committed)
    monkeypatch.setattr("jobplatform.writer.time", SimpleNamespace(sleep=look, monotonic=time.monotonic))
    with closing_writer() as busy:
        first = busy.put(Open([new_job()]))
        eventually(lambda: sizes == [1])
        together = [busy.put(Open([new_job()])) for _ in range(WORTH_WAITING)]
        may_go_on.set()
        first.result(15)
        for future in together:
            future.result(15)
        eventually(lambda: len(sizes) == 3)
        busy.put(Open([new_job()])).result(15)

    assert sizes == [1, WORTH_WAITING, WORTH_WAITING, 1]
