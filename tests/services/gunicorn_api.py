"""A running API, and how to talk to it: by a client, or byte by byte."""

import socket
from collections import Counter
from collections.abc import Iterator
from contextlib import closing, contextmanager
from typing import Any

import httpx
import psycopg2

from tests.services.processes import Process

GREETING = b'{"type": "GREETING", "payload": {"name": "Ada"}}'
JSON = {"Content-Type": "application/json"}


class Api:
    """A running API and how to talk to it."""

    def __init__(self, process: Process, port: int, database_url: str) -> None:
        self.process = process
        self.port = port
        self._database_url = database_url
        self.client = httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=20)

    def submit(self, body: bytes = GREETING) -> httpx.Response:
        return self.client.post("/jobs", content=body, headers=JSON)

    def query(self, statement: str) -> list[tuple[Any, ...]]:
        with closing(psycopg2.connect(self._database_url)) as connection, connection.cursor() as cursor:
            cursor.execute(statement)
            return cursor.fetchall()

    @contextmanager
    def connection(self) -> Iterator[socket.socket]:
        with socket.create_connection(("127.0.0.1", self.port), timeout=20) as connection:
            yield connection

    def say(self, *pieces: bytes) -> tuple[int, bytes, bytes]:
        """Send bytes and give the status, head and body of the one answer, which must end the connection."""
        with self.connection() as connection:
            for piece in pieces:
                try:
                    connection.sendall(piece)
                except OSError:
                    break  # refused already: the answer is there to be read
            answer = everything(connection)
        head, _, body = answer.partition(b"\r\n\r\n")
        return int(head.split()[1]), head, body


def everything(connection: socket.socket) -> bytes:
    answer = b""
    while chunk := connection.recv(65_536):
        answer += chunk
    return answer


def who_answers(api: Api, connections: int) -> Counter[bytes]:
    """How many of these connections each process took: of the ids of one process's requests only the ends differ."""
    opened = [socket.socket() for _ in range(connections)]
    for connection in opened:
        connection.setblocking(False)
        connection.connect_ex(("127.0.0.1", api.port))
    answers: Counter[bytes] = Counter()
    for connection in opened:
        connection.settimeout(20)
        connection.sendall(b"GET /health HTTP/1.1\r\nHost: here\r\nConnection: close\r\n\r\n")
    for connection in opened:
        answers[everything(connection).lower().partition(b"x-request-id: ")[2][:24]] += 1
        connection.close()
    return answers
