"""The engine of the job platform.

An actor needs two names from here: `actor`, the decorator that makes one, and `current_job`, what it can say of the
job that it runs. The rooms: `states` (the machine as data), `models`, `journal` (the only writer), `writer` (group
commit), `queries` and `reader`, `recorder` (the middleware) with `claims` and `verdict`, `broker`, `keeper` (with the
`death_watch`: whatever stands still moves on), `lifeline` (a worker's lock and beat) with `hands` (what it holds),
`settings`, `local` (the platform on one machine), `torture` (the proof that nothing is lost).
"""

from typing import TYPE_CHECKING, Any

from jobplatform.signature import Holds

if TYPE_CHECKING:
    from jobplatform.attempt import Cancelled
    from jobplatform.broker import actor
    from jobplatform.context import current_job

__all__ = ["Cancelled", "Holds", "actor", "current_job"]

_HOMES = {
    "Cancelled": "jobplatform.attempt",
    "actor": "jobplatform.broker",
    "current_job": "jobplatform.context",
}


def __getattr__(name: str) -> Any:
    """Load a name when it is first asked for: the command line and the settings need no broker."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(_HOMES[name]), name)
