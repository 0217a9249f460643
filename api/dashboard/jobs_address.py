"""Where the list of jobs that fit a filter is."""

from collections.abc import Mapping
from typing import Any
from urllib.parse import urlencode


def jobs_address(**filter: Any) -> str:  # noqa: A002
    """The address of the list of jobs, by the words of ``GET /jobs``; what is None or empty is left out."""
    given = {name: ",".join(value) if isinstance(value, list | tuple) else value for name, value in filter.items()}
    words = urlencode({name: value for name, value in given.items() if value})
    return f"/ui/jobs?{words}" if words else "/ui/jobs"


def address_of(filter: Mapping[str, Any]) -> str:  # noqa: A002
    """The same of a filter as an action keeps it."""
    return jobs_address(**filter)
