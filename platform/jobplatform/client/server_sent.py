"""Reading a stream of server-sent events."""

from collections.abc import Iterable, Iterator
from typing import Any

import msgspec


def server_sent(pieces: Iterable[bytes]) -> Iterator[tuple[str, int | None, dict[str, Any]]]:
    """Kind, id and data of each event of a stream. An id that comes alone has an empty kind, and no data."""
    fields: dict[str, str] = {}
    for line in _lines(pieces):
        if line and not line.startswith(":"):
            name, _, value = line.partition(":")
            fields[name] = value.removeprefix(" ")
        elif not line:
            number = int(fields["id"]) if fields.get("id") else None
            if "data" in fields:
                yield fields.get("event", "transition"), number, msgspec.json.decode(fields["data"])
            elif number is not None:
                yield "", number, {}
            fields = {}


def _lines(pieces: Iterable[bytes]) -> Iterator[str]:
    """Lines end with a line feed alone: JSON may hold all else that Unicode calls an end."""
    rest = b""
    for piece in pieces:
        *whole, rest = (rest + piece).split(b"\n")
        for line in whole:
            yield line.decode()
