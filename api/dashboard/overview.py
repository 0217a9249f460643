"""``GET /``: how the platform is, at a glance."""

import asyncio
from collections import Counter
from typing import Any, Final, NamedTuple
from urllib.parse import urlencode

import falcon.asgi
from markupsafe import Markup

from api.dashboard.outcomes import SHARES, Outcomes
from api.dashboard.page import answer
from api.dashboard.parts import Parts
from api.dashboard.shared import Shared
from api.parameters import Parameters
from api.request import Request
from jobplatform.queries.counts import Kind
from jobplatform.queries.failures import Failure, failures
from jobplatform.queries.glance import STILL_AFTER, Glance, glance, versions
from jobplatform.queries.tallies import RANGES, Sums, window
from jobplatform.states import QUEUES, Status

#: For so many seconds all who look see the same, and what is the same in all views is not read anew; nor, for longer,
#: the groups of failures, of which many errors must be read.
_FRESH: Final = 3.0
_FRESH_FAILURES: Final = 10.0
#: Nor the chart: of its longer steps a moment more is less to be seen.
_FRESH_CHART: Final = {name: min(_FRESH * of.step, 30.0) for name, of in RANGES.items()}

_MOST_GROUPS: Final = 5
_MOST_WORKERS: Final = 24
_USUAL: Final = "1h"


class View(NamedTuple):
    """What somebody wants to see, and where it is."""

    window: str = _USUAL
    type: str | None = None
    queue: str | None = None
    table: bool = False

    def address(self, **changed: Any) -> str:
        """The address of this view, or of one that differs from it."""
        view = self._replace(**changed)
        words = {"window": view.window if view.window != _USUAL else "", "type": view.type, "queue": view.queue}
        given = {name: value for name, value in words.items() if value} | ({"table": "true"} if view.table else {})
        return f"/?{urlencode(given)}" if given else "/"


class Overview:
    """The overview. All of it that moves is one part, the same for all who look at the same view of it."""

    def __init__(self, parts: Parts) -> None:
        self._pages = parts.pages
        self._findings = parts.findings
        self._counting = parts.counting
        self._ready = parts.ready
        self._types = parts.broker.types
        self._now = Shared(self._make, _FRESH)
        self._glance = Shared(self._make_glance, _FRESH)
        self._failures = Shared(self._make_failures, _FRESH_FAILURES)
        self._charts = {name: Shared(self._make_chart, seconds) for name, seconds in _FRESH_CHART.items()}

    async def on_get(self, req: Request, resp: falcon.asgi.Response) -> None:
        """Show it; an update is the part that moves alone."""
        # A form sends what was not chosen, too.
        given = Parameters({name: value for name, value in req.params.items() if value})
        view = View(
            given.choice("window", RANGES) or _USUAL,
            given.text("type"),
            given.choice("queue", QUEUES),
            given.yes("table"),
        )
        now = await self._now.get(view)
        if req.get_header("HX-Request"):
            answer(resp, now)
            return
        await self._pages.show(req, resp, "overview.html", view=view, moving=Markup(now.decode()))  # noqa: S704

    on_head = on_get

    async def _make(self, view: View) -> bytes:
        outcomes, (found, counted), (groups, version_of), postgres_is_away, redis_is_away = await asyncio.gather(
            self._charts[view.window].get(view._replace(table=False)),
            self._glance.get(None),
            self._failures.get(None),
            self._ready.postgres.look(),
            self._ready.redis.look(),
        )
        by_status: Counter[str] = Counter()
        by_queue: Counter[tuple[str, str]] = Counter()
        for kind, number in counted.items():
            by_status[kind.status] += number
            by_queue[kind.queue, kind.status] += number
        serving = [worker for worker in found.workers if worker.status == "alive"]
        return self._pages.bare(
            "overview_now.html",
            here=view.address(),
            view=view,
            ranges=RANGES,
            shares=SHARES,
            types=sorted({*self._types, *(kind.type for kind in counted), *filter(None, [view.type])}),
            total=sum(counted.values()),
            by_status=by_status,
            by_queue=by_queue,
            queues=found.queues,
            last_hour={queue: found.last_hour.get(queue, Sums()) for queue in QUEUES},
            slots=sum(worker.threads for worker in serving),
            workers=found.workers[:_MOST_WORKERS],
            more_workers=len(found.workers) - _MOST_WORKERS,
            outcomes=outcomes,
            keepers=found.keepers,
            still=found.still,
            still_after=STILL_AFTER,
            groups=groups[:_MOST_GROUPS],
            more_groups=len(groups) - _MOST_GROUPS,
            version_of=version_of,
            postgres_is_away=postgres_is_away,
            redis_is_away=redis_is_away,
            running=by_status[Status.RUNNING],
        )

    async def _make_chart(self, view: View) -> Outcomes:
        seen = await self._findings.ask(window, RANGES[view.window], view.type, view.queue)
        return Outcomes(seen, {"type": view.type, "priority": view.queue})

    async def _make_glance(self, _: None) -> tuple[Glance, dict[Kind, int]]:
        return await asyncio.gather(self._findings.ask(glance), self._counting.now())

    async def _make_failures(self, _: None) -> tuple[list[Failure], dict[str, str]]:
        groups = await self._findings.ask(failures, None)
        newest = [group.job_ids[0] for group in groups[:_MOST_GROUPS]]
        return groups, await self._findings.ask(versions, newest) if newest else {}
