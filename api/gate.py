"""What every request passes before it is routed: its id, who sends it, how many it may send; and the headers that
every answer gets on its way out.

It is no middleware of Falcon's, which would cost several times as much (docs/decisions/0012, 0041).
"""

import re
from collections.abc import Awaitable, Callable
from itertools import count
from typing import Any, Final
from urllib.parse import quote
from uuid import uuid4

from api.cors import Cors
from api.dashboard.faults import Faults
from api.dashboard.page import POLICY
from api.dashboard.session import COOKIE, Session, Sessions
from api.errors import RETRY_AFTER, in_general
from api.keys import SAFE, Keys, is_page, scope_for
from api.problems import FORBIDDEN, TOO_MANY_REQUESTS, UNAUTHORIZED, UNAVAILABLE, Problem, document
from api.rate_limit import RateLimit
from jobplatform.errors import DatabaseUnavailable
from jobplatform.settings import Settings

Send = Callable[[dict[str, Any]], Awaitable[None]]
Headers = list[tuple[bytes, bytes]]

_REQUEST_ID: Final = re.compile(rb"[\x21-\x7e]{1,128}")

#: An answer that brings a policy of its own, such as a page, keeps it. Its forms must tell where they come from.
_OWN_POLICY: Final = (b"referrer-policy", b"same-origin")
_POLICY: Final = (
    (b"content-security-policy", b"default-src 'none'; frame-ancestors 'none'"),
    (b"referrer-policy", b"no-referrer"),
)
_SECURITY: Final = (
    (b"x-content-type-options", b"nosniff"),
    (b"x-frame-options", b"DENY"),
    (b"cross-origin-resource-policy", b"same-origin"),
)


#: What pages lead to that is no page: files, streams, what is too long for a page. A browser sends no header of ours
#: for them.
_BEHIND_PAGES: Final = re.compile(r"/jobs/[0-9a-fA-F-]{36}(/(output|events|payloads))?")


class _NotSignedIn(Exception):
    """Nobody is signed in."""


class Gate:
    """Lets requests in, or answers them itself: with a problem, or, where people are, with a page."""

    def __init__(self, settings: Settings, sessions: Sessions | None = None, faults: Faults | None = None) -> None:
        self._sessions = sessions
        self._faults = faults
        self._keys = Keys(settings.api_keys) if settings.api_keys else None
        self._cors = Cors(settings.cors_origins) if settings.cors_origins else None
        self._limit = RateLimit(settings.rate_limit, settings.redis_url) if settings.rate_limit else None

        # Of the UUIDs of one process only the end differs: a new one each time would cost as much as all else here.
        self._ids = str(uuid4())[:24].encode()
        self._numbers = count()

    async def enter(self, scope: dict[str, Any], send: Send) -> Send | None:
        """How to send the answer to a request that may come in; None if it was answered here.

        Sets `jobplatform.request_id`, and `jobplatform.who` where a key was shown.
        """
        scope["headers"] = headers = [(name, value) for name, value in scope["headers"]]  # may be read only once
        given: dict[bytes, bytes] = dict(headers)
        request_id = given.get(b"x-request-id", b"")
        if not _REQUEST_ID.fullmatch(request_id):
            request_id = b"%s%012x" % (self._ids, next(self._numbers))
        scope["jobplatform.request_id"] = request_id.decode()
        added: Headers = [(b"x-request-id", request_id), *_SECURITY]
        if self._cors:
            added += self._cors.headers(given)

        async def send_with_headers(event: dict[str, Any]) -> None:
            if event["type"] == "http.response.start":
                headers: Headers = event["headers"]
                for name, _ in headers:
                    if name == b"content-security-policy":
                        event["headers"] = [*headers, *added, _OWN_POLICY]
                        break
                else:
                    event["headers"] = [*headers, *added, *_POLICY]
            await send(event)

        if self._cors and self._cors.is_preflight(scope["method"], given):
            await _answer(send_with_headers, 204, self._cors.preflight(), b"")
            return None
        try:
            refused = await self._refuse_or_count(scope, given)
        except _NotSignedIn:
            await _answer(send_with_headers, *_to_sign_in(scope, given))
            return None
        if refused is None:
            return send_with_headers
        await self._tell(refused, scope, send_with_headers)
        return None

    async def _tell(self, refused: Problem, scope: dict[str, Any], send: Send) -> None:
        headers: Headers = [(b"cache-control", b"no-store")]
        if self._faults is not None and is_page(scope["path"]):
            body = self._faults.page(refused, scope["jobplatform.request_id"])
            headers += [(b"content-type", b"text/html; charset=utf-8"), (b"content-security-policy", POLICY.encode())]
        else:
            body = document(refused, scope["path"])
            headers += [(b"content-type", b"application/problem+json")]
        headers += [(name.lower().encode(), value.encode()) for name, value in dict(refused.headers or ()).items()]
        await _answer(send, refused.status_code, headers, body, only_head=scope["method"] == "HEAD")

    async def _refuse_or_count(self, scope: dict[str, Any], given: dict[bytes, bytes]) -> Problem | None:
        safe, path = scope["method"] in SAFE, scope["path"]
        if safe and self._keys is None:
            refused = None
        elif is_page(path) or (safe and _BEHIND_PAGES.fullmatch(path)):
            refused = await self._refuse_on_pages(scope, given)
        else:
            refused = self._refuse(scope, given)
        if refused is None and self._limit is not None:
            refused = await _too_many(self._limit, scope)
        return refused

    def _refuse(self, scope: dict[str, Any], given: dict[bytes, bytes]) -> Problem | None:
        method = scope["method"]
        if self._keys is None:
            return self._refuse_other_sites(given)
        needed = scope_for(method, scope["path"])
        if needed is None:
            return None
        if (authorization := given.get(b"authorization")) is None:
            return _unauthorized("Show a key: Authorization: Bearer <key>.", "Bearer")
        if (key := self._keys.find(authorization)) is None:
            return _unauthorized("This is no key of this platform.", 'Bearer error="invalid_token"')
        if needed not in key.scopes:
            wanted = f'Bearer error="insufficient_scope", scope="{needed}"'
            return Problem(
                FORBIDDEN, f"This needs a key with the scope {needed}.", headers={"WWW-Authenticate": wanted}
            )
        scope["jobplatform.who"] = key.name
        scope["jobplatform.scopes"] = key.scopes
        return None

    async def _refuse_on_pages(self, scope: dict[str, Any], given: dict[bytes, bytes]) -> Problem | None:
        """Where a browser shows its cookie in place of a key."""
        method, path = scope["method"], scope["path"]
        if method not in SAFE and (refused := _refuse_foreign_forms(given)):
            return refused
        needed = scope_for(method, path)
        if self._keys is None or self._sessions is None or needed is None or b"authorization" in given:
            return self._refuse(scope, given)
        try:
            session = await self._session(self._sessions, given)
        except DatabaseUnavailable as error:
            return Problem(UNAVAILABLE, in_general(error), headers=RETRY_AFTER)
        if session is None:
            if is_page(path):
                raise _NotSignedIn
            return self._refuse(scope, given)
        if needed not in session.scopes:
            return Problem(FORBIDDEN, f"This needs a key with the scope {needed}, and yours has it not.")
        scope["jobplatform.who"] = session.who
        scope["jobplatform.session"] = session
        return None

    async def _session(self, sessions: Sessions, given: dict[bytes, bytes]) -> Session | None:
        for cookie in given.get(b"cookie", b"").decode("latin-1").split(";"):
            name, _, value = cookie.strip().partition("=")
            if name == COOKIE:
                return await sessions.find(value.strip('"'))
        return None

    def _refuse_other_sites(self, given: dict[bytes, bytes]) -> Problem | None:
        """Where no key is asked for, a page of anybody's could make its visitors' browsers act on their jobs."""
        if (origin := given.get(b"origin")) is None or (self._cors and self._cors.allows(origin)):
            return None
        if _is_same_origin(origin, given):
            return None
        return Problem(FORBIDDEN, "Pages of other origins may not do this: CORS_ORIGINS lists none.")


