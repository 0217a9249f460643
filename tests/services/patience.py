"""Waiting for a condition, with a deadline: never for a time."""

import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")


def eventually(condition: Callable[[], T], seconds: float = 20, what: str = "") -> T:
    """The first true value that the condition gives.

    Raises:
        AssertionError: it gave none in that time; says what it gave last.
    """
    deadline = time.monotonic() + seconds
    while True:
        if value := condition():
            return value
        if time.monotonic() > deadline:
            raise AssertionError(f"{what or condition} did not come true within {seconds:g} s: {value!r}")
        time.sleep(0.02)
