"""``GET /queues``: how much waits, for how long, and who serves it."""

from typing import Annotated

import falcon.asgi
import msgspec
from msgspec import Meta

from api.counts import Counting
from api.findings import Findings
from api.reply import reply
from api.request import Request
from api.views import Count, QueueName, rfc3339_or_none
from jobplatform.queries.counts import Kind
from jobplatform.queries.queues import QueueRow, queues
from jobplatform.states import Status

_Seconds = Annotated[float, Meta(ge=0)]


class QueueView(msgspec.Struct, rename="camel"):
    """A queue."""

    name: QueueName
    depth: Annotated[Count, Meta(description="So many jobs wait in it.")]
    running: Count
    oldest_waiting_seconds: _Seconds | None
    latency_seconds: _Seconds | None
    paused: bool
    paused_at: str | None
    paused_by: str | None
    pause_reason: str | None
    workers: Count
    slots: Count


class Queues:
    """The queues."""

    def __init__(self, findings: Findings, counting: Counting) -> None:
        self._findings = findings
        self._counting = counting

    async def on_get(self, _req: Request, resp: falcon.asgi.Response) -> None:
        """Show all queues, the one that goes first first."""
        reply(resp, msgspec.json.encode({"items": await self.items()}))

    on_head = on_get

    async def items(self) -> list[QueueView]:
        """The queues as they are shown."""
        counted = await self._counting.now()
        found = await self._findings.ask(queues)
        return [view(queue, counted) for queue in found]


def view(queue: QueueRow, counted: dict[Kind, int]) -> QueueView:
    """A queue as it is shown, with its part of what is counted."""
    return QueueView(
        queue.name,
        _number(counted, queue.name, Status.QUEUED),
        _number(counted, queue.name, Status.RUNNING),
        _rounded(queue.oldest_waiting),
        _rounded(queue.latency),
        queue.paused_at is not None,
        rfc3339_or_none(queue.paused_at),
        queue.paused_by,
        queue.pause_reason,
        queue.workers,
        queue.slots,
    )


def _number(counted: dict[Kind, int], queue: str, status: Status) -> int:
    return sum(number for kind, number in counted.items() if (kind.queue, kind.status) == (queue, status))


def _rounded(seconds: float | None) -> float | None:
    return None if seconds is None else round(seconds, 3)
