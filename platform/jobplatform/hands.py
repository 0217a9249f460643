"""What a worker process has in its hands: claims under way, attempts that run, and outcomes not yet written (P6)."""

import threading
from collections.abc import Collection

from jobplatform.attempt import Attempt


class Hands:
    """By the claims' tokens. Used by every worker thread, the writer and the lifeline."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._held: dict[str, Attempt | None] = {}
        self._seen_in_none: set[str] = set()

    def expect(self, token: str) -> None:
        """A claim under this token is under way."""
        with self._lock:
            self._held[token] = None

    def take(self, attempt: Attempt) -> None:
        """The claim was granted."""
        with self._lock:
            self._held[attempt.token] = attempt

    def let_go(self, token: str) -> None:
        """The claim was refused, or the outcome is written."""
        with self._lock:
            self._held.pop(token, None)

    def attempts(self) -> dict[str, Attempt]:
        """The attempts that were granted and whose outcomes are not yet written."""
        with self._lock:
            return {token: attempt for token, attempt in self._held.items() if attempt is not None}

    def dropped(self, running: Collection[str]) -> set[str]:
        """Of the tokens that rows run under, those that were in no hand at two looks in a row."""
        with self._lock:
            unheld = {token for token in running if token not in self._held}
        dropped, self._seen_in_none = unheld & self._seen_in_none, unheld
        return dropped
