"""Asking an API as no well-behaved client would: with headers of any kind, and bodies shorter than announced."""

from collections.abc import Mapping
from http.client import HTTPConnection, HTTPMessage
from typing import NamedTuple


class Answer(NamedTuple):
    """An answer as it came: of a stream that does not end only the beginning."""

    status: int
    headers: HTTPMessage
    body: bytes


def ask(
    port: int, method: str, target: str, headers: Mapping[str, str], body: bytes | None = None, timeout: float = 20
) -> Answer:
    """Send one request, byte by byte as it is given, on a connection of its own. Redirects none, retries nothing."""
    connection = HTTPConnection("127.0.0.1", port, timeout=timeout)
    try:
        length = {"Content-Length": str(len(body))} if body is not None else {}
        connection.putrequest(method, target, skip_accept_encoding=True)
        for name, value in {**length, "Connection": "close", **headers}.items():
            connection.putheader(name, value)
        connection.endheaders(body)
        answer = connection.getresponse()
        endless = answer.headers.get_content_type() == "text/event-stream"
        return Answer(answer.status, answer.headers, answer.readline() if endless else answer.read())
    finally:
        connection.close()
