"""The headers that every successful answer carries."""

from typing import Final

import falcon.asgi

#: Ask each time whether the answer has changed.
REVALIDATE: Final = "no-cache"
#: Keep no copy.
NO_STORE: Final = "no-store"


def reply(resp: falcon.asgi.Response, json: bytes | None, cache_control: str = REVALIDATE) -> None:
    """Answer with a JSON text, or with headers only."""
    resp.data = json
    resp.set_header("Cache-Control", cache_control)
