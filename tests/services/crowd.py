"""Threads that act on one database at the same time, each with a connection and a chance of its own."""

import random
import threading
from collections.abc import Callable

from tests.services.journal import connected


class Crowd:
    """Threads, each with a connection of its own, that do the same thing at once. None may fail."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._failures: list[BaseException] = []
        self._threads: list[threading.Thread] = []

    def add(self, number: int, act: Callable[[random.Random], object], until: Callable[[int], bool]) -> None:
        """So many threads, each of which acts until told: ``until`` gets the number of its acts so far."""
        for seed in range(number):
            self._threads.append(threading.Thread(target=self._act, args=[seed, act, until]))
            self._threads[-1].start()

    def join(self) -> None:
        for thread in self._threads:
            thread.join()
        assert self._failures == []
        self._threads.clear()

    def _act(self, seed: int, act: Callable[[random.Random], object], until: Callable[[int], bool]) -> None:
        chance = random.Random(seed)  # noqa: S311
        done = 0
        with connected(self._url):
            while not until(done):
                try:
                    act(chance)
                except Exception as error:
                    self._failures.append(error)
                done += 1
