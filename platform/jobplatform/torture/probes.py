"""What the probe jobs do, in plain functions: the platform's actors and the baseline's run the same ones."""

import ctypes
import hashlib
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import Any, Final, Protocol

from jobplatform.torture.effects import EFFECT, START, EffectFile, torture_folder


class Expected(Exception):
    """An error that a probe raises on purpose."""


class Unwanted(Exception):
    """An error after which no other attempt is wanted."""


class Sink(Protocol):
    """A file that is being written."""

    path: str

    def write(self, data: bytes) -> int:
        """Append."""


@dataclass(frozen=True)
class Run:
    """One attempt of a probe, on either platform."""

    job_id: str
    attempt: int
    number: int
    seconds: float
    progress: Callable[[int, int], None]
    open_output: Callable[[str], AbstractContextManager[Any]]
    reach: Callable[[str], None]
    die: Callable[[str, str, int], None]

    def note(self, what: str) -> None:
        EffectFile(torture_folder()).note(self.job_id, self.attempt, what)

    def effect(self) -> None:
        """Do what the job is for."""
        self.reach("in-actor")
        self.note(EFFECT)
        self.reach("after-effect")


@dataclass(frozen=True)
class Probe:
    """A type of job, and how it ends where nobody disturbs it."""

    type: str
    behave: Callable[[Run], Any]
    #: Its share of the load, in thousandths.
    share: int
    #: How long it takes, in seconds: from, to.
    seconds: tuple[float, float] = (0.0, 0.0)
    ends: str = "completed"
    options: dict[str, Any] = field(default_factory=dict)


def _instant(run: Run) -> Any:
    run.effect()
    return {"number": run.number}


def _sleep(run: Run) -> Any:
    time.sleep(run.seconds)
    run.effect()
    return {"number": run.number}


def _long(run: Run) -> Any:
    parts = 20
    for part in range(parts):
        time.sleep(run.seconds / parts)
        run.progress(part + 1, parts)
    run.effect()
    return {"number": run.number}


def _flaky(run: Run) -> Any:
    if run.attempt <= 2:
        raise Expected(f"attempt {run.attempt} fails on purpose")
    run.effect()
    return {"number": run.number}


def _failing(_: Run) -> Any:
    raise Expected("always")


def _throwing(_: Run) -> Any:
    raise Unwanted("at once")


def _poison(run: Run) -> Any:
    run.die("poison", run.job_id, run.attempt)


def _file(run: Run) -> Any:
    digest = hashlib.sha256()
    with run.open_output(".txt") as output:
        for line in range(50):
            data = f"{run.number} {line}\n".encode()
            output.write(data)
            digest.update(data)
            time.sleep(run.seconds / 50)
    run.effect()
    return {"path": output.path, "sha256": digest.hexdigest()}


def _hold_interpreter(run: Run) -> Any:
    # PyDLL, unlike CDLL, keeps the interpreter's lock during the call: no other thread of this process can run.
    ctypes.PyDLL(None).sleep(int(run.seconds))
    run.effect()
    return {"number": run.number}


PROBES: Final = (
    Probe("PROBE_INSTANT", _instant, 460),
    Probe("PROBE_SLEEP", _sleep, 200, (0.05, 0.5)),
    Probe("PROBE_FLAKY", _flaky, 90, options={"max_retries": 5, "min_backoff": 400, "max_backoff": 5_000}),
    Probe("PROBE_FAILING", _failing, 30, ends="failed", options={"max_retries": 2, "min_backoff": 300}),
    Probe("PROBE_THROWS", _throwing, 20, ends="failed", options={"throws": Unwanted}),
    Probe("PROBE_POISON", _poison, 1, ends="failed"),
    Probe("PROBE_FILE", _file, 60, (0.05, 0.4)),
    Probe("PROBE_ONCE", _sleep, 30, (0.2, 1.0), options={"on_crash": "fail"}),
    Probe("PROBE_LONG", _long, 49, (2.0, 5.0)),
    Probe("PROBE_CHAIN", _instant, 60, options={"on_success": "PROBE_FOLLOW"}),
    Probe("PROBE_GIL", _hold_interpreter, 0, (8.0, 8.0)),
)
#: The type of the job that PROBE_CHAIN sends when it has succeeded.
FOLLOW: Final = "PROBE_FOLLOW"


def begin(run: Run, behave: Callable[[Run], Any]) -> Any:
    """Run a probe: the first thing that it does is to say so."""
    run.note(START)
    return behave(run)
