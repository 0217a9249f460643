"""One client of a stream: what it is still to be sent, and whether it takes it."""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable
from typing import Final, Self

from api.server_sent import HEARTBEAT, OPENING
from jobplatform.errors import DatabaseUnavailable

#: Who has more bytes than this still to read, or has read nothing for so many seconds, is let go.
MOST_BYTES: Final = 1_048_576
LONGEST_STALL: Final = 30.0


class Watcher:
    """The body of a streamed answer, which Falcon iterates over.

    Many watchers hold the same pieces. What gathers while a client reads slowly goes out to it as one.
    """

    def __init__(self, forget: Callable[["Watcher"], None]) -> None:
        """``forget`` is called when the stream is over, whoever ended it."""
        self._forget = forget
        self._pieces = deque([OPENING])
        self._bytes = 0
        self._more: Callable[[], Awaitable[bool]] | None = None
        self._gone: Callable[[], Awaitable[None]] | None = None
        self._leaving: asyncio.Task[None] | None = None
        self._task: asyncio.Task[object] | None = None
        self._wanted: asyncio.Future[None] | None = None
        self._sending = True  # or not yet begun
        self._ended = False
        self._at = asyncio.get_running_loop().time()

    def until(self, gone: Callable[[], Awaitable[None]]) -> Self:
        """End the stream when this returns."""
        self._gone = gone
        return self

    def catch_up(self, more: Callable[[], Awaitable[bool]]) -> None:
        """Call this whenever the client has read all there is, as long as it answers that there is more."""
        self._more = more

    def put(self, piece: bytes) -> None:
        """Send this, after what waits already. A client that leaves too much unread is let go."""
        if self._ended:
            return
        if self._bytes > MOST_BYTES:
            self.let_go()
            return
        self._pieces.append(piece)
        self._bytes += len(piece)
        self._wake()

    def end(self) -> None:
        """End the stream when what waits is sent."""
        self._ended = True
        self._wake()

    def let_go(self) -> None:
        """End the stream now, even if its client does not read. It may come back, and go on where it was."""
        self._pieces.clear()
        self.end()
        if self._sending and self._task is not None:
            self._task.cancel()
        self._forget(self)

    def check(self, heartbeat: float) -> None:
        """Say a word to a client that has heard none for so many seconds, and let go one that does not listen."""
        silent = asyncio.get_running_loop().time() - self._at
        if self._sending and silent > LONGEST_STALL:
            self.let_go()
        elif self._wanted is not None and silent >= heartbeat:
            self.put(HEARTBEAT)

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> bytes:
        self._sending = False
        if self._task is None:
            self._task = asyncio.current_task()
            if self._gone is not None:
                self._leaving = asyncio.ensure_future(self._leave(self._gone))
        while not self._pieces:
            if self._ended:
                raise StopAsyncIteration
            if self._more is not None:
                await self._fetch(self._more)
            else:
                await self._wait()
        whole = self._pieces[0] if len(self._pieces) == 1 else b"".join(self._pieces)
        self._pieces.clear()
        self._bytes = 0
        self._sending = True
        self._at = asyncio.get_running_loop().time()
        return whole

    async def close(self) -> None:
        """Falcon calls this when it sends no more."""
        self._ended = True
        if self._leaving is not None:
            self._leaving.cancel()
        self._forget(self)

    async def _wait(self) -> None:
        self._wanted = asyncio.get_running_loop().create_future()
        try:
            await self._wanted
        finally:
            self._wanted = None

    async def _fetch(self, more: Callable[[], Awaitable[bool]]) -> None:
        try:
            if not await more():
                self._more = None
        except DatabaseUnavailable:
            self.end()

    async def _leave(self, gone: Callable[[], Awaitable[None]]) -> None:
        await gone()
        self.let_go()

    def _wake(self) -> None:
        if self._wanted is not None and not self._wanted.done():
            self._wanted.set_result(None)
