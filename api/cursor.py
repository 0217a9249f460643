"""Cursors: where a list goes on, as a text that is opaque to clients and signed, so that it is ours or refused.

See docs/decisions/0040-signed-cursors.md.
"""

import hashlib
import hmac
from base64 import urlsafe_b64decode, urlsafe_b64encode
from typing import Any, Final

import msgspec

from api.findings import Findings
from api.problems import INVALID_PARAMETER, Problem
from jobplatform.queries.secret import secret

_SIGNATURE_BYTES: Final = 16
_LONGEST: Final = 1_000


class Cursors:
    """Writes and reads cursors. Each belongs to one list: the path, with its filters and order."""

    def __init__(self, findings: Findings) -> None:
        self._findings = findings
        self._key: bytes | None = None

    async def write(self, position: Any, of: object) -> str | None:
        """The cursor of a position, which is anything that JSON holds. None of None: there the list ends."""
        if position is None:
            return None
        text = msgspec.json.encode(position)
        return urlsafe_b64encode(text + await self._signature(text, of)).rstrip(b"=").decode()

    async def read(self, cursor: str | None, of: object) -> Any:
        """The position of a cursor. None of None: there the list begins.

        Raises:
            Problem: it is no cursor of this list (400).
        """
        if cursor is None:
            return None
        signed = _decoded(cursor)
        text, signature = signed[:-_SIGNATURE_BYTES], signed[-_SIGNATURE_BYTES:]
        if not hmac.compare_digest(signature, await self._signature(text, of)):
            raise _foreign()
        return msgspec.json.decode(text)

    async def _signature(self, text: bytes, of: object) -> bytes:
        if self._key is None:
            self._key = await self._findings.ask(secret, "cursor")
        return hmac.digest(self._key, repr(of).encode() + b"\0" + text, hashlib.sha256)[:_SIGNATURE_BYTES]


def _decoded(cursor: str) -> bytes:
    try:
        if len(cursor) > _LONGEST:
            raise ValueError
        signed = urlsafe_b64decode(cursor.encode("ascii") + b"==")
    except ValueError:
        raise _foreign() from None
    # Several texts decode to the same bytes. Only one of them is what was written.
    if urlsafe_b64encode(signed).rstrip(b"=") != cursor.encode():
        raise _foreign()
    return signed


def _foreign() -> Problem:
    return Problem(
        INVALID_PARAMETER, "cursor must be the next of an answer to this same call, with the same filters and order."
    )
