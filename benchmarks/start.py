"""How long a start takes, and the imports in it (`python -m benchmarks.start`)."""

import argparse
import os
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from statistics import median
from typing import Final

from psycopg2.extensions import connection as Connection  # noqa: N812

from benchmarks.memory import largest_megabytes
from benchmarks.report import spread
from benchmarks.stack import PlatformStack, running_stack
from benchmarks.workloads import JOB
from jobplatform.errors import PlatformError
from jobplatform.local.calls import call

_LOOK_EVERY: Final = 0.005
_LONGEST: Final = 60.0
_MODULES: Final = ("jobplatform.worker", "api.app", "jobplatform.client", "jobplatform.__main__")
#: Of what a module imports, so many are named.
_NAMED: Final = 6


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.start", description=__doc__)
    parser.add_argument("--rounds", type=int, default=5, help="medians are printed (default: 5)")
    given = parser.parse_args()
    try:
        print(_starts(given.rounds))
    except PlatformError as error:
        print(f"Cannot measure: {error}", file=sys.stderr)
        return 1
    print(_imports(given.rounds))
    return 0


def _starts(rounds: int) -> str:
    """From the command to the first answer and the first completed job; the memory of each process at rest."""
    seconds: dict[str, list[float]] = {"gunicorn to /health": [], "gunicorn to /ready": [], "dramatiq to a job": []}
    memory: dict[str, list[float]] = {}
    with running_stack() as (stack, connection):
        assert isinstance(stack, PlatformStack)  # noqa: S101 - it is
        for _ in range(rounds):
            stack.stop_api()
            began = time.monotonic()
            stack.start_api_unawaited()
            for path in ("/health", "/ready"):
                seconds[f"gunicorn to {path}"].append(_until(lambda path=path: _answers(stack, path), began))  # type: ignore[misc]
            call("POST", f"{stack.url}/jobs", JOB)
            began = time.monotonic()
            stack.start_worker_unawaited()
            seconds["dramatiq to a job"].append(_until(lambda: _none_left(connection), began))
            _until(lambda: _all_on_record(connection), began)
            for part, megabytes in largest_megabytes(stack).items():
                memory.setdefault(part, []).append(megabytes)
            stack.stop_worker()
    lines = [f"{title:<34}{spread(values):>24} s" for title, values in seconds.items()]
    lines += [
        f"{'largest process of ' + part + ' at rest':<34}{spread(values):>24} MB" for part, values in memory.items()
    ]
    return "\n".join(lines)


def _answers(stack: PlatformStack, path: str) -> bool:
    answer = call("GET", f"{stack.url}{path}")
    return answer is not None and answer.status == 200


def _none_left(connection: Connection) -> bool:
    with connection.cursor() as cursor:
        cursor.execute("SELECT count(*) = 0 FROM jobs WHERE status <> 'completed'")
        row = cursor.fetchone()
        return row is not None and bool(row[0])


def _all_on_record(connection: Connection) -> bool:
    """Whether the worker's processes are all up."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT count(*) = 2 FROM workers WHERE ended_at IS NULL")
        row = cursor.fetchone()
        return row is not None and bool(row[0])


def _until(there: Callable[[], bool], began: float) -> float:
    while not there():
        if time.monotonic() - began > _LONGEST:
            raise PlatformError("It did not start within a minute.")
        time.sleep(_LOOK_EVERY)
    return time.monotonic() - began


def _imports(rounds: int) -> str:
    """What each module's import takes beside the bare interpreter, and what in it takes most."""
    bare = median(_took("pass") for _ in range(rounds))
    lines = []
    for module in _MODULES:
        took = [1000 * (_took(f"import {module}") - bare) for _ in range(rounds)]
        lines.append(f"{'import ' + module:<34}{spread(took):>24} ms   {', '.join(_largest(module))}")
    return "\n".join(lines)


def _took(code: str) -> float:
    began = time.monotonic()
    _python("-c", code)
    return time.monotonic() - began


def _largest(module: str) -> Sequence[str]:
    """The packages below it whose own modules take longest, with their milliseconds."""
    own: dict[str, int] = {}
    for line in _python("-X", "importtime", "-c", f"import {module}").splitlines():
        parts = line.removeprefix("import time:").split("|")
        if len(parts) == 3 and parts[0].strip().isdigit():
            name = parts[2].strip().partition(".")[0]
            own[name] = own.get(name, 0) + int(parts[0])
    return [f"{name} {us / 1000:.0f}" for name, us in sorted(own.items(), key=lambda one: -one[1])[:_NAMED]]


def _python(*words: str) -> str:
    environment = {**os.environ, "ACTORS": "benchmarks.actors"}
    done = subprocess.run((sys.executable, *words), capture_output=True, text=True, check=True, env=environment)  # noqa: S603
    return done.stderr


if __name__ == "__main__":
    sys.exit(main())
