"""What a type's options are, in words."""

import math

from api.dashboard.type_options import options_of
from jobplatform.settings import Settings

SETTINGS = Settings(max_retries=3, time_limit=600_000, min_backoff=1_000, max_backoff=600_000)


def test_what_an_actor_does_not_say_is_as_for_all_types() -> None:
    assert [(option.name, option.value, option.own) for option in options_of({}, SETTINGS)] == [
        ("max_retries", "3", False),
        ("time_limit", "10 min 00 s", False),
        ("min_backoff", "1.0 s", False),
        ("max_backoff", "10 min 00 s", False),
        ("on_crash", "run again", False),
    ]


def test_what_an_actor_says_is_its_own() -> None:
    options = {
        "max_retries": None, "time_limit": math.inf, "on_crash": "fail", "max_age": 60_000,
        "throws": (OSError, KeyError), "on_success": "NEXT", "notify_shutdown": True, "retry_when": len,
    }  # fmt: skip
    own = {option.name: option.value for option in options_of(options, SETTINGS) if option.own}

    assert own == {
        "max_retries": "no limit", "time_limit": "no limit", "on_crash": "fail at once", "max_age": "1 min 00 s",
        "throws": "OSError, KeyError", "on_success": "NEXT", "notify_shutdown": "yes", "retry_when": "len",
    }  # fmt: skip
