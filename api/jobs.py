"""``/jobs``: submitting a job, and listing them."""

import falcon.asgi

from api.listing import Listing
from api.request import Request
from api.submit import Submit


class Jobs:
    """The jobs."""

    def __init__(self, submit: Submit, listing: Listing) -> None:
        self._submit = submit
        self._listing = listing

    async def on_get(self, req: Request, resp: falcon.asgi.Response) -> None:
        """List jobs."""
        await self._listing.on_get(req, resp)

    on_head = on_get

    async def on_post(self, req: Request, resp: falcon.asgi.Response) -> None:
        """Submit a job."""
        await self._submit.on_post(req, resp)
