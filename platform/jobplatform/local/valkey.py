"""The embedded Valkey: a foreground child on a loopback port, with its data in one folder."""

import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

import redis

from jobplatform.local.binaries import valkey_server
from jobplatform.local.children import Child

_READY_SECONDS: Final = 30


class Valkey(Child):
    """One server; ``start`` after ``stop`` gives the same port and data."""

    def __init__(
        self, folder: Path, port: int, *, on_line: Callable[[str], None], keep_open: Sequence[int] = ()
    ) -> None:
        """Describe the server; the folder is made on the first start."""
        self._home = folder.absolute()
        self._port = port
        options = {
            "port": str(port),
            "bind": "127.0.0.1",
            "dir": str(self._home),
            "appendonly": "yes",
            "appendfsync": "everysec",
            "save": "",
            "maxmemory-policy": "noeviction",
            "daemonize": "no",
            "loglevel": "warning",
        }
        super().__init__(
            "valkey",
            (valkey_server(), *(word for name, value in options.items() for word in (f"--{name}", value))),
            on_line=on_line,
            folder=Path("/"),
            keep_open=keep_open,
        )

    @property
    def url(self) -> str:
        return f"redis://127.0.0.1:{self._port}/0"

    def start(self) -> None:
        """Start it and wait until it answers.

        Raises:
            ChildFailed: it ended or does not answer.
        """
        self._home.mkdir(parents=True, exist_ok=True)
        super().start()
        self.wait_until(self._answers, _READY_SECONDS)

    def _answers(self) -> bool:
        with redis.Redis.from_url(self.url, retry=None, socket_timeout=1) as client:
            try:
                told = client.info("server", "persistence")
                # One of our own group: another server may have taken the port in between.
                return os.getpgid(told["process_id"]) == self.pid and not told["loading"]
            except (redis.RedisError, OSError):
                return False
