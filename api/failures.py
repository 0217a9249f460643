"""``GET /failures``: what goes wrong most."""

import falcon.asgi
import msgspec

from api.findings import Findings
from api.parameters import Parameters
from api.reply import reply
from api.request import Request
from api.views import rfc3339
from jobplatform.queries.failures import failures


class Failures:
    """The newest failed jobs, in groups."""

    def __init__(self, findings: Findings) -> None:
        self._findings = findings

    async def on_get(self, req: Request, resp: falcon.asgi.Response) -> None:
        """Show the groups, the largest first; with ``?since=`` only of what failed then or later."""
        found = await self._findings.ask(failures, Parameters(req.params).time("since"))
        items = [
            {
                "type": group.type,
                "kind": group.kind,
                "error": group.error,
                "message": group.message,
                "count": group.count,
                "firstAt": rfc3339(group.first_at),
                "lastAt": rfc3339(group.last_at),
                "jobIds": group.job_ids,
            }
            for group in found
        ]
        reply(resp, msgspec.json.encode({"items": items}))

    on_head = on_get
