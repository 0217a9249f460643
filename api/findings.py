"""What coroutines ask of the inquiries."""

import asyncio
from collections.abc import Callable
from typing import Any, Final, TypeVar

from api.answers import Answers
from jobplatform.inquiries import PATIENCE, Inquiries

_T = TypeVar("_T")

#: A question may wait so long, and may be asked twice.
_LONGEST_MS: Final = 3 * PATIENCE * 1_000


class Findings:
    """Long reads for the coroutines of one event loop."""

    def __init__(self, inquiries: Inquiries) -> None:
        self._inquiries = inquiries
        self._answers = Answers(_LONGEST_MS)

    def ask(self, function: Callable[..., _T], *args: Any) -> "asyncio.Future[_T]":
        """Await this for what the function, called in one of the inquiries' threads, finds.

        Raises (when awaited):
            DatabaseUnavailable: Postgres does not answer in time.
        """
        return self._answers.of(self._inquiries.ask(function, *args))
