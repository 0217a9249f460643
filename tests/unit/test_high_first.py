"""A worker's inner queue: no default job while the high queue may have one."""

import threading
from collections.abc import Callable
from dataclasses import dataclass
from queue import Empty
from typing import Any

import pytest

from jobplatform import high_first
from jobplatform.high_first import DEFAULT, HIGH, HighFirst
from tests.services.patience import eventually


@dataclass(order=True)
class Item:
    """What Dramatiq puts into it, as far as the order goes."""

    priority: int
    number: int


class Taker:
    """A thread that takes one item, and what it got."""

    def __init__(self, queue: HighFirst) -> None:
        self.got: list[Item] = []
        self._thread = threading.Thread(target=lambda: self.got.append(queue.get(timeout=60)), daemon=True)
        self._thread.start()

    def item(self) -> Item:
        self._thread.join(10)
        assert self.got, "it still waits"
        return self.got[0]


@pytest.fixture(autouse=True)
def _endless_patience(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(high_first, "_PATIENCE", 60)


def waiting(queue: HighFirst) -> Callable[[], bool]:
    """Whether a thread waits for the high queue's word."""
    return lambda: bool(queue._high_settled._waiters)  # type: ignore[attr-defined]


def test_high_comes_out_before_default_and_each_in_its_order() -> None:
    queue = HighFirst()
    items = [Item(DEFAULT, 1), Item(HIGH, 2), Item(DEFAULT, 3), Item(HIGH, 4)]
    for item in items:
        queue.put(item)

    assert [queue.get().number for _ in items] == [2, 4, 1, 3]


def test_default_waits_for_the_first_fetch_of_high() -> None:
    queue = HighFirst()
    queue.expect_high()
    queue.put(Item(DEFAULT, 1))
    taker = Taker(queue)
    eventually(waiting(queue))

    queue.fetched("high", more=False)

    assert taker.item() == Item(DEFAULT, 1)


def test_a_high_job_that_comes_after_its_fetch_was_told_wakes_who_waits_for_it() -> None:
    """The consumer tells of its fetch first, and hands over what it fetched one by one."""
    queue = HighFirst()
    queue.expect_high()
    queue.put(Item(DEFAULT, 1))
    taker = Taker(queue)
    eventually(waiting(queue))

    queue.fetched("high", more=True)
    eventually(waiting(queue), what="the taker, who has looked and found none, to wait on")
    queue.put(Item(HIGH, 2))

    assert taker.item() == Item(HIGH, 2)


def test_while_a_fetch_of_high_got_all_it_asked_for_default_waits_for_the_next_one() -> None:
    queue = HighFirst()
    queue.fetched("high", more=True)
    for item in (Item(HIGH, 1), Item(DEFAULT, 2)):
        queue.put(item)

    assert queue.get() == Item(HIGH, 1)
    taker = Taker(queue)
    eventually(waiting(queue))
    queue.fetched("high", more=False)

    assert taker.item() == Item(DEFAULT, 2)


def test_what_the_default_queue_fetches_says_nothing_of_high() -> None:
    queue = HighFirst()
    queue.expect_high()
    queue.put(Item(DEFAULT, 1))
    taker = Taker(queue)
    eventually(waiting(queue))

    queue.fetched("default", more=False)
    assert taker.got == []
    queue.fetched("high", more=False)
    assert taker.item() == Item(DEFAULT, 1)


def test_a_fetch_that_never_comes_holds_default_back_for_a_moment_only(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(high_first, "_PATIENCE", 0.05)
    queue = HighFirst()
    queue.expect_high()
    queue.put(Item(DEFAULT, 1))

    assert queue.get(timeout=10) == Item(DEFAULT, 1)


def test_many_takers_get_each_item_once() -> None:
    queue = HighFirst()
    queue.expect_high()
    takers = [Taker(queue) for _ in range(8)]
    items = [Item(DEFAULT if n % 2 else HIGH, n) for n in range(8)]
    for item in items:
        queue.put(item)
    queue.fetched("high", more=False)

    assert sorted(taker.item().number for taker in takers) == list(range(8))
    assert queue.empty()


def test_an_empty_queue_is_empty_after_the_time_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(high_first, "_PATIENCE", 0.01)
    queue: Any = HighFirst()
    queue.expect_high()

    with pytest.raises(Empty):
        queue.get(timeout=0.01)
    with pytest.raises(Empty):
        queue.get(block=False)
