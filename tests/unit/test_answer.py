"""Answers: given once, read by any thread."""

import logging
import threading
import time

import pytest

from jobplatform.answer import Answer


def test_it_is_there_for_who_asks_later() -> None:
    answer: Answer[int] = Answer()
    assert not answer.done()

    answer.set_result(1)

    assert answer.done()
    assert answer.exception() is None
    assert answer.result() == 1


def test_an_error_in_its_place_is_raised() -> None:
    answer: Answer[int] = Answer()
    error = ValueError("no")

    answer.set_exception(error)

    assert answer.exception() is error
    with pytest.raises(ValueError, match="no"):
        answer.result()


def test_whoever_waits_wakes_when_it_is_given() -> None:
    answer: Answer[int] = Answer()
    got: list[int] = []
    waiting = [threading.Thread(target=lambda: got.append(answer.result(30))) for _ in range(8)]
    for thread in waiting:
        thread.start()

    answer.set_result(7)
    for thread in waiting:
        thread.join()

    assert got == [7] * 8


def test_a_wait_ends_when_its_time_is_up_and_the_next_one_may_see_the_answer() -> None:
    answer: Answer[int] = Answer()
    began = time.monotonic()

    with pytest.raises(TimeoutError):
        answer.result(0.05)
    assert time.monotonic() - began >= 0.05
    with pytest.raises(TimeoutError):
        answer.exception(0)
    answer.set_result(1)

    assert answer.result(0) == 1


def test_all_are_told_in_their_order_and_late_ones_at_once() -> None:
    answer: Answer[int] = Answer()
    told: list[tuple[str, int]] = []
    answer.add_done_callback(lambda given: told.append(("first", given.result())))
    answer.add_done_callback(lambda given: told.append(("second", given.result())))
    assert told == []

    answer.set_result(1)
    answer.add_done_callback(lambda given: told.append(("late", given.result())))

    assert told == [("first", 1), ("second", 1), ("late", 1)]


def test_one_who_fails_when_told_keeps_nobody_from_being_told(caplog: pytest.LogCaptureFixture) -> None:
    answer: Answer[int] = Answer()
    told: list[int] = []

    def fail(_: Answer[int]) -> None:
        raise ZeroDivisionError

    answer.add_done_callback(fail)
    answer.add_done_callback(lambda given: told.append(given.result()))
    with caplog.at_level(logging.ERROR):
        answer.set_result(1)
        answer.add_done_callback(fail)

    assert told == [1]
    assert [record.exc_info[0] for record in caplog.records if record.exc_info] == [ZeroDivisionError] * 2


def test_nobody_who_comes_while_it_is_given_is_forgotten() -> None:
    """Of many that are given by one thread while another one asks."""
    answers = [Answer[int]() for _ in range(20_000)]
    told: list[int] = []

    def ask() -> None:
        for answer in answers:
            answer.add_done_callback(lambda given: told.append(given.result()))

    asking = threading.Thread(target=ask)
    asking.start()
    for number, answer in enumerate(answers):
        answer.set_result(number)
    asking.join()

    assert sorted(told) == list(range(len(answers)))
