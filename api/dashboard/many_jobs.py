"""``/ui/jobs/act``: cancelling or retrying jobs: those that were ticked, or all that a text means."""

import asyncio
from collections import Counter
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any, Final

import falcon.asgi

from api.actions import Actions
from api.acts import JobCancel, JobRetry
from api.dashboard.jobs import LIMIT, address
from api.dashboard.page import see_other
from api.dashboard.parts import Parts
from api.dashboard.query_text import read
from api.dashboard.wording import plural
from api.job import parse_job_id
from api.parameters import Parameters, faulty
from api.problems import INVALID_REQUEST, Problem
from api.request import Request
from jobplatform.queries.brief import in_brief
from jobplatform.states import FINAL, Status

#: What can be done, and to jobs in which status.
_ABLE: Final = {
    "cancel": frozenset(set(Status) - FINAL),
    "retry": frozenset({Status.FAILED, Status.CANCELLED}),
}


class ManyJobs:
    """Asks what is to be done to how many jobs and why, and does it."""

    def __init__(self, parts: Parts) -> None:
        self._pages = parts.pages
        self._findings = parts.findings
        self._types = parts.broker.types
        self._actions = Actions(parts.broker, parts.findings, parts.cursors, parts.answers, parts.settings)
        self._cancel = JobCancel(parts.broker, parts.reader, parts.answers, parts.settings)
        self._retry = JobRetry(parts.broker, parts.reader, parts.answers, parts.settings)

    async def on_get(self, req: Request, resp: falcon.asgi.Response) -> None:
        """Tell how many jobs it would be done to, and ask for a reason. Nothing is done yet."""
        given = Parameters(req.params)
        kind = given.choice("kind", tuple(_ABLE))
        if kind is None:
            raise faulty("kind", f"must be one of {', '.join(_ABLE)}")
        ids = [parse_job_id(job_id) for job_id in (req.get_param_as_list("id") or [])[:LIMIT]]
        shown = await (self._ticked(kind, ids) if ids else self._matching(kind, given.text("q", 10_000) or ""))
        back = address(q=given.text("q", 10_000) or "", order=given.text("order") or "")
        await self._pages.show(req, resp, "many_jobs.html", kind=kind, back=back, **shown)

    on_head = on_get

    async def on_post(self, req: Request, resp: falcon.asgi.Response) -> None:
        """Do it."""
        form = await self._pages.form(req)
        kind, reason = form.text("kind"), form.reason()
        if kind not in _ABLE:
            raise Problem(INVALID_REQUEST, "This can be done to no job.")
        if ids := [parse_job_id(job_id) for job_id in form.all("id")[:LIMIT]]:
            back = form.text("back")
            said = await self._do_to(req, kind, ids, reason)
            see_other(resp, back if back == "/ui/jobs" or back.startswith("/ui/jobs?") else "/ui/jobs", said)
            return
        if "q" not in form:  # an empty one means all jobs there are: that must have been said
            raise Problem(INVALID_REQUEST, "The form names neither jobs nor what was searched for.")
        query = read(form.text("q"), datetime.now(UTC), self._types)
        if query.faults:
            raise Problem(INVALID_REQUEST, "What was searched for cannot be read.")
        count = await self._actions.count(kind, query.filter)
        action = await self._actions.record(req, kind, query.filter, count.matched, reason)
        said = f"On record: {kind} {'at least ' if count.bounded else ''}{plural(count.matched, 'job')}."
        see_other(resp, f"/ui/actions/{action.id}", said)

    async def _ticked(self, kind: str, ids: Sequence[str]) -> dict[str, Any]:
        jobs = await self._findings.ask(in_brief, ids)
        able = [job for job in jobs if job.status in _ABLE[kind]]
        return {"jobs": able, "unable": len(ids) - len(able), "matched": len(able), "bounded": False, "query": None}

    async def _matching(self, kind: str, text: str) -> dict[str, Any]:
        query = read(text, datetime.now(UTC), self._types)
        if query.faults:
            raise Problem(INVALID_REQUEST, "What was searched for cannot be read. Mend it in the list of jobs first.")
        count = await self._actions.count(kind, query.filter)
        return {"jobs": [], "unable": 0, "matched": count.matched, "bounded": count.bounded, "query": query}

    async def _do_to(self, req: Request, kind: str, ids: Sequence[str], reason: str | None) -> str:
        acts = [
            self._cancel.cancel(req, job_id, reason) if kind == "cancel" else self._retried(req, job_id, reason)
            for job_id in ids
        ]
        done: Counter[str] = Counter()
        for outcome in await asyncio.gather(*acts, return_exceptions=True):
            if isinstance(outcome, BaseException):
                if not (isinstance(outcome, Problem) and 400 <= outcome.status_code < 500):
                    raise outcome
                done["refused"] += 1
            else:
                done["done" if outcome else "asked"] += 1
        parts = []
        if done["done"]:
            parts.append(f"{plural(done['done'], 'job')} {'cancelled' if kind == 'cancel' else 'queued again'}.")
        if done["asked"]:
            parts.append(f"{plural(done['asked'], 'running job')} asked to stop.")
        if done["refused"]:
            parts.append(f"{plural(done['refused'], 'job')} left alone: its status forbids it.")
        return " ".join(parts)

    async def _retried(self, req: Request, job_id: str, reason: str | None) -> bool:
        await self._retry.retry(req, job_id, reason, b"")
        return True
