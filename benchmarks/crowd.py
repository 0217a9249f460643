"""Many clients in a process of their own, that listen to all transitions or wait for the end of a job."""

import multiprocessing
import os
import re
import selectors
import socket
import time
import zlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from typing import Any, Final

#: Without chunks between them, the events are all that is in the body.
_LISTEN: Final = b"GET /events HTTP/1.0\r\nHost: benchmark\r\nAccept: text/event-stream\r\n\r\n"
_WAIT: Final = "GET /jobs/%s?wait=30 HTTP/1.1\r\nHost: benchmark\r\n\r\n"
_OPENING: Final = re.compile(rb": open\nretry: 1000\n\nid: \d+\n\n")
_ID: Final = re.compile(rb"^id: (\d+)$", re.MULTILINE)

_BUFFER: Final = memoryview(bytearray(262_144))


@dataclass
class _Listener:
    """A stream: how much was heard, and a checksum of it. The first one keeps it all."""

    length: int = 0
    checksum: int = 0
    kept: list[bytes] | None = None
    head: bytes = b""
    begun: bool = False

    def hear(self, data: bytes | memoryview) -> None:
        if not self.begun:
            self.head += data
            opening = _OPENING.search(self.head)
            self.begun = opening is not None
            data = self.head[opening.end() :] if opening else b""
        self.length += len(data)
        self.checksum = zlib.crc32(data, self.checksum)
        if self.kept is not None:
            self.kept.append(bytes(data))


@dataclass
class Heard:
    """What the crowd has heard: what the first listener was told, and how many heard exactly the same."""

    ids: list[int] = field(default_factory=list)
    alike: int = 0
    answers: int = 0
    cpu_seconds: float = 0.0


class Crowd:
    """Begins with ``start``; by then all listen and wait."""

    def __init__(self, host: str, port: int, listeners: int, waiting: Sequence[str]) -> None:
        """``waiting``: the jobs whose end is waited for, by a client each."""
        self._side, other = multiprocessing.Pipe()
        self._process = multiprocessing.get_context("spawn").Process(
            target=_run, args=(other, host, port, listeners, list(waiting)), daemon=True
        )

    def start(self) -> None:
        self._process.start()
        self._side.recv()

    def stop(self, transitions: int) -> Heard:
        """End it when the first listener has heard of so many transitions, or nothing came for five seconds."""
        self._side.send(transitions)
        heard: Heard = self._side.recv()
        self._process.join(10)
        return heard


def _run(side: Connection, host: str, port: int, listeners: int, waiting: Sequence[str]) -> None:
    os.nice(19)  # in life 400 clients have machines of their own: what they take of this one is no cost of the platform
    selector = selectors.DefaultSelector()
    crowd = [_Listener(kept=[] if number == 0 else None) for number in range(listeners)]
    for listener in crowd:
        selector.register(_connected(host, port, _LISTEN), selectors.EVENT_READ, listener)
    for job_id in waiting:
        request = (_WAIT % job_id).encode()
        selector.register(_connected(host, port, request), selectors.EVENT_READ, request)
    while not all(listener.begun for listener in crowd):
        _serve(selector)
    side.send("ready")
    began, answers = time.process_time(), 0
    while not side.poll():
        answers += _serve(selector)
    wanted, silent_since = side.recv(), time.monotonic()
    while time.monotonic() - silent_since < 5 and not _is_complete(crowd, wanted):
        before = sum(listener.length for listener in crowd)
        answers += _serve(selector)
        if sum(listener.length for listener in crowd) != before:
            silent_since = time.monotonic()
    heard = Heard(answers=answers, cpu_seconds=time.process_time() - began)
    if crowd:
        first = crowd[0]
        heard.ids = [int(number) for number in _ID.findall(b"".join(first.kept or ()))]
        heard.alike = sum((one.length, one.checksum) == (first.length, first.checksum) for one in crowd)
    side.send(heard)


def _is_complete(crowd: Sequence[_Listener], wanted: int) -> bool:
    """Whether all have heard as much as the first, and that has heard all."""
    if not crowd:
        return True
    if len({listener.length for listener in crowd}) > 1:
        return False
    return len(_ID.findall(b"".join(crowd[0].kept or ()))) >= wanted


def _serve(selector: selectors.BaseSelector) -> int:
    """Read what there is. Gives the number of waits that were answered, and asks again for them."""
    answers = 0
    for key, _ in selector.select(0.1):
        connection: Any = key.fileobj
        size = connection.recv_into(_BUFFER)
        if not size:
            selector.unregister(connection)
        elif isinstance(key.data, _Listener):
            key.data.hear(_BUFFER[:size])
        else:
            answers += 1
            connection.sendall(key.data)
    return answers


def _connected(host: str, port: int, request: bytes) -> socket.socket:
    connection = socket.create_connection((host, port))
    connection.sendall(request)
    return connection
