"""Reading a stream of server-sent events."""

from collections.abc import Iterator
from typing import Any

import msgspec


def server_sent(lines: Iterator[str]) -> Iterator[tuple[str, int | None, dict[str, Any]]]:
    """Kind, id and data of each event of a stream."""
    fields: dict[str, str] = {}
    for line in lines:
        if line and not line.startswith(":"):
            name, _, value = line.partition(":")
            fields[name] = value.removeprefix(" ")
        elif not line and "data" in fields:
            number = fields.get("id")
            yield (
                fields.get("event", "transition"),
                int(number) if number else None,
                msgspec.json.decode(fields["data"]),
            )
            fields = {}
        elif not line:
            fields = {}
