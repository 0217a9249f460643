"""Runs a command that ends when its parent does: ``python -I -S leash.py SIGNAL PARENT COMMAND…``.

A script of its own, not a ``preexec_fn``: that could deadlock in a parent that has threads. On Linux the kernel holds
the leash and this process becomes the command; elsewhere it stays beside the command and watches its parent.
"""

import os
import signal
import sys
import time
from collections.abc import Sequence
from typing import Final

_PR_SET_PDEATHSIG: Final = 1
_LOOK_EVERY_SECONDS: Final = 0.5


def main(arguments: Sequence[str]) -> int:
    number, parent, command = int(arguments[0]), int(arguments[1]), list(arguments[2:])
    try:
        if not _signal_on_death_of_parent(number):
            return _watch(number, parent, command)
        if os.getppid() == parent:
            os.execvp(command[0], command)  # noqa: S606 - the command is the caller's own
    except OSError as error:
        print(f"{command[0]}: {error.strerror}", file=sys.stderr)
    return 127


def _signal_on_death_of_parent(number: int) -> bool:
    if sys.platform != "linux":
        return False
    try:
        import ctypes

        return bool(ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, number) == 0)
    except (ImportError, OSError, AttributeError):
        return False


def _watch(number: int, parent: int, command: list[str]) -> int:
    child = os.spawnvp(os.P_NOWAIT, command[0], command)  # noqa: S606

    def pass_on(received: int, _: object) -> None:
        os.kill(child, received)

    for passed in (signal.SIGINT, signal.SIGTERM, signal.SIGQUIT, signal.SIGHUP):
        signal.signal(passed, pass_on)
    told = False
    while True:
        ended, status = os.waitpid(child, os.WNOHANG)
        if ended:
            code = os.waitstatus_to_exitcode(status)
            return code if code >= 0 else 128 - code
        if not told and os.getppid() != parent:
            os.kill(child, number)
            told = True
        time.sleep(_LOOK_EVERY_SECONDS)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
