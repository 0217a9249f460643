"""``GET /failures``: what goes wrong most."""

from typing import Annotated

import falcon.asgi
import msgspec
from msgspec import Meta

from api.findings import Findings
from api.parameters import Parameters
from api.reply import reply
from api.request import Request
from api.views import rfc3339
from jobplatform.queries.failures import Failure, failures


class FailureGroup(msgspec.Struct, rename="camel"):
    """Failures that are alike."""

    type: str
    kind: Annotated[str | None, Meta(description="As in the `error` of their jobs.")]
    error: str | None
    message: str
    failure: Annotated[str, Meta(description="The three in one, as the filter `failure` takes them.")]
    count: Annotated[int, Meta(ge=1)]
    first_at: str
    last_at: str
    job_ids: Annotated[list[str], Meta(description="The newest five.")]


class Failures:
    """The newest failed jobs, in groups."""

    def __init__(self, findings: Findings) -> None:
        self._findings = findings

    async def on_get(self, req: Request, resp: falcon.asgi.Response) -> None:
        """Show the groups, the largest first; with ``?since=`` only of what failed then or later."""
        found = await self._findings.ask(failures, Parameters(req.params).time("since"))
        reply(resp, msgspec.json.encode({"items": [_view(group) for group in found]}))

    on_head = on_get


def _view(group: Failure) -> FailureGroup:
    return FailureGroup(
        group.type,
        group.kind,
        group.error,
        group.message,
        str(group.likeness),
        group.count,
        rfc3339(group.first_at),
        rfc3339(group.last_at),
        group.job_ids,
    )
