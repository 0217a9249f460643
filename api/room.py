"""Room for large bodies: so many bytes of them a process holds at once, however many send some, and however slowly."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from api.errors import RETRY_AFTER
from api.problems import UNAVAILABLE, Problem

#: A body of so many bytes needs no room: there are as many of these as there are connections.
SMALL: Final = 1_048_576


class Room:
    """So many bytes, which all large bodies share."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._taken = 0

    @contextmanager
    def share(self) -> Iterator["Share"]:
        """Room for one body, until all is done with it."""
        share = Share(self)
        try:
            yield share
        finally:
            self._taken -= share.taken

    def take(self, taken: int, size: int) -> None:
        """Have so many bytes instead of those that one has taken."""
        if self._taken - taken + size > self._most:
            detail = "Too many large bodies are on their way. Nothing was accepted: send it again."
            raise Problem(UNAVAILABLE, detail, headers=RETRY_AFTER)
        self._taken += size - taken


class Share:
    """What one body takes of the room."""

    def __init__(self, room: Room) -> None:
        self.taken = 0
        self._room = room

    def grow(self, size: int) -> None:
        """Take room for a body that has so many bytes by now.

        Raises:
            Problem: there is none left (503).
        """
        if size > SMALL:
            self._room.take(self.taken, size)
            self.taken = size
