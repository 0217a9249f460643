"""Which faults, in which order, and when: all from the seed."""

import random
from collections.abc import Collection
from typing import Final, NamedTuple

from jobplatform.errors import PlatformError
from jobplatform.torture.faults import FAULTS

#: How often each is done in a run of the standard length. Some 120 of them kill a process or more.
STANDARD: Final = {
    "kill-worker": 34,
    "kill-master": 10,
    "kill-group": 10,
    "kill-api-worker": 16,
    "kill-api": 5,
    "kill-keeper": 12,
    "crash-point": 26,
    "freeze": 5,
    "freeze-briefly": 4,
    "freeze-keeper": 2,
    "deploy": 10,
    "flush": 5,
    "redis-restart": 3,
    "redis-crash": 3,
    "redis-wipe": 2,
    "redis-away": 2,
    "redis-refuses": 3,
    "redis-hangs": 3,
    "postgres-crash": 2,
    "postgres-restart": 2,
    "postgres-away": 2,
    "terminate-backends": 6,
    "cut": 8,
    "partition": 4,
    "stall": 4,
    "half-open": 4,
    "slow": 4,
    "bad-hints": 8,
}
#: Those that a short run has time for.
SHORT: Final = {
    "kill-worker": 2,
    "kill-group": 1,
    "kill-api-worker": 1,
    "kill-keeper": 1,
    "crash-point": 2,
    "deploy": 1,
    "flush": 1,
    "redis-restart": 1,
    "terminate-backends": 1,
    "cut": 1,
    "bad-hints": 1,
}
#: Faults of the same server wait for each other.
SERVERS: Final = ("redis", "postgres")


class Planned(NamedTuple):
    """One fault to be."""

    at: float
    fault: str
    seed: str


class UnknownFault(PlatformError):
    """A fault was asked for that does not exist."""


def deck_of(names: Collection[str]) -> dict[str, int]:
    """The standard numbers of the named faults.

    Raises:
        UnknownFault: names it, and those that exist.
    """
    if unknown := set(names) - set(FAULTS):
        raise UnknownFault(f"There is no fault {', '.join(sorted(unknown))}. There are {', '.join(FAULTS)}.")
    return {name: STANDARD[name] for name in names}


def plan(deck: dict[str, int], seed: int, seconds: float) -> list[Planned]:
    """Spread them over so many seconds, in the order that the seed gives."""
    chance = random.Random(f"{seed} plan")  # noqa: S311
    names = [name for name, times in deck.items() for _ in range(times)]
    chance.shuffle(names)
    step = seconds / max(1, len(names))
    return [
        Planned((place + chance.random()) * step, name, f"{seed} fault {place}") for place, name in enumerate(names)
    ]
