"""A request whose body can be read with a limit, and is never taken as whole when it is not."""

from typing import Final

import falcon.asgi

from api.problems import INCOMPLETE_BODY, TOO_LARGE, UNSUPPORTED_MEDIA_TYPE, Problem
from api.room import Share

_UNIDENTIFIED: Final = {"Accept-Encoding": "identity"}
_JSON_ONLY: Final = {"Accept-Post": "application/json"}
_FORM: Final = "application/x-www-form-urlencoded"


#: Who asks where no keys are.
ANONYMOUS: Final = "anonymous"


class Request(falcon.asgi.Request):
    """Falcon's request, with a way of our own to read a body.

    Falcon's stream takes a disconnect, and the server's giving up on a stalled body, for the end of the body.
    """

    @property
    def who(self) -> str:
        """The name of the key that was shown, which the transitions name."""
        who: str = self.scope.get("jobplatform.who", ANONYMOUS)
        return who

    @property
    def request_id(self) -> str | None:
        """Under what id this request is on record."""
        request_id: str | None = self.scope.get("jobplatform.request_id")
        return request_id

    async def gone(self) -> None:
        """Return when the client has gone."""
        while (await self._receive())["type"] != "http.disconnect":
            pass

    async def json_body(self, limit: int, share: Share | None = None) -> bytes:
        """The whole body, of at most `limit` bytes, that the headers say is JSON. It takes room as it grows.

        Raises:
            Problem: it says that it is something else (415), is longer (413), did not arrive whole (400), or there is
                no room for it (503).
        """
        self._refuse_what_is_not("application/json", _JSON_ONLY)
        return await self._whole_body(limit, share)

    async def form_body(self, limit: int) -> bytes:
        """The whole body, of at most `limit` bytes, that the headers say is a form. Raises as `json_body` does."""
        self._refuse_what_is_not(_FORM, {})
        return await self._whole_body(limit, None)

    async def _whole_body(self, limit: int, share: Share | None) -> bytes:
        expected = self.content_length
        if expected is not None and expected > limit:
            raise _too_large(limit)
        event = self._first_event or await self._receive()
        chunk: bytes = event.get("body", b"")
        if not event.get("more_body") and len(chunk) == expected:
            return chunk
        return await self._rest_of_body(bytearray(chunk), more=event.get("more_body", False), limit=limit, share=share)

    async def _rest_of_body(self, body: bytearray, *, more: bool, limit: int, share: Share | None) -> bytes:
        while more:
            if len(body) > limit:
                raise _too_large(limit)
            if share is not None:
                share.grow(len(body))
            event = await self._receive()
            if event["type"] == "http.disconnect":
                raise incomplete()
            body += event.get("body", b"")
            more = event.get("more_body", False)
        if len(body) > limit:
            raise _too_large(limit)
        if self.content_length not in (None, len(body)):
            raise incomplete()
        return bytes(body)

    def _refuse_what_is_not(self, wanted: str, headers: dict[str, str]) -> None:
        content_type = self.content_type
        if content_type != wanted and (
            content_type is None or content_type.partition(";")[0].strip().lower() != wanted
        ):
            said = f"not {content_type}" if content_type else "and the header must say so"
            raise Problem(UNSUPPORTED_MEDIA_TYPE, f"The Content-Type must be {wanted}, {said}.", headers=headers)
        encoding = self.get_header("Content-Encoding")
        if encoding is not None and encoding.strip().lower() != "identity":
            raise Problem(
                UNSUPPORTED_MEDIA_TYPE, "Send the body as it is, without a Content-Encoding.", headers=_UNIDENTIFIED
            )


def incomplete() -> Problem:
    """The problem of a body that ended, or stalled, before its end."""
    return Problem(INCOMPLETE_BODY, "The connection ended or fell silent before the body had arrived whole.")


def _too_large(limit: int) -> Problem:
    return Problem(TOO_LARGE, f"The body may be {limit} bytes long at most.")
