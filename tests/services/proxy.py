"""A TCP proxy that loses an answer on its way: what was asked has been done, and the asker never hears of it."""

import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from urllib.parse import urlsplit, urlunsplit

_CHUNK = 65_536


class Proxy:
    """Stands before one server on 127.0.0.1. Tell it what to lose, and ask what it lost."""

    def __init__(self, port: int) -> None:
        #: How often an answer was lost.
        self.lost = 0
        self._target = port
        #: What was answered, the lost answers left out.
        self.said = b""
        self._marker: bytes | None = None
        self._connections: list[_Connection] = []
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._sockets: list[socket.socket] = [self._listener]
        self._thread = threading.Thread(target=self._accept, daemon=True)
        self._thread.start()

    def url(self, url: str) -> str:
        """The server's address, by way of this proxy."""
        parts = urlsplit(url)
        _, port = self._listener.getsockname()
        return urlunsplit(parts._replace(netloc=parts.netloc.replace(f":{parts.port}", f":{port}")))

    def lose_answer_to(self, marker: str) -> None:
        """Cut the connection when the server has answered the next request that holds this text."""
        self._marker = marker.encode()

    def lose_what_comes(self) -> None:
        """Cut each connection that there is when its server says something more."""
        for connection in self._connections:
            connection.cut = True

    def refuse_connections(self) -> None:
        """From now on nobody else can connect."""
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()

    def close(self) -> None:
        for each in self._sockets:
            with suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)
            each.close()
        self._thread.join()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            server = socket.create_connection(("127.0.0.1", self._target))
            self._sockets += [client, server]
            connection = _Connection(client, server, self._take_marker, self._note)
            self._connections.append(connection)
            threading.Thread(target=connection.ask, daemon=True).start()
            threading.Thread(target=connection.answer, daemon=True).start()

    def _note(self, data: bytes) -> None:
        self.said += data

    def _take_marker(self, request: bytes) -> bool:
        if self._marker is None or self._marker not in request:
            return False
        self._marker = None
        self.lost += 1
        return True


class _Connection:
    def __init__(
        self,
        client: socket.socket,
        server: socket.socket,
        loses: Callable[[bytes], bool],
        note: Callable[[bytes], None],
    ) -> None:
        self._client = client
        self._server = server
        self._loses = loses
        self._note = note
        self.cut = False

    def ask(self) -> None:
        while data := _receive(self._client):
            self.cut = self.cut or self._loses(data)
            _send(self._server, data)
        _end(self._server)

    def answer(self) -> None:
        # The first words of an answer come when all of a simple query is done, its commit included.
        while (data := _receive(self._server)) and not self.cut:
            _send(self._client, data)
            self._note(data)
        _end(self._client)
        _end(self._server)


def _receive(source: socket.socket) -> bytes:
    try:
        return source.recv(_CHUNK)
    except OSError:
        return b""


def _send(target: socket.socket, data: bytes) -> None:
    with suppress(OSError):
        target.sendall(data)


def _end(each: socket.socket) -> None:
    with suppress(OSError):
        each.shutdown(socket.SHUT_RDWR)


@contextmanager
def proxy_before(url: str) -> Iterator[Proxy]:
    """A proxy before the server that this address names."""
    proxy = Proxy(urlsplit(url).port or 0)
    try:
        yield proxy
    finally:
        proxy.close()
