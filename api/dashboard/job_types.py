"""``GET /ui/types``: what can be submitted, and how each type fares; and submitting a job of one by a form."""

from collections import Counter
from collections.abc import Iterable, Mapping
from hashlib import sha256
from typing import Any, Final
from uuid import uuid4

import falcon
import falcon.asgi
import msgspec

from api.dashboard.form import FORM_BYTES, Form
from api.dashboard.page import see_other
from api.dashboard.parts import Parts
from api.dashboard.payload_form.words import rows_of
from api.dashboard.submission_form import SubmissionForm
from api.dashboard.type_options import options_of
from api.job import parse_job_id
from api.parameters import Parameters
from api.problems import FORBIDDEN, NOT_FOUND, Problem
from api.request import Request
from api.submission import MAX_RETRIES, MAX_TAG, MAX_TAGS, MAX_UNIQUE_KEY, Submission
from api.submit import Submit
from jobplatform.job_actor import CONFLICTS, JobActor
from jobplatform.journal import IdempotencyKey, Opened
from jobplatform.queries.counts import Kind
from jobplatform.queries.failures import failures
from jobplatform.queries.tallies import RANGES, Sums, by_type
from jobplatform.queries.workers import WorkerRow, workers

#: How far back a type's page looks.
_SPANS: Final = (("1h", "hour"), ("24h", "day"))
_LIMITS: Final = {"retries": MAX_RETRIES, "tags": MAX_TAGS, "tag": MAX_TAG, "unique_key": MAX_UNIQUE_KEY}
#: So many groups of failures a type's page shows.
_SHOWN: Final = 5
#: Each byte of a payload may come as three.
_ESCAPED: Final = 3


class Types:
    """All types: those that this process knows, and those of which there are jobs."""

    def __init__(self, parts: Parts) -> None:
        self._pages = parts.pages
        self._findings = parts.findings
        self._counting = parts.counting
        self._types = parts.broker.types

    async def on_get(self, req: Request, resp: falcon.asgi.Response) -> None:
        """Show them."""
        counted = await self._counting.now()
        live = await self._findings.ask(workers, False)
        lately = await self._findings.ask(by_type, RANGES["1h"])
        names = sorted({*self._types, *(kind.type for kind in counted)})
        await self._pages.show(
            req,
            resp,
            "types.html",
            types=[
                (name, self._types.get(name), _by_status(counted, name), _who_know(live, name), lately.get(name))
                for name in names
            ],
        )

    on_head = on_get


