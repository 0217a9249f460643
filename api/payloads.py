"""``GET /jobs/{id}/payloads``: what a job was, and is, to be run with."""

from typing import Annotated

import falcon.asgi
import msgspec
from msgspec import Meta

from api.findings import Findings
from api.job import not_found, parse_job_id
from api.reply import reply
from api.request import Request
from api.views import rfc3339_or_none
from jobplatform.queries.payloads import payloads


class PayloadVersion(msgspec.Struct, rename="camel"):
    """A payload that a job has, or had."""

    version: Annotated[int, Meta(ge=1)]
    payload: msgspec.Raw
    replaced_at: Annotated[str | None, Meta(description="Null: this is the current one.")]
    who: Annotated[str | None, Meta(description="Who replaced it.")]


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
            PayloadVersion(
                version.version, msgspec.Raw(version.payload), rfc3339_or_none(version.replaced_at), version.who
            )
            for version in versions
        ]
        reply(resp, msgspec.json.encode({"items": items}))

    on_head = on_get
