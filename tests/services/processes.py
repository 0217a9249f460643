"""Child processes of a test: their output, their end, and the proof that none is left."""

import os
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from signal import SIGKILL, Signals
from uuid import uuid4

from jobplatform.local.children import Child
from jobplatform.settings import Settings
from tests.services.patience import eventually

#: An environment variable that every process of one test carries, down to the last grandchild.
_MARK = "JOBPLATFORM_TEST"


class Process:
    """One running command with all it has said."""

    def __init__(self, name: str, command: Sequence[str | Path], environment: Mapping[str, str], folder: Path | None):
        self.lines: list[str] = []
        self._said = threading.Condition()
        self._child = Child(name, command, on_line=self._hear, environment=environment, folder=folder, grace_seconds=30)
        self._child.start()

    @property
    def pid(self) -> int:
        return self._child.pid

    @property
    def running(self) -> bool:
        return self._child.running

    @property
    def exit_code(self) -> int | None:
        return self._child.exit_code

    @property
    def output(self) -> str:
        return "\n".join(self.lines)

    def wait_for(self, wanted: str | Callable[[str], bool], seconds: float = 30) -> str:
        """The first line that holds the text, or of which the condition is true, also among those said before."""

        matches = (lambda line: wanted in line) if isinstance(wanted, str) else wanted

        def said() -> str | None:
            return next(filter(matches, self.lines), None)

        deadline = time.monotonic() + seconds
        while (line := said()) is None and time.monotonic() < deadline:
            if not self.running:
                self.wait(1)  # what it said last is heard by now
                line = said()
                break
            with self._said:
                self._said.wait(0.1)
        assert line is not None, f"It did not say {wanted!r} (exit code {self.exit_code}):\n{self.output}"
        return line

    def wait(self, seconds: float = 30) -> int:
        """Wait for its own end and give its exit code."""
        return self._child.wait(seconds)

    def signal(self, number: Signals) -> None:
        self._child.signal(number)

    def stop(self) -> int:
        """End it with SIGTERM, and give its exit code."""
        self._child.stop()
        return self._child.wait(1)

    def kill(self, number: Signals = SIGKILL) -> int:
        """End it, and it alone, with SIGKILL, and give the exit code."""
        self._child.signal(number)
        return self._child.wait(10)

    def end(self) -> None:
        """End it by all means."""
        self._child.stop()

    def _hear(self, line: str) -> None:
        with self._said:
            self.lines.append(line)
            self._said.notify_all()


class Processes:
    """All processes that one test starts."""

    def __init__(self) -> None:
        self._mark = uuid4().hex
        self._started: list[Process] = []

    def start(
        self,
        *command: str | Path,
        environment: Mapping[str, str] | None = None,
        folder: Path | None = None,
        name: str | None = None,
    ) -> Process:
        """Start a command; of the platform's settings it sees only the given ones."""
        process = Process(name or Path(command[0]).name, command, self.environment(environment), folder)
        self._started.append(process)
        return process

    def environment(self, given: Mapping[str, str] | None = None) -> dict[str, str]:
        """This process's environment without the platform's settings, with the given ones, and with the mark."""
        settings = {setting.metadata["variable"] for setting in Settings.__dataclass_fields__.values()}
        inherited = {name: value for name, value in os.environ.items() if name not in settings}
        return {**inherited, "PYTHONUNBUFFERED": "1", **(given or {}), _MARK: self._mark}

    def left(self) -> list[int]:
        """The processes that still run and descend from one started here, whatever session they are in."""
        mark = f"{_MARK}={self._mark}".encode()
        return [int(folder.name) for folder in Path("/proc").glob("[0-9]*") if mark in _environment_of(folder)]

    def stop_all(self) -> None:
        """Stop all, the last started first; nothing may be left.

        Raises:
            AssertionError: names what was left, after killing it.
        """
        for process in reversed(self._started):
            process.end()
        try:
            eventually(lambda: not self.left(), seconds=10, what="the end of all processes")
        finally:
            for pid in self.left():
                os.kill(pid, SIGKILL)


def _environment_of(folder: Path) -> list[bytes]:
    try:
        return (folder / "environ").read_bytes().split(b"\0")
    except OSError:  # gone meanwhile, or somebody else's
        return []
