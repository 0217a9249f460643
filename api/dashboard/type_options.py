"""What a type's options are, in words: its own, and for the rest what holds for all."""

import math
from collections.abc import Iterator, Mapping
from typing import Any, Final, NamedTuple

from api.dashboard.wording import duration
from jobplatform.settings import Settings


class Option(NamedTuple):
    """An option. ``own`` is whether the actor says so itself."""

    name: str
    value: str
    own: bool


_DURATIONS: Final = ("time_limit", "min_backoff", "max_backoff")
#: Shown where an actor has them.
_OTHERS: Final = ("throws", "retry_when", "notify_shutdown", "on_success", "on_failure", "on_retry_exhausted")


def options_of(options: Mapping[str, Any], settings: Settings) -> list[Option]:
    """Those that say how often, how long and what then."""
    return list(_options(options, settings))


def _options(options: Mapping[str, Any], settings: Settings) -> Iterator[Option]:
    retries = options.get("max_retries", settings.max_retries)
    yield Option("max_retries", "no limit" if retries is None else str(retries), "max_retries" in options)
    for name in _DURATIONS:
        yield Option(name, _time(options.get(name, getattr(settings, name))), name in options)
    crash = options.get("on_crash", "retry")
    yield Option("on_crash", "run again" if crash == "retry" else "fail at once", "on_crash" in options)
    if options.get("max_age") is not None:
        yield Option("max_age", _time(options["max_age"]), own=True)
    for name in _OTHERS:
        if (value := options.get(name)) not in (None, False):
            yield Option(name, _named(value), own=True)


def _time(milliseconds: float) -> str:
    return "no limit" if milliseconds == math.inf else duration(milliseconds / 1000)


def _named(value: Any) -> str:
    if isinstance(value, tuple):
        return ", ".join(map(_named, value))
    if value is True:
        return "yes"
    return value if isinstance(value, str) else str(getattr(value, "__qualname__", value))
