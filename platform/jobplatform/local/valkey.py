"""The embedded Valkey: a foreground child on a loopback port, with its data in one folder."""

import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

import redis

from jobplatform.local.binaries import valkey_server
from jobplatform.local.children import Child, ChildFailed

_READY_SECONDS: Final = 30


class Valkey:
    """One server; ``start`` after ``stop`` gives the same port and data."""

    def __init__(
        self, folder: Path, port: int, *, on_line: Callable[[str], None], keep_open: Sequence[int] = ()
    ) -> None:
        """Describe the server; the folder is made on the first start."""
        self._folder = folder.absolute()
        self._port = port
        options = {
            "port": str(port),
            "bind": "127.0.0.1",
            "dir": str(self._folder),
            "appendonly": "yes",
            "appendfsync": "everysec",
            "save": "",
            "maxmemory-policy": "noeviction",
            "daemonize": "no",
            "loglevel": "warning",
        }
        self.child = Child(
            "valkey",
            (valkey_server(), *(word for name, value in options.items() for word in (f"--{name}", value))),
            on_line=on_line,
            folder=Path("/"),
            keep_open=keep_open,
        )

    @property
    def pid(self) -> int:
        return self.child.pid

    @property
    def running(self) -> bool:
        return self.child.running

    @property
    def url(self) -> str:
        return f"redis://127.0.0.1:{self._port}/0"

    def start(self) -> None:
        """Start it and wait until it answers.

        Raises:
            ChildFailed: it ended or does not answer.
        """
        self._folder.mkdir(parents=True, exist_ok=True)
        self.child.start()
        deadline = time.monotonic() + _READY_SECONDS
        while not self._answers():
            if not self.running:
                raise ChildFailed(f"Valkey ended as it started: {self.child.last_line}")
            if time.monotonic() > deadline:
                raise ChildFailed(f"Valkey does not answer on port {self._port}.")
            time.sleep(0.01)

    def stop(self) -> None:
        self.child.stop()

    def kill(self) -> None:
        self.child.kill()

    def _answers(self) -> bool:
        with redis.Redis.from_url(self.url, retry=None, socket_timeout=1) as client:
            try:
                return bool(client.ping())
            except redis.RedisError:  # also while it loads its data
                return False
