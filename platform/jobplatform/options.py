"""What the options of actors and of single jobs may be: Dramatiq would find out in its hooks, and swallow that."""

import math
from collections.abc import Callable, Mapping
from typing import Any, Final

from jobplatform.delay import LONGEST_DELAY

#: The options that one job may have of its own. All of them can be told in JSON.
JOB_OPTIONS: Final = frozenset(
    {
        "max_retries",
        "min_backoff",
        "max_backoff",
        "time_limit",
        "max_age",
        "notify_shutdown",
        "on_success",
        "on_failure",
        "on_retry_exhausted",
    }
)


def fault_of(options: Mapping[str, Any]) -> str | None:
    """What is wrong with these options, as in "max_retries is a whole number, not '3'". None: nothing."""
    for name, value in options.items():
        if name in _KINDS and not (_KINDS[name][0](value) or (value is None and name in _MAY_BE_NONE)):
            return f"{name} is {_KINDS[name][1]}, not {value!r}"
    return None


def _is_count(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0


def _is_duration(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value <= LONGEST_DELAY  # so no NaN


def _is_limit(value: object) -> bool:
    return value == math.inf or _is_duration(value)


def _is_text(value: object) -> bool:
    return isinstance(value, str)


def _are_exceptions(value: object) -> bool:
    classes = value if isinstance(value, tuple) else (value,)
    return all(isinstance(each, type) and issubclass(each, BaseException) for each in classes)


_DURATION: Final = (_is_duration, "a number of milliseconds, a hundred years at the most")
_TYPE: Final = (_is_text, "the type of a job")

_KINDS: Final[Mapping[str, tuple[Callable[[object], bool], str]]] = {
    "max_retries": (_is_count, "a whole number"),
    "min_backoff": _DURATION,
    "max_backoff": _DURATION,
    "time_limit": (_is_limit, "a number of milliseconds, a hundred years at the most, or infinite"),
    "max_age": _DURATION,
    "notify_shutdown": (lambda value: isinstance(value, bool), "True or False"),
    "on_success": _TYPE,
    "on_failure": _TYPE,
    "on_retry_exhausted": _TYPE,
    "throws": (_are_exceptions, "an exception class or a tuple of them"),
    "retry_when": (callable, "a function"),
    "on_crash": (lambda value: value in ("retry", "fail"), "'retry' or 'fail'"),
}

#: For these, None says that there is no limit, or that there is nothing of the kind.
_MAY_BE_NONE: Final = _KINDS.keys() - {"min_backoff", "max_backoff", "time_limit", "on_crash"}
