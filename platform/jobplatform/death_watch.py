"""Tells dead workers from busy, cut off and newly started ones (P18, P19)."""

import logging
import time
from collections.abc import Callable
from typing import Final

from jobplatform.journal import workers

log: Final = logging.getLogger(__name__)

#: After a restart of Postgres, or a lost connection of its own, a keeper gives the workers so many seconds to be back.
GRACE: Final = 15.0


class DeathWatch:
    """Looks once a tick. A worker is dead when its lock was free at two looks and it has long been silent, or when it
    has been without a beat for so long that it must be frozen.

    ``silence`` and ``frozen`` are milliseconds without a beat.
    """

    def __init__(self, silence: int, frozen: int, clock: Callable[[], float] = time.monotonic) -> None:
        self._silence = silence
        self._frozen = frozen
        self._clock = clock
        self._free: set[int] = set()
        self._frozen_since: dict[int, float] = {}
        self._trusted_from = clock()

    @property
    def suspects_someone(self) -> bool:
        """Whether a worker's lock was free at the last look: soon it is dead, or has its lock back."""
        return bool(self._free)

    def connection_was_lost(self) -> None:
        """What was seen before no longer counts, and whoever was cut off too gets time to return."""
        self._forget()
        self._trusted_from = self._clock() + GRACE

    def look(self) -> list[str]:
        """Declare dead those workers that are, and give the names of their brokers."""
        if self._clock() < self._trusted_from or workers.seconds_since_postgres_started() < GRACE:
            self._forget()
            return []
        looks = workers.look(self._silence, self._frozen)
        free = {look.worker for look in looks if look.lock_is_free}
        suspects = {look.worker for look in looks if look.silent and look.worker in free & self._free}
        # Where the whole machine slept, its clock did not: the worker gets time to beat once it is awake.
        now = self._clock()
        self._frozen_since = {look.worker: self._frozen_since.get(look.worker, now) for look in looks if look.frozen}
        frozen = {worker for worker, since in self._frozen_since.items() if now - since >= self._silence / 1000}
        self._free = free
        dead = workers.declare_dead(suspects | frozen, self._silence)
        for worker in dead:
            log.warning("Worker %d %s.", worker, "is frozen" if worker in frozen - suspects else "is dead")
        return list(dead.values())

    def _forget(self) -> None:
        self._free.clear()
        self._frozen_since.clear()
