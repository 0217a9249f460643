"""``GET /jobs``: the jobs that fit a filter, in pages."""

import falcon.asgi
import msgspec

from api.cursor import Cursors
from api.filters import job_filter
from api.findings import Findings
from api.parameters import Parameters
from api.reply import reply
from api.request import Request
from api.views import jobs_json
from jobplatform.queries.listing import page
from jobplatform.queries.walk import Position


class Listing:
    """The list of jobs."""

    def __init__(self, findings: Findings, cursors: Cursors) -> None:
        self._findings = findings
        self._cursors = cursors

    async def on_get(self, req: Request, resp: falcon.asgi.Response) -> None:
        """Show a page. It may be short, or empty, and yet have a ``next``: only without one the list is at its end."""
        given = Parameters(req.params)
        which = job_filter(given)
        newest_first = given.choice("order", ("newest", "oldest")) != "oldest"
        here = ("jobs", which, newest_first)
        after = await self._cursors.read(given.text("cursor"), here)
        position = None if after is None else msgspec.convert(after, Position)
        found = await self._findings.ask(page, which, newest_first, position, given.limit())
        reply(resp, jobs_json(found.jobs, await self._cursors.write(found.next, here)))
