"""Hands: what a process holds, and what runs under its id in name only (P6)."""

import threading

import pytest

from jobplatform.attempt import Attempt
from jobplatform.hands import Hands


def attempt(token: str, on_crash: str = "retry") -> Attempt:
    return Attempt(
        job_id="job", type="PROBE", queue="default", number=1, token=token, worker=1, retries=0, on_crash=on_crash
    )


def test_p6_a_row_in_no_hand_at_two_looks_in_a_row_is_dropped() -> None:
    hands = Hands()

    assert hands.dropped(["a", "b"]) == set()
    assert hands.dropped(["b", "c"]) == {"b"}
    assert hands.dropped(["c"]) == {"c"}


def test_p6_two_looks_in_a_row_and_not_just_two() -> None:
    hands = Hands()

    assert [hands.dropped(running) for running in (["a"], [], ["a"])] == [set(), set(), set()]


def test_p6_a_claim_under_way_is_held() -> None:
    """Its row may run before its answer is here."""
    hands = Hands()
    hands.expect("a")

    assert [hands.dropped(["a"]) for _ in range(3)] == [set()] * 3
    assert hands.attempts() == {}, "there is nothing to interrupt yet"


def test_p6_a_claim_that_comes_under_way_between_two_looks_is_held() -> None:
    hands = Hands()
    hands.dropped(["a"])
    hands.expect("a")

    assert hands.dropped(["a"]) == set()


def test_p6_an_attempt_is_held_until_its_outcome_is_written() -> None:
    hands = Hands()
    hands.expect("a")
    hands.take(held := attempt("a"))

    assert hands.attempts() == {"a": held}
    assert [hands.dropped(["a"]) for _ in range(2)] == [set(), set()]

    hands.let_go("a")
    assert hands.attempts() == {}
    assert [hands.dropped(["a"]) for _ in range(2)] == [set(), {"a"}]


@pytest.mark.parametrize(
    ("begun", "on_crash", "again"), [(True, "fail", False), (False, "fail", True), (True, "retry", True)]
)
def test_p21_a_lost_attempt_may_run_again_unless_it_began_and_must_not_run_twice(
    begun: bool, on_crash: str, again: bool
) -> None:
    hands = Hands()
    hands.take(held := attempt("a", on_crash=on_crash))
    if begun:
        held.begin()
        held.end()

    hands.lose(held)

    assert hands.attempts() == {}
    assert [hands.dropped(["a"]) for _ in range(2)] == [set(), {"a"}]
    assert [hands.may_run_again(token) for token in ("a", "a", "b")] == [again, again, True]


def test_letting_go_twice_or_of_nothing_is_fine() -> None:
    hands = Hands()
    hands.expect("a")

    for token in ("a", "a", "b"):
        hands.let_go(token)

    assert hands.attempts() == {}


def test_what_was_handed_out_does_not_change_with_what_is_held() -> None:
    hands = Hands()
    hands.take(attempt("a"))
    seen = hands.attempts()
    hands.let_go("a")

    assert list(seen) == ["a"]


def test_p6_nothing_is_dropped_that_a_thread_holds_however_many_take_and_let_go() -> None:
    hands, over = Hands(), threading.Event()
    let_go: set[str] = set()
    faults: list[str] = []

    def work(number: int) -> None:
        for round_ in range(500):
            hands.expect(token := f"{number}-{round_}")
            hands.take(attempt(token))
            faults.extend({token} - hands.attempts().keys())
            let_go.add(token)
            hands.let_go(token)

    def look() -> None:
        while not over.is_set():
            running = hands.attempts()
            faults.extend((hands.dropped(running) | hands.dropped(running)) - let_go)

    threads = [threading.Thread(target=work, args=[number]) for number in range(6)]
    looker = threading.Thread(target=look)
    for thread in (*threads, looker):
        thread.start()
    for thread in threads:
        thread.join()
    over.set()
    looker.join()

    assert (hands.attempts(), faults) == ({}, [])
