"""The load client: wrk, one thread and some kept-alive connections, stopped after a number of answers."""

import json
import os
import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from signal import SIGINT
from subprocess import PIPE
from typing import Final

from jobplatform.errors import PlatformError

_SCRIPT: Final = Path(__file__).with_name("load.lua")
#: So many connections, where nothing else is said.
CLIENTS: Final = 32
_LONGEST_SECONDS: Final = 120
#: Linux takes 128 kB of one word of a command line.
_LONGEST_ARGUMENT: Final = 100_000


class LoadClientMissing(PlatformError):
    """The load client wrk is not there: `apt-get install wrk` (or your system's way) brings it."""


class LoadFailed(PlatformError):
    """The load client did not get what it asked for."""


@dataclass(frozen=True)
class Load:
    """What the load client saw, and what it cost."""

    answered: int
    seconds: float
    p50_ms: float
    p99_ms: float
    #: Of one core.
    client_cpu: float

    @property
    def rate(self) -> float:
        return self.answered / self.seconds


def check_client() -> None:
    """See that wrk is there.

    Raises:
        LoadClientMissing: it is not.
    """
    if shutil.which("wrk") is None:
        raise LoadClientMissing()


def post(url: str, body: bytes, count: int, clients: int = CLIENTS) -> Load:
    """POST the body again and again, until so many were answered. A few more may have been accepted."""
    if len(body) <= _LONGEST_ARGUMENT:
        return _run(url, clients, str(count), "POST", body.decode())
    with tempfile.NamedTemporaryFile("wb", suffix=".json") as file:
        file.write(body)
        file.flush()
        return _run(url, clients, str(count), "POST-FILE", file.name)


def get(url: str, paths: Sequence[str], count: int, clients: int = CLIENTS) -> Load:
    """GET random ones of the paths, until so many were answered."""
    with tempfile.NamedTemporaryFile("w", suffix=".txt") as file:
        file.write("\n".join(paths))
        file.flush()
        return _run(url, clients, str(count), "GET", file.name)


def _run(url: str, clients: int, *arguments: str) -> Load:
    words = ("wrk", "-t1", f"-c{clients}", f"-d{_LONGEST_SECONDS}s", "-s", str(_SCRIPT), url, "--", *arguments)
    before = os.times()
    with subprocess.Popen(words, stdout=PIPE, stderr=PIPE, text=True) as client:  # noqa: S603
        assert client.stdout is not None  # noqa: S101 - it was opened with a pipe, and so was the next
        assert client.stderr is not None  # noqa: S101
        try:
            client.stderr.readline()  # the script's "enough", or the end
            client.send_signal(SIGINT)
            output = client.stdout.read()
        except BaseException:
            client.kill()
            raise
    after = os.times()
    seen = next((json.loads(line) for line in output.splitlines() if line.startswith("{")), None)
    if seen is None:
        raise LoadFailed(f"wrk ended with {client.returncode}: {output}")
    if seen["wrong"] or seen["lost"]:
        raise LoadFailed(f"{seen['wrong']} wrong answers and {seen['lost']} lost connections: {output}")
    cpu = after.children_user + after.children_system - before.children_user - before.children_system
    return Load(seen["answered"], seen["seconds"], seen["p50_ms"], seen["p99_ms"], cpu / seen["seconds"])
