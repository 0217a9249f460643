"""Who looks at the pages: the holder of a key, whom a signed cookie remembers; or anybody, where no keys are set."""

import hashlib
import hmac
import time
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import msgspec

from api.findings import Findings
from api.keys import Keys
from api.request import ANONYMOUS, Request
from jobplatform.api_key import SCOPES, ApiKey
from jobplatform.queries.secret import secret

COOKIE: Final = "jobplatform_session"
#: How long a session lasts, in seconds.
LIFETIME: Final = 12 * 3600

_DIGEST_BYTES: Final = 8
_LONGEST: Final = 500


@dataclass(frozen=True, slots=True)
class Session:
    """Somebody who looks at the pages. ``keyed`` is whether they signed in."""

    who: str
    scopes: frozenset[str]
    #: What each form must bring.
    csrf: str
    keyed: bool

    def may(self, scope: str) -> bool:
        """Whether their key has this scope."""
        return scope in self.scopes

    def has_token(self, token: str) -> bool:
        """Whether a form brought what was put into it when it was shown to this session."""
        return hmac.compare_digest(self.csrf.encode(), token.encode())


class _Kept(msgspec.Struct, array_like=True, frozen=True):
    """What the cookie holds: never the key, and too little of its digest to be of use."""

    name: str
    digest: str
    expires_at: int


class Sessions:
    """Opens sessions, and finds them again by their cookies."""

    def __init__(self, findings: Findings, keys: Sequence[ApiKey]) -> None:
        self._findings = findings
        self._keys = keys
        self._by_digest = {key.digest[:_DIGEST_BYTES].hex(): key for key in keys}
        self._shown = Keys(keys)
        self._secret: bytes | None = None

    @property
    def keyed(self) -> bool:
        """Whether one must sign in."""
        return bool(self._keys)

    async def open(self, key: str) -> str | None:
        """The cookie of a new session for whoever shows this key; None if it is none of ours, or may not read."""
        found = self._shown.find(b"Bearer " + key.strip().encode())
        if found is None or "read" not in found.scopes:
            return None
        kept = _Kept(found.name, found.digest[:_DIGEST_BYTES].hex(), int(time.time()) + LIFETIME)
        text = msgspec.json.encode(kept)
        return _encoded(text) + "." + _encoded(await self._sign(b"session", text))

    async def find(self, cookie: str) -> Session | None:
        """The session of a cookie; None if it is over, is not ours, or its key is no longer among the keys.

        Raises:
            DatabaseUnavailable: the secret that cookies are signed with cannot be read.
        """
        text, _, signature = cookie.partition(".")
        try:
            if len(cookie) > _LONGEST:
                return None
            decoded, signed = _decoded(text), _decoded(signature)
        except ValueError:
            return None
        if not hmac.compare_digest(signed, await self._sign(b"session", decoded)):
            return None
        kept = msgspec.json.decode(decoded, type=_Kept)
        key = self._by_digest.get(kept.digest)
        if key is None or key.name != kept.name or kept.expires_at <= time.time():
            return None
        return Session(key.name, key.scopes, await self._token(cookie), keyed=True)

    async def of(self, req: Request) -> Session:
        """The session of a request that the gate let in."""
        session: Session | None = req.scope.get("jobplatform.session")
        if session is not None:
            return session
        # Without keys anybody may do anything. With them, this is a program that showed its key in a header.
        scopes: Any = req.scope.get("jobplatform.scopes", frozenset(SCOPES))
        return Session(req.who, scopes, await self._token(req.who), keyed=req.who != ANONYMOUS)

    async def _token(self, of: str) -> str:
        return _encoded(await self._sign(b"form", of.encode()))

    async def _sign(self, what: bytes, text: bytes) -> bytes:
        if self._secret is None:
            self._secret = await self._findings.ask(secret, "session")
        return hmac.digest(self._secret, what + b"\0" + text, hashlib.sha256)


def _encoded(text: bytes) -> str:
    return urlsafe_b64encode(text).rstrip(b"=").decode()


def _decoded(text: str) -> bytes:
    return urlsafe_b64decode(text.encode("ascii") + b"==")
