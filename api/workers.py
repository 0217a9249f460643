"""``GET /workers``: who works, and at what."""

from typing import Any

import falcon.asgi
import msgspec

from api.findings import Findings
from api.parameters import Parameters
from api.reply import reply
from api.request import Request
from api.views import rfc3339, rfc3339_or_none
from jobplatform.queries.workers import WorkerRow, workers


class Workers:
    """The workers."""

    def __init__(self, findings: Findings) -> None:
        self._findings = findings

    async def on_get(self, req: Request, resp: falcon.asgi.Response) -> None:
        """Show those that live, as far as is known; with ``?ended=true`` also those that ended last."""
        found = await self._findings.ask(workers, Parameters(req.params).yes("ended"))
        reply(resp, msgspec.json.encode({"items": [_view(worker) for worker in found]}))

    on_head = on_get


def _view(worker: WorkerRow) -> dict[str, Any]:
    return {
        "id": worker.id,
        "name": f"{worker.host}:{worker.pid}#{worker.id}",
        "host": worker.host,
        "pid": worker.pid,
        "version": worker.version,
        "queues": worker.queues,
        "types": worker.types,
        "threads": worker.threads,
        "startedAt": rfc3339(worker.started_at),
        "lastSeenAt": rfc3339(worker.last_seen_at),
        "stoppingAt": rfc3339_or_none(worker.stopping_at),
        "endedAt": rfc3339_or_none(worker.ended_at),
        "memoryBytes": worker.memory,
        "peakMemoryBytes": worker.peak_memory,
        "status": worker.status,
        "running": [
            {
                "jobId": job.job_id,
                "type": job.type,
                "attempt": job.attempt,
                "startedAt": rfc3339(job.started_at),
                "progress": None if job.progress is None else msgspec.Raw(job.progress),
            }
            for job in worker.running
        ],
    }
