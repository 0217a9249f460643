"""``GET /jobs/{id}/payloads``: what a job was, and is, to be run with."""

import falcon.asgi
import msgspec

from api.findings import Findings
from api.job import not_found, parse_job_id
from api.reply import reply
from api.request import Request
from api.views import rfc3339_or_none
from jobplatform.queries.payloads import payloads


class JobPayloads:
    """The versions of one job's payload."""

    def __init__(self, findings: Findings) -> None:
        self._findings = findings

    async def on_get(self, _req: Request, resp: falcon.asgi.Response, job_id: str) -> None:
        """Show all versions, the current one last."""
        versions = await self._findings.ask(payloads, parse_job_id(job_id))
        if not versions:
            raise not_found(job_id)
        items = [
            {
                "version": version.version,
                "payload": msgspec.Raw(version.payload),
                "replacedAt": rfc3339_or_none(version.replaced_at),
                "who": version.who,
            }
            for version in versions
        ]
        reply(resp, msgspec.json.encode({"items": items}))

    on_head = on_get
