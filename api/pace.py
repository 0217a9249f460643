"""The pace of what looks again and again: quick while things happen, slower while nothing does, and never greedy."""

import asyncio
from typing import Final

#: A pause lasts so many times as long as the look before it, whatever happens: more looks would get in others' way.
SHARE: Final = 10
#: Where a look could not see all there is, they come closer.
SHARE_BEHIND: Final = 3
#: But it lasts no longer than this, in seconds, however slow a machine may be.
LONGEST: Final = 0.5
#: By how much a pause is longer than the one before it, while nothing happens.
_GROWTH: Final = 1.5


class Pace:
    """The pauses between looks."""

    def __init__(self, quick: float, slow: float) -> None:
        """The shortest pause, and the longest while nothing happens, in seconds."""
        self._quick = quick
        self._slow = slow
        self._pause = quick
        self._began = 0.0
        self._took = 0.0
        self._hurried = False
        self._resting: asyncio.Future[None] | None = None

    def begin(self) -> None:
        """A look begins."""
        self._hurried = False
        self._began = asyncio.get_running_loop().time()

    def looked(self) -> None:
        """The look is over."""
        self._took = asyncio.get_running_loop().time() - self._began

    def hurry(self) -> None:
        """Somebody waits for a look that begins after this."""
        self._hurried = True
        if self._resting is not None:
            _end(self._resting)

    async def rest(self, *, news: bool, behind: bool = False) -> None:
        """Wait for the time of the next look. ``news``: the last one has seen something; ``behind``: not yet all."""
        least = max(self._quick, min((SHARE_BEHIND if behind else SHARE) * self._took, LONGEST))
        self._pause = max(least, self._quick if news else min(_GROWTH * self._pause, self._slow))
        await asyncio.sleep(least)
        if not self._hurried and self._pause > least:
            await self._rest(self._pause - least)
        if self._hurried:
            self._pause = self._quick

    async def _rest(self, seconds: float) -> None:
        loop = asyncio.get_running_loop()
        self._resting = loop.create_future()
        timer = loop.call_later(seconds, _end, self._resting)
        try:
            await self._resting
        finally:
            timer.cancel()
            self._resting = None


def _end(resting: "asyncio.Future[None]") -> None:
    if not resting.done():
        resting.set_result(None)