def _is_same_origin(origin: bytes, given: dict[bytes, bytes]) -> bool:
    site = given.get(b"sec-fetch-site")
    return site in (b"same-origin", b"none") if site else origin.partition(b"//")[2] == given.get(b"host")


def _refuse_foreign_forms(given: dict[bytes, bytes]) -> Problem | None:
    """The pages' own forms come from the pages. What CORS_ORIGINS lists is for calls of the API."""
    if _is_same_origin(given.get(b"origin", b""), given):
        return None
    return Problem(FORBIDDEN, "This form was not sent by a page of this platform.")


def _to_sign_in(scope: dict[str, Any], given: dict[bytes, bytes]) -> tuple[int, Headers, bytes]:
    """Lead to the sign-in page, and from there back; a script that asks is told, and its page goes there."""
    address = "/ui/sign-in"
    if scope["method"] in SAFE and (scope["path"] != "/" or scope["query_string"]):
        query = scope["query_string"].decode("latin-1")
        address += f"?next={quote(scope['path'] + (f'?{query}' if query else ''), safe='/')}"
    headers: Headers = [(b"cache-control", b"no-store")]
    if b"hx-request" in given:
        return 401, [*headers, (b"hx-redirect", b"/ui/sign-in")], b""
    return 303, [*headers, (b"location", address.encode())], b""


async def _too_many(limit: RateLimit, scope: dict[str, Any]) -> Problem | None:
    if scope_for(scope["method"], scope["path"]) is None:
        return None
    who = scope.get("jobplatform.who")
    client = scope.get("client") or ("unknown",)
    headers = await limit.hit(f"key:{who}" if who else f"address:{client[0]}")
    return None if headers is None else Problem(TOO_MANY_REQUESTS, f"The limit is {limit}.", headers=headers)


def _unauthorized(detail: str, challenge: str) -> Problem:
    return Problem(UNAUTHORIZED, detail, headers={"WWW-Authenticate": challenge})


async def _answer(send: Send, status: int, headers: Headers, body: bytes, *, only_head: bool = False) -> None:
    headers = [*headers, (b"content-length", str(len(body)).encode())] if status != 204 else headers
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": b"" if only_head else body})
