"""Does the planned faults when their time has come, each in a thread of its own, and heals all at the end."""

import random
import threading
import time
from collections.abc import Callable, Sequence
from typing import Final

from jobplatform.torture.faults import FAULTS, Injury
from jobplatform.torture.oracle import Oracle
from jobplatform.torture.plan import SERVERS, Planned
from jobplatform.torture.stack import Stack

#: How long an outage of a server is felt, in seconds.
_AFTERMATH: Final = 20.0


class Injector:
    """Runs a plan against a stack."""

    def __init__(
        self,
        stack: Stack,
        oracle: Oracle,
        plan: Sequence[Planned],
        say: Callable[[str], None],
        frozen_after: float,
    ) -> None:
        """``frozen_after`` is seconds."""
        self._stack = stack
        self._oracle = oracle
        self._plan = plan
        self._say = say
        self._frozen_after = frozen_after
        self._over = threading.Event()
        self._servers = {server: threading.Lock() for server in SERVERS}
        self._running: list[threading.Thread] = []
        self._thread = threading.Thread(target=self._run, name="injector", daemon=True)

    def start(self) -> None:
        self._thread.start()

    @property
    def done(self) -> bool:
        return not self._thread.is_alive()

    def stop(self) -> None:
        """Do no more, and heal what lasts."""
        self._over.set()
        self._thread.join()

    def _run(self) -> None:
        began = time.monotonic()
        for planned in self._plan:
            if self._over.wait(max(0.0, began + planned.at - time.monotonic())):
                break
            thread = threading.Thread(target=self._do, args=(planned,), daemon=True)
            self._running.append(thread)
            thread.start()
        for thread in self._running:
            thread.join()
        for group in self._stack.groups:
            for link in group.links:
                link.heal()

    def _do(self, planned: Planned) -> None:
        server = self._servers.get(planned.fault.partition("-")[0])
        injury = Injury(
            self._stack,
            self._oracle,
            random.Random(planned.seed),  # noqa: S311
            self._over,
            self._frozen_after,
        )
        try:
            if server is None:
                self._inflict(planned, injury)
            else:
                with server:
                    self._inflict(planned, injury)
        except Exception as error:  # a fault that meets another one, such as a flush of a Redis that is away
            self._say(f"{planned.fault} came to nothing: {type(error).__name__}: {error}")

    def _inflict(self, planned: Planned, injury: Injury) -> None:
        self._say(f"{planned.at:6.1f} s  {planned.fault}")
        self._oracle.count(planned.fault)
        self._note_outage(planned.fault)
        FAULTS[planned.fault](injury)
        self._note_outage(planned.fault)

    def _note_outage(self, fault: str) -> None:
        """Keepers wait a grace after an outage of Postgres, and another before they take hints for lost."""
        server = "redis" if fault == "flush" else fault.partition("-")[0]
        if server in SERVERS:
            self._oracle.harm(f"{server} was hurt", None, time.time() + _AFTERMATH)
