"""``GET /queues``: how much waits, for how long, and who serves it."""

from typing import Any

import falcon.asgi
import msgspec

from api.counts import Counting
from api.findings import Findings
from api.reply import reply
from api.request import Request
from api.views import rfc3339_or_none
from jobplatform.queries.counts import Kind
from jobplatform.queries.queues import QueueRow, queues
from jobplatform.states import Status


class Queues:
    """The queues."""

    def __init__(self, findings: Findings, counting: Counting) -> None:
        self._findings = findings
        self._counting = counting

    async def on_get(self, _req: Request, resp: falcon.asgi.Response) -> None:
        """Show all queues, the one that goes first first."""
        reply(resp, msgspec.json.encode({"items": await self.items()}))

    on_head = on_get

    async def items(self) -> list[dict[str, Any]]:
        """The queues as they are shown."""
        counted = await self._counting.now()
        found = await self._findings.ask(queues)
        return [_view(queue, counted) for queue in found]


def _view(queue: QueueRow, counted: dict[Kind, int]) -> dict[str, Any]:
    return {
        "name": queue.name,
        "depth": _number(counted, queue.name, Status.QUEUED),
        "running": _number(counted, queue.name, Status.RUNNING),
        "oldestWaitingSeconds": _rounded(queue.oldest_waiting),
        "latencySeconds": _rounded(queue.latency),
        "paused": queue.paused_at is not None,
        "pausedAt": rfc3339_or_none(queue.paused_at),
        "pausedBy": queue.paused_by,
        "pauseReason": queue.pause_reason,
        "workers": queue.workers,
        "slots": queue.slots,
    }


def _number(counted: dict[Kind, int], queue: str, status: Status) -> int:
    return sum(number for kind, number in counted.items() if (kind.queue, kind.status) == (queue, status))


def _rounded(seconds: float | None) -> float | None:
    return None if seconds is None else round(seconds, 3)
