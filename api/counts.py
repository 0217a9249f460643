"""``GET /jobs/counts``: how many jobs there are of each type and status."""

import asyncio
from collections import Counter, defaultdict
from collections.abc import Mapping

import falcon.asgi
import msgspec

from api.findings import Findings
from api.reply import reply
from api.request import Request
from api.views import Count
from jobplatform.queries.counts import Counts, Kind
from jobplatform.states import Status


class CountsView(msgspec.Struct, rename="camel"):
    """How many jobs there are."""

    total: Count
    by_status: Mapping[str, Count]
    by_type: Mapping[str, Mapping[str, Count]]


class Counting:
    """The counts, for all that ask at the same time: one question at a time, and one more for all who came since.

    So everybody gets what was committed before they asked, and a crowd asks Postgres no more often than one.
    """

    def __init__(self, findings: Findings, counts: Counts | None = None) -> None:
        self._findings = findings
        self._counts = counts or Counts()
        self._asking: asyncio.Task[dict[Kind, int]] | None = None
        self._next: asyncio.Task[dict[Kind, int]] | None = None

    async def now(self) -> dict[Kind, int]:
        """The number of jobs of each kind.

        Raises:
            DatabaseUnavailable: Postgres does not answer in time.
        """
        if self._asking is None or self._asking.done():
            self._asking = _kept(asyncio.create_task(self._ask()))
            return await asyncio.shield(self._asking)
        if self._next is None:
            self._next = _kept(asyncio.create_task(self._ask_after(self._asking)))
        return await asyncio.shield(self._next)

    async def _ask_after(self, other: "asyncio.Task[dict[Kind, int]]") -> dict[Kind, int]:
        await asyncio.wait({other})
        self._asking, self._next = self._next, None
        return await self._ask()

    async def _ask(self) -> dict[Kind, int]:
        return await self._findings.ask(self._counts.read)


class JobCounts:
    """The counts of jobs."""

    def __init__(self, counting: Counting) -> None:
        self._counting = counting

    async def on_get(self, _req: Request, resp: falcon.asgi.Response) -> None:
        """Show how many there are: all statuses, and the types and their statuses that occur."""
        counted = await self._counting.now()
        by_status = Counter(dict.fromkeys(map(str, Status), 0))
        by_type: dict[str, Counter[str]] = defaultdict(Counter)
        for kind, number in sorted(counted.items()):
            by_status[kind.status] += number
            by_type[kind.type][kind.status] += number
        reply(resp, msgspec.json.encode(CountsView(by_status.total(), by_status, by_type)))

    on_head = on_get


def _kept(task: "asyncio.Task[dict[Kind, int]]") -> "asyncio.Task[dict[Kind, int]]":
    """Where all who asked are gone, nobody else looks at what went wrong."""
    task.add_done_callback(lambda done: done.cancelled() or done.exception())
    return task
