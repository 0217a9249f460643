"""CORS: which web pages of other origins may call the API. None, unless ``CORS_ORIGINS`` names them."""

from collections.abc import Sequence
from typing import Final

Headers = list[tuple[bytes, bytes]]

#: What a page may read beside the headers that browsers show anyway.
_EXPOSED: Final = (
    b"ETag, Location, Retry-After, X-Request-Id, Idempotency-Replayed, Preference-Applied, RateLimit,"
    b" RateLimit-Policy, WWW-Authenticate, Content-Disposition, Content-Range, Accept-Ranges, Repr-Digest"
)
_METHODS: Final = b"GET, HEAD, POST"
_SENT: Final = (
    b"Authorization, Content-Type, Idempotency-Key, If-None-Match, If-Range, Last-Event-ID, Prefer, Range, X-Request-Id"
)
#: For how long a browser need not ask again, in seconds.
_MAX_AGE: Final = b"600"


class Cors:
    """The origins that may. Cookies are never allowed: keys travel in ``Authorization``."""

    def __init__(self, origins: Sequence[str]) -> None:
        self._origins = frozenset(origin.encode() for origin in origins)

    def allows(self, origin: bytes) -> bool:
        """Whether the pages of this origin may call."""
        return origin in self._origins

    def headers(self, given: dict[bytes, bytes]) -> Headers:
        """What an answer says of it. All answers vary: a copy for one origin is of no use to another."""
        vary = (b"vary", b"Origin")
        origin = given.get(b"origin")
        if origin is None or not self.allows(origin):
            return [vary]
        return [vary, (b"access-control-allow-origin", origin), (b"access-control-expose-headers", _EXPOSED)]

    def is_preflight(self, method: str, given: dict[bytes, bytes]) -> bool:
        """Whether a browser asks on behalf of a page, before it sends the request itself."""
        return method == "OPTIONS" and b"origin" in given and b"access-control-request-method" in given

    def preflight(self) -> Headers:
        """What such a question is answered with; without `access-control-allow-origin` it means no."""
        return [
            (b"access-control-allow-methods", _METHODS),
            (b"access-control-allow-headers", _SENT),
            (b"access-control-max-age", _MAX_AGE),
        ]
