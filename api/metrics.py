"""``GET /metrics``: the platform in numbers, for Prometheus."""

import asyncio
from collections.abc import Awaitable, Callable, Collection
from typing import Final, NamedTuple

import falcon.asgi
from prometheus_client import CONTENT_TYPE_PLAIN_0_0_4, generate_latest
from prometheus_client.openmetrics import exposition as open_metrics

from api.counts import Counting
from api.findings import Findings
from api.measured import Measured
from api.queues import view
from api.reply import NO_STORE, reply
from api.request import Request
from jobplatform.queries.keepers import KeepersRow, keepers
from jobplatform.queries.queues import QueueRow, queues
from jobplatform.queries.workers import Force, forces

#: The one that Prometheus has always read, and the one that it asks for first. Of two that fit, the first.
_FORMATS: Final[dict[str, Callable[[Measured], bytes]]] = {
    CONTENT_TYPE_PLAIN_0_0_4: generate_latest,
    open_metrics.CONTENT_TYPE_LATEST: open_metrics.generate_latest,
}


class Metrics:
    """The metrics. Whatever process answers, they are the same, as nothing is counted in one."""

    def __init__(
        self,
        types: Collection[str],
        findings: Findings,
        counting: Counting,
        look_at_redis: Callable[[], Awaitable[str | None]],
    ) -> None:
        """``look_at_redis`` gives None where Redis is there."""
        self._types = types
        self._findings = findings
        self._counting = counting
        self._look_at_redis = look_at_redis

    async def on_get(self, req: Request, resp: falcon.asgi.Response) -> None:
        """Show them, in the format that the client likes best."""
        media_type = req.client_prefers(_FORMATS) or CONTENT_TYPE_PLAIN_0_0_4
        reply(resp, _FORMATS[media_type](await self._measured()), NO_STORE)
        resp.content_type = media_type
        resp.append_header("Vary", "Accept")

    on_head = on_get

    async def _measured(self) -> Measured:
        counted, found, redis_is_away = await asyncio.gather(
            self._counting.now(), self._findings.ask(record), self._look_at_redis()
        )
        return Measured(
            self._types,
            counted,
            [view(queue, counted) for queue in found.queues],
            found.forces,
            found.keepers,
            redis_is_away is None,
        )


class Record(NamedTuple):
    """What is read anew for each look."""

    queues: list[QueueRow]
    forces: list[Force]
    keepers: KeepersRow


def record() -> Record:
    """What is on record of queues, workers and keepers: one question, for one of the inquiries' threads."""
    return Record(queues(), forces(), keepers())
