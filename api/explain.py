"""``GET /jobs/{id}/explain``: why a job does not run yet, or what came of it."""

from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import falcon.asgi
import msgspec

from api.findings import Findings
from api.job import not_found, parse_job_id
from api.reasons import Circumstances, Reason, reasons
from api.reply import reply
from api.request import Request
from jobplatform.job_actor import JobActor
from jobplatform.queries.facts import Facts, facts
from jobplatform.settings import Settings
from jobplatform.states import Status


class Explanation(msgspec.Struct, rename="camel"):
    """The reasons, the weightiest first."""

    job_id: str
    status: str
    summary: str
    reasons: list[Reason]


class Explain:
    """The reasons for one job's status."""

    def __init__(
        self,
        findings: Findings,
        look_at_redis: Callable[[], Awaitable[str | None]],
        types: Mapping[str, JobActor[..., Any]],
        settings: Settings,
    ) -> None:
        """``look_at_redis`` says what is wrong with it; None: nothing."""
        self._findings = findings
        self._look_at_redis = look_at_redis
        self._types = types
        self._time_limit = settings.time_limit
        self._suspect_from = max(1, settings.crash_limit - 1)

    async def on_get(self, _req: Request, resp: falcon.asgi.Response, job_id: str) -> None:
        """Say why, what matters most first."""
        job, found = await self.reasons(parse_job_id(job_id))
        reply(resp, msgspec.json.encode(Explanation(job.id, job.status, found[0].message, found)))

    on_head = on_get

    async def reasons(self, key: str) -> tuple[Facts, list[Reason]]:
        """The facts about a job, and the reasons that follow from them.

        Raises:
            Problem: there is no such job (404).
        """
        job = await self._findings.ask(facts, key)
        if job is None:
            raise not_found(key)
        redis = await self._look_at_redis() if job.status == Status.QUEUED else None
        actor = self._types.get(job.type)
        limit = actor.options.get("time_limit", self._time_limit) if actor else None
        return job, reasons(job, Circumstances(redis, self._suspect_from, limit))