class OneType:
    """One type, and the form that submits a job of it."""

    def __init__(self, parts: Parts) -> None:
        self._pages = parts.pages
        self._findings = parts.findings
        self._counting = parts.counting
        self._reader = parts.reader
        self._answers = parts.answers
        self._types: Mapping[str, JobActor[..., Any]] = parts.broker.types
        self._settings = parts.settings
        self._submit = Submit(parts.broker, parts.reader, parts.answers, parts.settings)

    async def on_get(self, req: Request, resp: falcon.asgi.Response, name: str) -> None:
        """Show it. ``?like=`` puts the payload of a job into the form, ``?as=json`` asks for it in one field."""
        given = Parameters(req.params)
        form = self._form(name)
        as_json = given.choice("as", ("json", "fields")) == "json"
        values = form.empty() if form else {}
        if form and (like := given.text("like")):
            job = await self._answers.of(self._reader.job(parse_job_id(like)))
            if job is not None and job.type == name:
                values, fits = form.filled(job.payload)
                as_json = as_json or not fits
        await self._show(req, resp, name, form, values, as_json=as_json)

    on_head = on_get

    async def on_post(self, req: Request, resp: falcon.asgi.Response, name: str) -> None:
        """Submit what was posted, and go to the job; or only check it. What is wrong is said beside its field."""
        posted = await self._pages.form(req, _ESCAPED * self._settings.max_payload_bytes + FORM_BYTES)
        form = self._form(name)
        if form is None:
            raise Problem(NOT_FOUND, f"No actor of the type {name} is known here.")
        as_json = posted.text("as") == "json"
        submitted = form.read(posted, as_json=as_json)
        values = form.posted(posted)
        try:
            job = self._submit.read(submitted.body)
            if submitted.faults:
                raise Problem(FORBIDDEN, "")
            if posted.text("do") == "check":
                await self._show(req, resp, name, form, values, as_json=as_json, valid=job, key=posted.text("key"))
                return
            key = self._key(req, posted, submitted.body)
            accepted, replayed = await self._submit.accept(req, job, key)
        except Problem as problem:
            if problem.status_code >= 500:
                raise
            said = form.beside(submitted.faults, tuple(problem.faults))
            if not said:
                said = {"": [problem.description or problem.kind.title]}
            await self._show(
                req,
                resp,
                name,
                form,
                values,
                as_json=as_json,
                faults=said,
                key=posted.text("key"),
                holder=problem.job_id,
            )
            resp.status = falcon.HTTP_422 if problem.status_code < 409 else problem.status
            return
        if replayed:
            said_of_it = "This form had been sent already: this is its job."
        else:
            said_of_it = "Accepted." if isinstance(accepted, Opened) else "This job holds the unique key already."
        see_other(resp, f"/ui/jobs/{accepted.id}", said=said_of_it)

    def _form(self, name: str) -> SubmissionForm | None:
        actor = self._types.get(name)
        return None if actor is None else SubmissionForm(name, actor.signature.schema())

    def _key(self, req: Request, posted: Form, body: bytes) -> IdempotencyKey | None:
        """The same form, sent twice with the same words, is one job; sent again with others it is another."""
        token = posted.text("key")
        if not token:
            return None
        fingerprint = sha256(body).hexdigest()
        name = sha256(f"{token}\n{fingerprint}".encode()).hexdigest()
        return IdempotencyKey(req.who, f"form-{name}", fingerprint, self._settings.idempotency_ttl)

    async def _show(
        self,
        req: Request,
        resp: falcon.asgi.Response,
        name: str,
        form: SubmissionForm | None,
        values: dict[str, str],
        *,
        as_json: bool,
        faults: Mapping[str, list[str]] | None = None,
        valid: Submission | None = None,
        key: str = "",
        holder: str | None = None,
    ) -> None:
        counted = await self._counting.now()
        if form is None and not _by_status(counted, name):
            raise Problem(NOT_FOUND, f"No actor of the type {name} is known here, and there is no job of it.")
        actor = self._types.get(name)
        live = await self._findings.ask(workers, False)
        spans = [(RANGES[span], said, await self._findings.ask(by_type, RANGES[span])) for span, said in _SPANS]
        # Only the numbers are kept up to date.
        found = [] if req.get_header("HX-Request") else await self._findings.ask(failures, None)
        groups = [group for group in found if group.type == name]
        await self._pages.show(
            req,
            resp,
            "type.html",
            name=name,
            actor=actor,
            options=options_of(actor.options, self._settings) if actor else [],
            rows=rows_of(actor.signature.schema()) if actor else [],
            schema=_pretty(actor.signature.schema()) if actor else "",
            counts=_by_status(counted, name),
            workers=_who_know(live, name),
            spans=[(said, span.minutes, tallied.get(name) or Sums()) for span, said, tallied in spans],
            groups=groups[:_SHOWN],
            more_groups=max(len(groups) - _SHOWN, 0),
            form=form,
            values=values,
            as_json=as_json,
            faults=faults or {},
            valid=valid,
            key=key or str(uuid4()),
            holder=holder,
            limits=_LIMITS,
            conflicts=CONFLICTS,
        )


def _by_status(counted: Mapping[Kind, int], name: str) -> Counter[str]:
    found: Counter[str] = Counter()
    for kind, number in counted.items():
        if kind.type == name:
            found[kind.status] += number
    return found


def _who_know(live: Iterable[WorkerRow], name: str) -> list[WorkerRow]:
    return [worker for worker in live if name in worker.types]


def _pretty(value: Any) -> str:
    return msgspec.json.format(msgspec.json.encode(value), indent=2).decode()
