"""The headers that every successful answer carries, and whether the client has the answer already."""

from typing import Final

import falcon.asgi

from api.request import Request

#: Ask each time whether the answer has changed.
REVALIDATE: Final = "no-cache"
#: Keep no copy.
NO_STORE: Final = "no-store"


def reply(resp: falcon.asgi.Response, json: bytes | None, cache_control: str = REVALIDATE) -> None:
    """Answer with a JSON text, or with headers only."""
    resp.data = json
    resp.set_header("Cache-Control", cache_control)


def known_to(req: Request, etag: str) -> bool:
    """Whether the client says in ``If-None-Match`` that it has what this strong ``ETag`` stands for."""
    if req.get_header("If-None-Match") is None:
        return False
    return any(known == "*" or str(known) == etag.strip('"') for known in req.if_none_match or ())
