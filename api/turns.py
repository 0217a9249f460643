"""Long work in the event loop, done a little at a time: all others have their turns in between."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from typing import Final, TypeVar

_T = TypeVar("_T")

#: So many things are done in one turn: it takes about a millisecond.
_TURN: Final = 100


async def in_turns(things: Sequence[_T]) -> AsyncIterator[Sequence[_T]]:
    """Give a list's things in slices, and let the others have their turn after each."""
    for start in range(0, len(things), _TURN):
        yield things[start : start + _TURN]
        await asyncio.sleep(0)
