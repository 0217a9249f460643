"""``GET /ui/failures``: what goes wrong most, alike with alike; and retrying all that failed alike."""

from datetime import UTC, datetime, timedelta
from typing import Any, Final

import falcon.asgi

from api.actions import Actions
from api.dashboard.frames import folded
from api.dashboard.page import see_other
from api.dashboard.parts import Parts
from api.dashboard.shared import Shared
from api.parameters import Parameters, faulty
from api.problems import INVALID_BODY, Problem
from api.request import Request
from jobplatform.journal.actions import RETRY
from jobplatform.queries.failures import Failure, failures
from jobplatform.queries.filter import JobFilter
from jobplatform.queries.likeness import Likeness
from jobplatform.queries.tracebacks import commonest_traceback
from jobplatform.states import Status

#: How far back to look, by the words that the address has for it, with those that people read.
SPANS: Final = {
    "15m": (timedelta(minutes=15), "15 minutes"),
    "1h": (timedelta(hours=1), "hour"),
    "24h": (timedelta(hours=24), "day"),
    "7d": (timedelta(days=7), "7 days"),
}

#: To find the groups reads up to 10,000 errors: all pages that are open are brought up to date by one look in so many
#: seconds.
_FRESH: Final = 10.0


class Failures:
    """The groups, and one of them more closely."""

    def __init__(self, parts: Parts) -> None:
        self._pages = parts.pages
        self._findings = parts.findings
        self._actions = Actions(parts.broker, parts.findings, parts.cursors, parts.answers, parts.settings)
        self._lately = Shared(self._groups, _FRESH)

    async def on_get(self, req: Request, resp: falcon.asgi.Response) -> None:
        """Show the groups, the largest first; with ``?open=`` the traceback of one, and a form to retry its jobs."""
        given = Parameters(req.params)
        span = given.choice("since", SPANS) or ""
        type_ = given.text("type")
        is_update = req.get_header("HX-Request") is not None
        since, found = await (self._lately.get(span) if is_update else self._groups(span))
        groups = [group for group in found if type_ in (None, group.type)]
        opened = next((group for group in groups if group.id == given.text("open")), None)
        # Only the groups are kept up to date.
        closely = None if opened is None or is_update else await self._closely(opened, since)
        await self._pages.show(
            req,
            resp,
            "failures.html",
            groups=groups,
            open=opened and opened.id,
            gone=opened is None and given.text("open") is not None,
            opened=closely,
            spans=SPANS,
            span=span,
            since=since,
            type=type_,
        )

    on_head = on_get

    async def _groups(self, span: str) -> tuple[datetime | None, list[Failure]]:
        since = datetime.now(UTC) - SPANS[span][0] if span else None
        return since, await self._findings.ask(failures, since)

    async def _closely(self, group: Failure, since: datetime | None) -> dict[str, Any]:
        which = _jobs_of(group.type, group.likeness, since)
        commonest = await self._findings.ask(commonest_traceback, group.type, group.likeness, since)
        return {
            "group": group,
            "commonest": commonest,
            "parts": folded(commonest.traceback) if commonest.traceback else [],
            "count": await self._actions.count(RETRY, which),
        }


class FailureRetry:
    """Retrying all jobs of a group: one action, on record with its reason."""

    def __init__(self, parts: Parts) -> None:
        self._pages = parts.pages
        self._actions = Actions(parts.broker, parts.findings, parts.cursors, parts.answers, parts.settings)

    async def on_post(self, req: Request, resp: falcon.asgi.Response) -> None:
        """Put the action on record, and show it."""
        form = await self._pages.form(req)
        if not form.text("type"):
            raise Problem(INVALID_BODY, "The form does not say the jobs of which type are meant.")
        try:
            likeness = Likeness.parse(form.text("failure"))
        except ValueError as error:
            raise faulty("failure", str(error)) from None
        given = Parameters({"since": form.text("since")})
        which = _jobs_of(form.text("type"), likeness, given.time("since"))
        count = await self._actions.count(RETRY, which)
        action = await self._actions.record(req, RETRY, which, count.matched, form.reason())
        see_other(resp, f"/ui/actions/{action.id}", said="On record: a keeper retries them now.")


def _jobs_of(type_: str, failure: Likeness, since: datetime | None) -> JobFilter:
    return JobFilter(statuses=(Status.FAILED,), types=(type_,), finished_after=since, failure=failure)
