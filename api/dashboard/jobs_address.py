"""Where the list of jobs that fit a filter is."""

from typing import Any
from urllib.parse import urlencode

from api.dashboard.query_text import text_of


def jobs_address(**filter: Any) -> str:  # noqa: A002
    """The address of the list of jobs, by the words of ``GET /jobs``; what is None or empty is left out."""
    text = text_of(filter)
    return f"/ui/jobs?{urlencode({'q': text})}" if text else "/ui/jobs"
