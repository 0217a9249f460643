"""What every item has that can be asked of the journal in a batch with others."""

from collections.abc import Sequence
from typing import Any, Protocol

from jobplatform.journal.hint import Hint


class Item(Protocol):
    """One thing to write, and how to read the statement's answer to it."""

    @property
    def deadline(self) -> float | None:
        """A monotonic time after which nobody waits for the answer. None: write it, whenever that may be."""

    @property
    def size(self) -> int:
        """How much text it carries, in characters."""

    @property
    def locks(self) -> str | None:
        """The id of the job whose row it changes; None where it only adds rows."""

    def rows(self) -> Sequence[tuple[Any, ...]]:
        """Its rows in its statement's batch: one, but for a batch of new jobs."""

    def answer(self, rows: Sequence[tuple[Any, ...]]) -> tuple[Any, list[Hint]]:
        """What the asker gets, and the hints to send, from the statement's answer to those rows."""
