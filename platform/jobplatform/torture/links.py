"""TCP links that can be hurt: each stands between one group of processes and one server."""

import asyncio
import socket
import threading
from collections.abc import Coroutine
from contextlib import suppress
from typing import Any, Final

_CHUNK: Final = 65_536


class Links:
    """All links of a run, served by one thread."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._links: list[Link] = []
        self._thread = threading.Thread(target=self._loop.run_forever, name="links", daemon=True)
        self._thread.start()

    def add(self, name: str, target: int) -> "Link":
        """A link to a port of this machine."""
        link = Link(name, target, self._loop)
        self._links.append(link)
        self.run(link.open())
        return link

    def run(self, coroutine: Coroutine[Any, Any, None]) -> None:
        """Do something in the links' thread, and wait for it."""
        asyncio.run_coroutine_threadsafe(coroutine, self._loop).result(30)

    def close(self) -> None:
        """Cut everything."""
        for link in self._links:
            self.run(link.close())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()


class Link:
    """One listening port before one server. Its faults may be called from any thread."""

    def __init__(self, name: str, target: int, loop: asyncio.AbstractEventLoop) -> None:
        self.name = name
        self.port = 0
        self._target = target
        self._loop = loop
        self._server: asyncio.Server | None = None
        self._serving: set[asyncio.Task[None]] = set()
        self._pairs: set[tuple[asyncio.StreamWriter, asyncio.StreamWriter]] = set()
        self._delay = 0.0
        self._refuses = False
        self._flows = asyncio.Event()
        self._flows.set()

    async def open(self) -> None:
        """Listen."""
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]

    async def close(self) -> None:
        """Listen no more, and end what is carried."""
        if self._server is not None:
            self._server.close()
        self._flows.set()
        self._reset()
        if self._serving:
            await asyncio.wait(self._serving, timeout=5)

    def cut(self) -> None:
        """Reset every connection; new ones are welcome."""
        self._loop.call_soon_threadsafe(self._reset)

    def refuse(self) -> None:
        """Reset every connection, and each new one too, until `heal`."""
        self._refuses = True
        self.cut()

    def stall(self) -> None:
        """Carry nothing until `heal`; then go on as if nothing had been."""
        self._loop.call_soon_threadsafe(self._flows.clear)

    def lose_server_side(self) -> None:
        """The server sees its connections end, while the clients wait for answers; until `heal`, which resets them."""
        self.stall()
        self._loop.call_soon_threadsafe(self._end_server_side)

    def slow_down(self, seconds: float) -> None:
        """Delay every piece in both directions until `heal`."""
        self._delay = seconds

    def heal(self, *, reset: bool = False) -> None:
        """Be a plain link again."""
        self._delay = 0.0
        self._refuses = False
        if reset:
            self.cut()
        self._loop.call_soon_threadsafe(self._flows.set)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None  # noqa: S101 - this runs in one
        self._serving.add(task)
        try:
            await self._carry(reader, writer)
        finally:
            self._serving.discard(task)

    async def _carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self._refuses:
            _abort(writer)
            return
        try:
            upstream_reader, upstream = await asyncio.open_connection("127.0.0.1", self._target)
        except OSError:
            _abort(writer)
            return
        for each in (writer, upstream):
            each.get_extra_info("socket").setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        pair = (writer, upstream)
        self._pairs.add(pair)
        await asyncio.gather(self._pump(reader, upstream), self._pump(upstream_reader, writer))
        self._pairs.discard(pair)

    async def _pump(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while data := await reader.read(_CHUNK):
                if self._delay:
                    await asyncio.sleep(self._delay)
                await self._flows.wait()
                writer.write(data)
                await writer.drain()
            await self._flows.wait()
        except OSError:
            pass
        finally:
            with suppress(OSError):
                writer.close()

    def _reset(self) -> None:
        for pair in list(self._pairs):
            for each in pair:
                _abort(each)

    def _end_server_side(self) -> None:
        for _, upstream in list(self._pairs):
            _abort(upstream)


def _abort(writer: asyncio.StreamWriter) -> None:
    transport = writer.transport
    with suppress(OSError, AttributeError):
        transport.abort()
