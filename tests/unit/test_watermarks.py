"""When a hint counts as lost (P24): by the largest mark that a grace has passed since."""

from datetime import UTC, datetime, timedelta

import pytest

from jobplatform.keeper import Watermarks

_EPOCH = datetime(2026, 1, 1, tzinfo=UTC)


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def at(seconds: float) -> datetime:
    return _EPOCH + timedelta(seconds=seconds)


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def marks(clock: Clock) -> Watermarks:
    return Watermarks(10, clock)


def test_without_a_look_nothing_is_lost(marks: Watermarks, clock: Clock) -> None:
    clock.now = 1_000

    assert marks.settled() is None


def test_a_mark_counts_when_a_grace_has_passed_and_not_before(marks: Watermarks, clock: Clock) -> None:
    marks.note(at(5))

    clock.now = 9.9
    assert marks.settled() is None
    clock.now = 10
    assert marks.settled() == at(5)


def test_the_largest_settled_mark_counts_also_where_later_ones_are_smaller(marks: Watermarks, clock: Clock) -> None:
    """Hints of different senders come in an order of their own: a look may find an older head than the one before."""
    for second, mark in enumerate((3, 8, 6)):
        clock.now = second
        marks.note(at(mark))

    clock.now = 10
    assert marks.settled() == at(3)
    clock.now = 11
    assert marks.settled() == at(8)
    clock.now = 30
    assert marks.settled() == at(8)


def test_old_marks_are_not_kept(marks: Watermarks, clock: Clock) -> None:
    for second in range(1_000):
        clock.now = second
        marks.note(at(second))
        marks.settled()

    assert len(marks._seen) == 10


def test_a_time_without_looks_leaves_the_last_mark(marks: Watermarks, clock: Clock) -> None:
    """Redis was away: nothing new is known, and what is known stays true."""
    marks.note(at(1))
    clock.now = 500

    assert marks.settled() == at(1)
    assert marks.settled() == at(1)
