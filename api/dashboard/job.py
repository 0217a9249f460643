"""``/ui/jobs/{id}``: the life of one job, what it was given and made, why it is where it is; and what can be done."""

import asyncio
from datetime import datetime
from itertools import pairwise
from typing import Any, Final
from urllib.parse import quote

import falcon.asgi
import msgspec

from api.acts import JobCancel, JobRetry
from api.dashboard.comparison import MOST_SHOWN, Line, comparison, laid_out
from api.dashboard.form import FORM_BYTES
from api.dashboard.frames import folded
from api.dashboard.page import see_other
from api.dashboard.parts import Parts
from api.dashboard.picture.detail import Error, read_error
from api.dashboard.picture.drawing import drawing
from api.dashboard.picture.lanes import Kind, Lane, lanes
from api.dashboard.picture.machine import machine
from api.dashboard.query_text import text_of
from api.dashboard.transitions import errors, transitions
from api.explain import Explain
from api.job import not_found, parse_job_id
from api.output import JobResult
from api.parameters import Parameters
from api.problems import INVALID_BODY, TOO_LARGE, Problem
from api.request import Request
from jobplatform.queries import EventRow, JobRow
from jobplatform.queries.likeness import LOOKED_AT, Likeness, without_variables
from jobplatform.queries.logs import last_logs
from jobplatform.queries.payloads import PayloadRow, payloads
from jobplatform.states import FINAL, Status

#: So many lines of the log are on a page.
LINES: Final = 200
#: So many errors are shown with their tracebacks; of those before them, what they said.
TRACEBACKS: Final = 5
#: So many transitions are in the table, the last ones.
TRANSITIONS: Final = 300
#: So many versions of the payload are compared with those before them, the last ones.
COMPARED: Final = 5
#: Payloads up to this length, in characters, can be edited in the page.
MOST_EDITED: Final = 200_000

_HIGHEST: Final = 2**31 - 1
_HIGHEST_ID: Final = 2**63 - 1


