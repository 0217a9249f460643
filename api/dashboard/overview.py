"""``GET /``: how the platform is, at a glance."""

import falcon.asgi

from api.dashboard.parts import Parts
from api.request import Request


class Overview:
    """The overview."""

    def __init__(self, parts: Parts) -> None:
        self._pages = parts.pages

    async def on_get(self, req: Request, resp: falcon.asgi.Response) -> None:
        """Show it."""
        await self._pages.show(req, resp, "overview.html")

    on_head = on_get
