"""A child process on a leash: it cannot outlive its parent, and its output is read to the end."""

import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from signal import SIGKILL, SIGTERM, Signals
from typing import Final

from jobplatform.errors import PlatformError
from jobplatform.local import leash

_LEASH: Final = (sys.executable, "-I", "-S", leash.__file__)


class ChildFailed(PlatformError):
    """A child process ended, or did not get ready."""


class Child:
    """One command, started as often as need be, always in a session of its own.

    The session keeps a terminal's Ctrl-C from the child: its parent stops it, in order. Start it from the main thread:
    on Linux a leashed child ends with the *thread* that started it.
    """

    def __init__(
        self,
        name: str,
        command: Sequence[str | Path],
        *,
        on_line: Callable[[str], None],
        environment: Mapping[str, str] | None = None,
        folder: Path | None = None,
        stop_signal: Signals = SIGTERM,
        grace_seconds: float = 10,
        user: int | None = None,
        keep_open: Sequence[int] = (),
    ) -> None:
        """Describe the child.

        Args:
            on_line: called with each line of its output, from another thread.
            grace_seconds: how long it may take to stop before it is killed.
            user: the uid and gid to become, if this process is root.
            keep_open: file descriptors that it inherits.
        """
        self.name = name
        #: The last thing it said: mostly why it ended.
        self.last_line = ""
        self.grace_seconds = grace_seconds
        self._command = tuple(str(word) for word in command)
        self._on_line = on_line
        self._environment = environment
        self._folder = folder
        self._stop_signal = stop_signal
        self._user = user
        self._keep_open = tuple(keep_open)
        self._process: subprocess.Popen[bytes] | None = None
        self._reader: threading.Thread | None = None
        self._orphans_asked = False

    @property
    def pid(self) -> int:
        """Its process id, which is also that of its process group, while it runs and after it ended."""
        return self._started().pid

    @property
    def running(self) -> bool:
        return self._process is not None and self._process.poll() is None

    @property
    def gone(self) -> bool:
        """Whether neither it nor anything of its process group is left."""
        return not self.running and (self._process is None or not (self._signal_group(0) and _any_alive(self.pid)))

    @property
    def exit_code(self) -> int | None:
        """None while it runs; negative: the signal that ended it."""
        return None if self._process is None else self._process.poll()

    @property
    def ending(self) -> str:
        """How it ended, in words."""
        code = self.exit_code
        return f"killed by {Signals(-code).name}" if code is not None and code < 0 else f"exit code {code}"

    def start(self) -> None:
        """Start it, after killing what is left of an earlier start; does nothing while it runs."""
        if self.running:
            return
        self.kill()
        self._orphans_asked = False
        self.last_line = ""
        identity = {} if self._user is None else {"user": self._user, "group": self._user, "extra_groups": ()}
        self._process = subprocess.Popen(  # noqa: S603 - the command is the caller's own
            (*_LEASH, str(int(self._stop_signal)), str(os.getpid()), *self._command),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            env=self._environment,
            cwd=self._folder,
            start_new_session=True,
            pass_fds=self._keep_open,
            **identity,  # type: ignore[call-overload]
        )
        self._reader = threading.Thread(target=self._read, args=(self._process,), name=f"read-{self.name}", daemon=True)
        self._reader.start()

    def wait(self, seconds: float) -> int:
        """Wait until it ends by itself, and give its exit code.

        Raises:
            ChildFailed: it still runs after that time.
        """
        process = self._started()
        try:
            code = process.wait(seconds)
        except subprocess.TimeoutExpired:
            raise ChildFailed(f"{self.name} still runs after {seconds:g} s") from None
        self._hear_the_rest()
        return code

    def wait_until(self, ready: Callable[[], bool], seconds: float) -> None:
        """Wait until it is ready for its work.

        Raises:
            ChildFailed: it ended, or is not ready after that time.
        """
        deadline = time.monotonic() + seconds
        while not ready():
            if not self.running:
                self._hear_the_rest()
                raise ChildFailed(f"{self.name} ended as it started: {self.last_line or 'it said nothing'}")
            if time.monotonic() > deadline:
                raise ChildFailed(f"{self.name} does not answer after {seconds:g} s")
            time.sleep(0.02)

    def stop(self) -> None:
        """Ask it to stop, wait, kill what is left of its process group after the grace."""
        if self._process is None:
            return
        deadline = time.monotonic() + self.grace_seconds
        self.stop_soon()
        while not self.gone and time.monotonic() < deadline:
            time.sleep(0.02)
        self.kill()

    def stop_soon(self) -> None:
        """Ask it to stop, without waiting; if it died, ask once those whom it left behind."""
        if self.running:
            self.signal(self._stop_signal)
        elif self._process is not None and not self._orphans_asked:
            self._orphans_asked = True
            self._signal_group(self._stop_signal)

    def kill(self) -> None:
        """Kill its whole process group and wait."""
        if self._process is not None:
            self._signal_group(SIGKILL)
            self._process.wait()
            self._hear_the_rest()

    def signal(self, number: Signals) -> None:
        """Send a signal to the child alone, if it still runs."""
        if self.running:
            self._started().send_signal(number)

    def _started(self) -> "subprocess.Popen[bytes]":
        if self._process is None:
            raise ChildFailed(f"{self.name} was never started")
        return self._process

    def _signal_group(self, number: int) -> bool:
        try:
            os.killpg(self.pid, number)
        except (ProcessLookupError, PermissionError):  # macOS refuses where only a zombie is left
            return False
        return True

    def _hear_the_rest(self) -> None:
        # A grandchild in another session may hold the pipe for longer: its output is not worth waiting for.
        if self._reader is not None:
            self._reader.join(timeout=2)

    def _read(self, process: "subprocess.Popen[bytes]") -> None:
        assert process.stdout is not None  # noqa: S101 - it was opened with a pipe
        with process.stdout as pipe:
            for line in pipe:
                text = line.decode(errors="replace").rstrip()
                self.last_line = text or self.last_line
                self._on_line(text)


def _any_alive(group: int) -> bool:
    """Whether a process group has more than dead members: not every init is quick to bury orphans."""
    if not Path("/proc/self/stat").exists():
        return True
    for file in Path("/proc").glob("[0-9]*/stat"):
        try:
            state, _, its_group = file.read_text().rpartition(")")[2].split()[:3]
        except OSError:  # ended meanwhile
            continue
        if int(its_group) == group and state not in "ZX":
            return True
    return False
