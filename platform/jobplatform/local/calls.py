"""Calls to the platform's own API over HTTP, with what the standard library offers."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from http.client import HTTPConnection, HTTPException
from typing import Any, Final
from urllib.parse import urlsplit

_TIMEOUT_SECONDS: Final = 10


@dataclass(frozen=True)
class Answer:
    """A status and what the body holds: JSON's values, or None where it is no JSON."""

    status: int
    content: Any


def call(method: str, url: str, content: Any = None, headers: Mapping[str, str] | None = None) -> Answer | None:
    """Ask; None if nothing answers there, or nothing that speaks HTTP. Never through a proxy."""
    parts = urlsplit(url)
    connection = HTTPConnection(parts.hostname or "", parts.port or 80, timeout=_TIMEOUT_SECONDS)
    try:
        body = None if content is None else json.dumps(content).encode()
        target = f"{parts.path or '/'}{'?' * bool(parts.query)}{parts.query}"
        kind = {"Content-Type": "application/json"} if body is not None else {}
        connection.request(method, target, body, kind | dict(headers or {}))
        response = connection.getresponse()
        return Answer(response.status, _parsed(response.read()))
    except (OSError, HTTPException):
        return None
    finally:
        connection.close()


def base_url(host: str, port: int) -> str:
    """Where to ask an API that listens on this host, be it all of the machine's addresses."""
    reachable = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)  # noqa: S104 - compared, not bound
    return f"http://[{reachable}]:{port}" if ":" in reachable else f"http://{reachable}:{port}"


def _parsed(body: bytes) -> Any:
    try:
        return json.loads(body)
    except ValueError:
        return None
