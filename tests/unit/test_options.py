"""Options of the wrong kind are refused where they are given: Dramatiq would not say so, and guess."""

from typing import Any

import pytest

from jobplatform.options import fault_of


@pytest.mark.parametrize(
    "options",
    [
        {"max_retries": "3"},
        {"max_retries": 2.5},
        {"max_retries": -1},
        {"max_retries": True},
        {"min_backoff": "1s"},
        {"min_backoff": None},
        {"max_backoff": -1},
        {"time_limit": float("nan")},
        {"time_limit": "10"},
        {"max_age": [1]},
        {"notify_shutdown": 1},
        {"on_failure": 7},
        {"throws": [ValueError]},
        {"throws": (ValueError, "KeyError")},
        {"retry_when": True},
        {"on_crash": "ignore"},
        {"max_retries": 1, "time_limit": ""},
        {"min_backoff": float("inf")},
        {"max_age": float("nan")},
        {"time_limit": 10**400},
    ],
    ids=str,
)
def test_an_option_of_the_wrong_kind_is_named(options: dict[str, Any]) -> None:
    *_, (name, value) = options.items()
    fault = fault_of(options)

    assert fault is not None
    assert fault.startswith(f"{name} is ")
    assert repr(value) in fault


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"max_retries": 0, "min_backoff": 1, "max_backoff": 2.5, "time_limit": float("inf"), "max_age": 1},
        {"max_retries": None, "max_age": None, "throws": None, "retry_when": None},
        {"notify_shutdown": True, "on_success": "NEXT", "on_crash": "fail"},
        {"throws": ValueError},
        {"throws": (ValueError, KeyError), "retry_when": lambda *_: True},
        {"another_middlewares": object()},
    ],
    ids=range(7),
)
def test_options_of_the_right_kind_have_no_fault(options: dict[str, Any]) -> None:
    assert fault_of(options) is None
