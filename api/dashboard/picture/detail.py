"""What the detail of a transition says, as far as a person wants to read it at a glance."""

from datetime import datetime
from typing import Any

import msgspec


class Death(msgspec.Struct, rename="camel"):
    """What is known of the end of a worker."""

    host: str | None = None
    pid: int | None = None
    last_seen_at: datetime | None = None
    peak_memory_bytes: int | None = None
    last_lines: list[str] | None = None


class Error(msgspec.Struct):
    """Why an attempt ended."""

    kind: str | None = None
    type: str | None = None
    message: str | None = None
    traceback: str | None = None

    @property
    def name(self) -> str:
        """The class of the exception, or what else it was."""
        return self.type or self.kind or "an error"

    @property
    def said(self) -> str:
        """Its name, and the first line of what it said."""
        line = (self.message or "").partition("\n")[0]
        return f"{self.name}: {line}" if line else self.name


class Detail(msgspec.Struct):
    """The fields that have a meaning of their own. All others are left out, however long they are."""

    reason: str | None = None
    run_at: datetime | None = None
    error: Error | None = None
    death: Death | None = None
    resends: int | None = None
    outcome: str | None = None


_decode = msgspec.json.Decoder(Detail).decode
_decode_error = msgspec.json.Decoder(Error).decode


def read_detail(text: str | None) -> Detail:
    """What the JSON text of a detail says; nothing where it cannot be read."""
    return _read(_decode, text) or Detail()


def read_error(text: str | None) -> Error | None:
    """The JSON text of an error; None where there is none, or it cannot be read."""
    found: Error | None = _read(_decode_error, text)
    return found


def _read(decode: Any, text: str | None) -> Any:
    try:
        return decode(text) if text else None
    except msgspec.MsgspecError:
        return None
