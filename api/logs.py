"""``GET /jobs/{id}/logs``: what a job has logged."""

import falcon.asgi
import msgspec

from api.cursor import Cursors
from api.findings import Findings
from api.job import not_found, parse_job_id
from api.parameters import Parameters
from api.reply import reply
from api.request import Request
from api.views import Count, rfc3339
from jobplatform.queries.logs import logs

_HIGHEST: int = 2**31 - 1


class LogLine(msgspec.Struct):
    """A line that a job logged."""

    attempt: Count
    at: str
    text: str


class JobLogs:
    """The log lines of one job."""

    def __init__(self, findings: Findings, cursors: Cursors) -> None:
        self._findings = findings
        self._cursors = cursors

    async def on_get(self, req: Request, resp: falcon.asgi.Response, job_id: str) -> None:
        """Show a page of lines in their order, of all attempts or of one."""
        key = parse_job_id(job_id)
        given = Parameters(req.params)
        attempt = given.whole("attempt", _HIGHEST)
        here = ("logs", key, attempt)
        after = await self._cursors.read(given.text("cursor"), here)
        found = await self._findings.ask(logs, key, attempt, after or 0, given.limit())
        if found is None:
            raise not_found(job_id)
        lines, last = found
        items = [LogLine(line.attempt, rfc3339(line.at), line.text) for line in lines]
        reply(resp, msgspec.json.encode({"items": items, "next": await self._cursors.write(last, here)}))

    on_head = on_get
