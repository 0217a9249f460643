"""What schemathesis cannot know of the API: loaded by its command, see test_schemathesis.py."""

import re
from itertools import count
from typing import Any
from uuid import uuid4

import schemathesis

_NUMBERS = count()
_RUN = uuid4().hex
_SECONDS = re.compile(r"([0-9]|[12][0-9])(\.[0-9]{1,6})?|30")


@schemathesis.hook
def before_call(_context: Any, case: Any, _kwargs: Any) -> None:
    """Change what is right into something that is right as well, and of use here."""
    headers, query = case.headers or {}, case.query or {}
    key = headers.get("Idempotency-Key")
    if isinstance(key, str) and re.fullmatch(r"[!-~]{1,200}", key):
        # The same key with another body is refused, and should be.
        headers["Idempotency-Key"] = f"{key}-{_RUN}-{next(_NUMBERS)}"
    if isinstance(query.get("wait"), str) and _SECONDS.fullmatch(query["wait"]):
        query["wait"] = "0.01"
    if isinstance(case.body, dict) and case.body.get("onConflict") and case.body.get("uniqueKey") is None:
        case.body["uniqueKey"] = f"{_RUN}-{next(_NUMBERS)}"  # without one it is refused
    if isinstance(case.body, dict | list):
        case.body = _with_whole_numbers(case.body)


def _with_whole_numbers(value: Any) -> Any:
    """Without numbers such as 3.0, which JSON Schema calls whole, and msgspec does not."""
    if isinstance(value, dict):
        return {name: _with_whole_numbers(inner) for name, inner in value.items()}
    if isinstance(value, list):
        return [_with_whole_numbers(inner) for inner in value]
    return int(value) if isinstance(value, float) and value.is_integer() else value