class JobPage:
    """The page."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts
        self._explain = Explain(parts.findings, parts.ready.redis.look, parts.broker.types, parts.settings)

    async def on_get(self, req: Request, resp: falcon.asgi.Response, job_id: str) -> None:
        """Show the job."""
        await self.show(req, resp, parse_job_id(job_id))

    on_head = on_get

    async def show(self, req: Request, resp: falcon.asgi.Response, key: str, **tried: Any) -> None:
        """Show the job; and what was tried with it, if it cannot be done."""
        given = Parameters(req.params)
        attempt, before = given.whole("attempt", _HIGHEST), given.whole("before", _HIGHEST_ID)
        parts = self._parts
        job = await parts.answers.of(parts.reader.job(key))
        if job is None:
            raise not_found(key)
        # What is read later knows at least as much: a page of a final job tells all of its life.
        events, (facts, reasons), versions, (lines, earlier) = await asyncio.gather(
            parts.answers.of(parts.reader.events(key)),
            self._explain.reasons(key),
            parts.findings.ask(payloads, key),
            parts.findings.ask(last_logs, key, attempt, before, LINES),
        )
        # To lay out and compare long payloads, and to draw a long life, may take a second: others are served meanwhile.
        values = await asyncio.to_thread(_values, job, events or [], facts.now, versions)
        await parts.pages.show(
            req,
            resp,
            "job.html",
            job=job,
            facts=facts,
            reasons=[(reason, _data(reason.data)) for reason in reasons],
            lines=lines,
            earlier=earlier,
            attempt=attempt,
            before=before,
            fragment=bool(req.get_header("HX-Request")),
            **(values | tried),
        )


class CancelJob:
    """The form that calls a job off."""

    def __init__(self, parts: Parts) -> None:
        self._pages = parts.pages
        self._act = JobCancel(parts.broker, parts.reader, parts.answers, parts.settings)

    async def on_post(self, req: Request, resp: falcon.asgi.Response, job_id: str) -> None:
        """Cancel it, and show it."""
        key = parse_job_id(job_id)
        form = await self._pages.form(req)
        try:
            cancelled = await self._act.cancel(req, key, form.reason())
        except Problem as problem:
            if problem.kind.status != 409:
                raise
            see_other(resp, f"/ui/jobs/{key}", problem.description or "")
            return
        see_other(resp, f"/ui/jobs/{key}", "The job is cancelled." if cancelled else "The job was asked to stop.")


class RetryJob:
    """The form that sends a job round again."""

    def __init__(self, parts: Parts, page: JobPage) -> None:
        self._parts = parts
        self._page = page
        self._act = JobRetry(parts.broker, parts.reader, parts.answers, parts.settings)

    async def on_post(self, req: Request, resp: falcon.asgi.Response, job_id: str) -> None:
        """Retry it, with another payload if it was edited, and show it. Where the payload has faults, show these."""
        key = parse_job_id(job_id)
        # In a form each letter may take three bytes.
        form = await self._parts.pages.form(req, 3 * self._parts.settings.max_payload_bytes + FORM_BYTES)
        given = form.text("payload")
        edited = "" if given.strip() == form.text("was").strip() else given
        try:
            await self._act.retry(req, key, form.reason(), edited.strip().encode())
        except Problem as problem:
            if problem.kind not in (INVALID_BODY, TOO_LARGE):
                if problem.kind.status != 409:
                    raise
                see_other(resp, f"/ui/jobs/{key}", problem.description or "")
                return
            tried = {"faults": problem.faults, "refused": problem.description, "edited": given}
            await self._page.show(req, resp, key, **tried, typed_reason=form.text("reason"))
            resp.status = problem.status
            return
        said = "The job was queued again" + (", with the new payload." if edited else ".")
        see_other(resp, f"/ui/jobs/{key}", said)


def _values(job: JobRow, events: list[EventRow], now: datetime, versions: list[PayloadRow]) -> dict[str, Any]:
    return _life(job, events, now) | _payloads(versions) | _result(job)


def _life(job: JobRow, events: list[EventRow], now: datetime) -> dict[str, Any]:
    found = lanes(events, now, job.run_at)
    told = transitions(events)
    failed = errors(told)
    last = read_error(job.error)
    return {
        "final": job.status in FINAL,
        "tags": [(tag, _search(tag=tag)) for tag in job.tags],
        "of_type": _search(type=job.type),
        "alike": _alike(job, last),
        "drawing": drawing(found),
        "machine": machine(events, job.status),
        "transitions": told,
        "most_transitions": TRANSITIONS,
        "waited": _total(found, Kind.QUEUED),
        "ran": _total(found, Kind.RUNNING),
        "backed_off": _total(found, Kind.RETRYING),
        "running": job.status == Status.RUNNING,
        "failed": [(one, one.error, _frames(one.error) if n < TRACEBACKS else None) for n, one in enumerate(failed)],
        "error": last,
        "progress": _progress(job.progress),
        "attempts_with_logs": [lane.attempt for lane in found if lane.began],
    }


def _search(**words: str) -> str:
    """The address of the list of these jobs."""
    return f"/ui/jobs?q={quote(text_of(words))}"


def _alike(job: JobRow, error: Error | None) -> str | None:
    """The address of the list of the jobs that failed in the same way."""
    if job.status != Status.FAILED or error is None:
        return None
    likeness = Likeness(error.kind, error.type, without_variables((error.message or "")[:LOOKED_AT]))
    return _search(status=job.status, type=job.type, failure=str(likeness))


def _total(found: list[Lane], kind: Kind) -> float | None:
    spans = [span.seconds for lane in found for span in lane.spans if span.kind is kind]
    return sum(spans) if spans else None


def _frames(error: Any) -> Any:
    return folded(error.traceback) if error and error.traceback else None


def _progress(text: str | None) -> dict[str, Any] | None:
    found = msgspec.json.decode(text) if text else None
    if not isinstance(found, dict):
        return None
    done, total = found.get("done"), found.get("total")
    if not isinstance(done, int | float):
        return None
    if not isinstance(total, int | float) or total <= 0:
        return {"done": done, "total": None, "percent": None}
    return {"done": done, "total": total, "percent": min(100.0, 100 * done / total)}


def _data(data: dict[str, Any]) -> list[tuple[str, Any]]:
    """What a reason says in data: without what is not there, times as times, and objects as they are written."""
    shown = []
    for name, value in data.items():
        if value is None:
            continue
        if isinstance(value, dict):
            value = ", ".join(f"{key} {part}" for key, part in value.items() if part is not None)
        elif isinstance(value, bool):
            value = "yes" if value else "no"
        elif isinstance(value, str) and name.endswith("At"):
            value = datetime.fromisoformat(value)
        shown.append((name, value))
    return shown


def _payloads(versions: list[PayloadRow]) -> dict[str, Any]:
    shown = []
    for before, version in pairwise(versions[-COMPARED - 1 :]):
        changes: list[Line] | None = comparison(before.payload, version.payload)
        shown.append({"row": version, "before": before, "changes": changes})
    current = laid_out(versions[-1].payload) if versions else ""
    return {
        "versions": len(versions),
        "changes": shown[::-1],
        "payload": current[:MOST_SHOWN],
        "payload_cut": len(current) > MOST_SHOWN,
        "editable": current if len(current) <= MOST_EDITED else None,
        "faults": (),
        "refused": None,
        "edited": None,
        "typed_reason": "",
    }


def _result(job: JobRow) -> dict[str, Any]:
    text = laid_out(job.result) if job.result is not None else None
    file = None
    if job.status == Status.COMPLETED and job.result:
        try:
            file = msgspec.json.decode(job.result, type=JobResult)
        except msgspec.ValidationError:
            file = None
    return {
        "result": text[:MOST_SHOWN] if text is not None else None,
        "result_cut": text is not None and len(text) > MOST_SHOWN,
        "file": file,
        "file_name": (file.file_name or file.file_path.rpartition("/")[2]) if file else None,
    }
