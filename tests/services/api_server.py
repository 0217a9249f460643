"""A real gunicorn for tests, beside a fleet's workers."""

import sys
from collections.abc import Mapping
from pathlib import Path

import httpx

from jobplatform.local.ports import free_port
from tests.services.fleet import Fleet
from tests.services.patience import eventually
from tests.services.processes import Process, Processes

_ROOT = Path(__file__).parents[2]


class ApiServer:
    """One API on a port of its own, which it keeps when it is started again."""

    def __init__(self, fleet: Fleet, processes: Processes, *options: str, **settings: str) -> None:
        """``options`` are words for gunicorn's command line."""
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self._processes = processes
        self._options = options
        self._process: Process | None = None
        self._environment: Mapping[str, str] = {**fleet.environment(), "PORT": str(self.port), **settings}

    def start(self) -> None:
        """Start it, and wait until it answers."""
        self._process = self._processes.start(
            Path(sys.executable).with_name("gunicorn"),
            *self._options,
            environment=self._environment,
            folder=_ROOT,
            name="gunicorn",
        )
        self._process.wait_for("The API listens at")
        eventually(self._answers, what="an answer to /health")

    def stop(self) -> None:
        """End it with SIGTERM."""
        if self._process is not None:
            self._process.stop()

    def _answers(self) -> bool:
        try:
            return httpx.get(f"{self.url}/health", trust_env=False).status_code == httpx.codes.OK
        except httpx.TransportError:
            return False
