"""``GET /ui/workers``: who works, and at what."""

from collections.abc import Sequence

import falcon.asgi
import msgspec

from api.dashboard.parts import Parts
from api.parameters import Parameters
from api.request import Request
from jobplatform.queries.workers import RunningRow, WorkerRow, workers

#: Those that may take jobs, or still have some.
_LIVE = frozenset({"alive", "stopping", "silent"})


class Workers:
    """The workers, one row each."""

    def __init__(self, parts: Parts) -> None:
        self._pages = parts.pages
        self._findings = parts.findings

    async def on_get(self, req: Request, resp: falcon.asgi.Response) -> None:
        """Show those that live; with ``?ended=true`` also those that ended last."""
        with_ended = Parameters(req.params).yes("ended")
        found = await self._findings.ask(workers, with_ended)
        live = [worker for worker in found if worker.status in _LIVE]
        await self._pages.show(
            req,
            resp,
            "workers.html",
            live=live,
            ended=[worker for worker in found if worker.status not in _LIVE],
            with_ended=with_ended,
            slots=sum(worker.threads for worker in live),
            busy=sum(len(worker.running) for worker in live),
            memory=sum(worker.memory or 0 for worker in live),
            versions=versions(live),
            progress=progress,
        )

    on_head = on_get


def versions(live: Sequence[WorkerRow]) -> list[str]:
    """The versions that run."""
    return sorted({worker.version for worker in live})


def progress(job: RunningRow) -> tuple[int, int] | None:
    """How much of a job is done, of how much; None where it does not say."""
    if job.progress is None:
        return None
    told = msgspec.json.decode(job.progress, type=dict[str, int])
    return (told["done"], told["total"]) if told.get("total") else None
