"""``GET /workers``: who works, and at what."""

from typing import Annotated

import falcon.asgi
import msgspec
from msgspec import Meta

from api.findings import Findings
from api.parameters import Parameters
from api.reply import reply
from api.request import Request
from api.views import Count, raw, rfc3339, rfc3339_or_none
from jobplatform.queries.workers import RunningRow, WorkerRow, workers


class RunningJob(msgspec.Struct, rename="camel"):
    """A job that a worker runs."""

    job_id: str
    type: str
    attempt: Count
    started_at: str
    progress: msgspec.Raw | None


class Worker(msgspec.Struct, rename="camel"):
    """A process that runs jobs."""

    id: int
    name: str
    host: str
    pid: Count
    version: str
    queues: list[str]
    types: list[str]
    threads: Count
    started_at: str
    last_seen_at: str
    stopping_at: str | None
    ended_at: str | None
    memory_bytes: Count | None
    peak_memory_bytes: Count | None
    status: Annotated[str, Meta(extra_json_schema={"enum": ["alive", "stopping", "silent", "ended", "died"]})]
    running: list[RunningJob]


class Workers:
    """The workers."""

    def __init__(self, findings: Findings) -> None:
        self._findings = findings

    async def on_get(self, req: Request, resp: falcon.asgi.Response) -> None:
        """Show those that live, as far as is known; with ``?ended=true`` also those that ended last."""
        found = await self._findings.ask(workers, Parameters(req.params).yes("ended"))
        reply(resp, msgspec.json.encode({"items": [_view(worker) for worker in found]}))

    on_head = on_get


def _view(worker: WorkerRow) -> Worker:
    return Worker(
        worker.id,
        f"{worker.host}:{worker.pid}#{worker.id}",
        worker.host,
        worker.pid,
        worker.version,
        worker.queues,
        worker.types,
        worker.threads,
        rfc3339(worker.started_at),
        rfc3339(worker.last_seen_at),
        rfc3339_or_none(worker.stopping_at),
        rfc3339_or_none(worker.ended_at),
        worker.memory,
        worker.peak_memory,
        worker.status,
        [_running(job) for job in worker.running],
    )


def _running(job: RunningRow) -> RunningJob:
    return RunningJob(job.job_id, job.type, job.attempt, rfc3339(job.started_at), raw(job.progress))
