"""What a worker process has in its hands: claims under way, attempts that run, and outcomes not yet written (P6)."""

import threading
from collections.abc import Collection

from jobplatform.attempt import Attempt


class Hands:
    """By the claims' tokens. Used by every worker thread, the writer and the lifeline."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._held: dict[str, Attempt | None] = {}
        #: Those whose actor began, whose outcome was lost, and that must not run twice: few, and kept to the end.
        self._not_again: set[str] = set()
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

    def lose(self, attempt: Attempt) -> None:
        """Its outcome will not be written: it is in no hand, and two looks will tell."""
        with self._lock:
            self._held.pop(attempt.token, None)
            if attempt.begun and attempt.on_crash == "fail":
                self._not_again.add(attempt.token)

    def may_run_again(self, token: str) -> bool:
        """Whether what ran under this token may run elsewhere: all but lost attempts that may not (P21)."""
        with self._lock:
            return token not in self._not_again

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
