"""``GET /types``: what can be submitted."""

from collections.abc import Mapping
from typing import Any

import falcon.asgi
import msgspec

from api.reply import reply
from api.request import Request
from jobplatform.job_actor import JobActor


class JobType(msgspec.Struct):
    """A type of job, with the JSON Schema of its payload."""

    type: str
    description: str
    schema: dict[str, Any]


class Types:
    """The job types, with the JSON Schema of each one's payload. They do not change while the process lives."""

    def __init__(self, types: Mapping[str, JobActor[..., Any]]) -> None:
        items = [JobType(name, actor.description, actor.signature.schema()) for name, actor in sorted(types.items())]
        self._json = msgspec.json.encode({"items": items})

    async def on_get(self, _req: Request, resp: falcon.asgi.Response) -> None:
        """List the types."""
        reply(resp, self._json)

    on_head = on_get
