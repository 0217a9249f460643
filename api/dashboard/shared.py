"""What is made once for all who look at the same thing within a few seconds."""

import asyncio
from collections.abc import Awaitable, Callable, Hashable
from typing import Final, Generic, TypeVar

Key = TypeVar("Key", bound=Hashable)
Made = TypeVar("Made")

#: So many things are kept at the most, and those that are being made.
_MOST: Final = 50


class Shared(Generic[Key, Made]):
    """Makes a thing when it is first asked for, and gives it to everybody until it is some seconds old."""

    def __init__(self, make: Callable[[Key], Awaitable[Made]], seconds: float) -> None:
        self._make = make
        self._seconds = seconds
        self._made: dict[Key, tuple[float, asyncio.Task[Made]]] = {}

    async def get(self, key: Key) -> Made:
        """The thing for this key. Raises what its making raised, and does not keep that."""
        now = asyncio.get_running_loop().time()
        kept = self._made.get(key)
        if kept is None or (kept[1].done() and (now - kept[0] > self._seconds or _failed(kept[1]))):
            kept = self._made[key] = now, asyncio.ensure_future(self._make(key))
            kept[1].add_done_callback(_failed)  # where all who asked are gone, nobody else looks at what went wrong
            self._forget()
        return await asyncio.shield(kept[1])

    def _forget(self) -> None:
        if len(self._made) > _MOST:
            made = [key for key, (_, task) in self._made.items() if task.done()]
            for key in sorted(made, key=lambda key: self._made[key][0])[: len(self._made) - _MOST]:
                del self._made[key]


def _failed(task: "asyncio.Task[Made]") -> bool:
    return task.cancelled() or task.exception() is not None
