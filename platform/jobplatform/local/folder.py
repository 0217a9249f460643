"""The folder ``.local/``: the servers' data, the ports they had last, and the locks that keep a second launcher out."""

import fcntl
import json
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

from jobplatform.errors import PlatformError
from jobplatform.local.ports import free_port

#: Longer than a worker waits for its jobs and then, Postgres being gone, for their outcomes to be written.
_LEFTOVERS_SECONDS: Final = 90


class AlreadyRunning(PlatformError):
    """The platform already runs in this checkout."""


class FolderUnusable(PlatformError):
    """The folder cannot be used."""


class LocalFolder:
    """One checkout's folder, held by one launcher at a time: a context manager."""

    def __init__(self, path: Path) -> None:
        self.path = path.absolute()
        #: A file descriptor that every child inherits: locked as long as one of them lives.
        self.children_lock = -1
        self._lock = -1

    def hold(self, say: Callable[[str], None]) -> None:
        """Take the folder; wait for children that an earlier, killed launcher may have left to end.

        Raises:
            AlreadyRunning: another launcher holds it, or its children do not end.
            FolderUnusable: it cannot be written.
        """
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            self._lock = _open(self.path / "launcher.lock")
            self.children_lock = _open(self.path / "children.lock")
        except OSError as error:
            raise FolderUnusable(f"{self.path} cannot be used: {error.strerror}. Whose is it?") from None
        if not _locked(self._lock):
            pid, api = os.pread(self._lock, 100, 0).decode() or "?", self.running().get("api", "starting")
            raise AlreadyRunning(f"The platform already runs in this checkout: {api} (process {pid}).")
        os.ftruncate(self._lock, 0)
        os.pwrite(self._lock, str(os.getpid()).encode(), 0)
        self._await_leftovers(say)

    def release(self) -> None:
        """Let others have it."""
        if self._lock >= 0:
            self._running_file.unlink(missing_ok=True)
            for descriptor in (self.children_lock, self._lock):
                os.close(descriptor)
            self._lock = self.children_lock = -1

    def port(self, name: str) -> int:
        """A free port for a server: the one it had last, if it can be, else any, so that two checkouts never race."""
        file = self.path / "ports.json"
        known = _read(file)
        port = free_port([int(known[name])] if name in known else [])
        if known.get(name) != port:
            file.write_text(json.dumps({**known, name: port}))
        return port

    def announce(self, addresses: dict[str, str]) -> None:
        """Write down where the running platform is."""
        self._running_file.touch(mode=0o600)
        self._running_file.write_text(json.dumps(addresses, indent=2) + "\n")

    def running(self) -> dict[str, Any]:
        """Where this checkout's platform said that it runs: empty after it stopped, out of date after it was killed."""
        return _read(self._running_file)

    @property
    def _running_file(self) -> Path:
        return self.path / "running.json"

    def _await_leftovers(self, say: Callable[[str], None]) -> None:
        deadline = time.monotonic() + _LEFTOVERS_SECONDS
        told = False
        while not _locked(self.children_lock):
            if not told:
                say("waiting for the processes of an earlier run to end")
                told = True
            if time.monotonic() > deadline:
                raise AlreadyRunning(f"Processes of an earlier run still hold {self.path / 'children.lock'}: end them.")
            time.sleep(0.1)


def _open(path: Path) -> int:
    return os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)


def _locked(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _read(path: Path) -> dict[str, Any]:
    try:
        content = json.loads(path.read_text())
    except (OSError, ValueError):
        return {}
    return content if isinstance(content, dict) else {}
