"""``POST /jobs/{id}/cancel`` and ``/retry``: calling a job off, and sending it round again."""

import time
from collections.abc import Mapping
from typing import Any, Final

import falcon
import falcon.asgi
import msgspec

from api.act_body import ReasonBody, invalid, read_body
from api.answers import Answers
from api.errors import RETRY_AFTER, in_general
from api.job import not_found, parse_job_id
from api.problems import JOB_FINISHED, JOB_NOT_FINISHED, TOO_LARGE, UNAVAILABLE, UNIQUE_KEY_TAKEN, Problem
from api.reply import NO_STORE, reply
from api.request import Request
from api.submission import ENVELOPE_BYTES
from api.views import job_json
from jobplatform.broker import JobBroker
from jobplatform.errors import DatabaseUnavailable, Fault, InvalidPayload, NothingDone, RefusedByDatabase
from jobplatform.job_actor import JobActor
from jobplatform.journal import Cancel, CancelAnswer, Item, Resubmit, ResubmitAnswer
from jobplatform.queries import JobRow
from jobplatform.reader import Reader
from jobplatform.settings import Settings
from jobplatform.states import Event, Status

#: The index that keeps a unique key's jobs apart, as Postgres names it when it refuses a row.
_UNIQUE: Final = "jobs_unique"


class RetryBody(ReasonBody, forbid_unknown_fields=True):
    """The body of a retry: another payload, if one is wanted."""

    payload: msgspec.Raw = msgspec.Raw()


class JobActs:
    """What people do to one job: what cancel and retry have in common."""

    def __init__(self, broker: JobBroker, reader: Reader, answers: Answers, settings: Settings) -> None:
        self._writer = broker.recorder.acts_writer
        self._types: Mapping[str, JobActor[..., Any]] = broker.types
        self._reader = reader
        self._answers = answers
        self._timeout = settings.submit_timeout / 1000
        self._max_payload_bytes = settings.max_payload_bytes

    @property
    def _deadline(self) -> float:
        return time.monotonic() + self._timeout

    async def _act(self, item: Item) -> Any:
        try:
            return await self._answers.of(self._writer.put(item))
        except NothingDone:
            raise
        except DatabaseUnavailable as error:
            raise _not_known(error, item.locks or "") from error

    async def _show(self, resp: falcon.asgi.Response, job_id: str) -> None:
        reply(resp, job_json(await self._row(job_id)), NO_STORE)

    async def _row(self, job_id: str) -> JobRow:
        row = await self._answers.of(self._reader.job(job_id))
        if row is None:
            raise not_found(job_id)
        return row


class JobCancel(JobActs):
    """Calling a job off."""

    async def on_post(self, req: Request, resp: falcon.asgi.Response, job_id: str) -> None:
        """Cancel a job that waits; ask one that runs to stop (202)."""
        key = parse_job_id(job_id)
        body = await read_body(req, ReasonBody, ENVELOPE_BYTES)
        cancelled = await self.cancel(req, key, body.reason)
        await self._show(resp, key)
        resp.status = falcon.HTTP_200 if cancelled else falcon.HTTP_202

    async def cancel(self, req: Request, key: str, reason: str | None) -> bool:
        """Cancel for whoever sent this request. Whether it is done: a running job has only been asked to stop.

        Raises:
            Problem: there is no such job (404), or it is final (409).
        """
        found: CancelAnswer = await self._act(Cancel(key, req.who, reason, req.request_id, self._deadline))
        if found.status is None:
            raise not_found(key)
        if found.event is None and found.status is not Status.RUNNING:
            raise Problem(JOB_FINISHED, _over(found.status))
        return found.event is Event.CANCELLED


class JobRetry(JobActs):
    """Sending a failed or cancelled job round again."""

    async def on_post(self, req: Request, resp: falcon.asgi.Response, job_id: str) -> None:
        """Queue the job again, with another payload if one is given."""
        key = parse_job_id(job_id)
        body = await read_body(req, RetryBody, self._max_payload_bytes + ENVELOPE_BYTES)
        await self.retry(req, key, body.reason, bytes(body.payload))
        await self._show(resp, key)

    async def retry(self, req: Request, key: str, reason: str | None, payload: bytes) -> None:
        """Queue the job again for whoever sent this request. Without a payload, or with ``null``, it keeps its own.

        Raises:
            Problem: there is no such job (404), it is neither failed nor cancelled, or its unique key is taken (409);
                the payload is too long (413), or has faults (422).
        """
        checked = None
        if payload not in (b"", b"null"):
            checked = self._checked((await self._row(key)).type, payload)
        found = await self._resubmit(Resubmit(key, req.who, reason, req.request_id, checked, self._deadline))
        if found.status is None:
            raise not_found(key)
        if found.event is None:
            raise _refusal(found.status, found.holder)

    async def _resubmit(self, item: Resubmit) -> ResubmitAnswer:
        try:
            found: ResubmitAnswer = await self._act(item)
        except RefusedByDatabase as error:
            if _UNIQUE in str(error):  # taken in the same moment, by whom is not known
                raise _refusal(Status.FAILED, "") from error
            raise invalid(Fault("/payload", str(error))) from error
        return found

    def _checked(self, kind: str, payload: bytes) -> str:
        if len(payload) > self._max_payload_bytes:
            raise Problem(TOO_LARGE, f"The payload may be {self._max_payload_bytes} bytes long at most.")
        if (actor := self._types.get(kind)) is None:
            raise invalid(Fault("/payload", f"cannot be checked: the type {kind} is unknown here"))
        try:
            actor.signature.check(payload)
        except InvalidPayload as error:
            raise invalid(*(Fault(f"/payload{fault.pointer}", fault.detail) for fault in error.faults)) from None
        return payload.decode()


def _over(status: Status) -> str:
    said = f"The job is {status}: there is nothing to cancel."
    return said if status is Status.COMPLETED else f"{said} Only POST /jobs/{{id}}/retry makes it run again."


def _refusal(status: Status, holder: str | None) -> Problem:
    if holder is None:
        return Problem(JOB_NOT_FINISHED, f"The job is {status}: only failed and cancelled ones can be run again.")
    detail = "Another unfinished job of this type holds the job's unique key now."
    return Problem(UNIQUE_KEY_TAKEN, detail, job_id=holder or None)


def _not_known(error: DatabaseUnavailable, job_id: str) -> Problem:
    detail = (
        f"{in_general(error)} It is not known whether this was done: GET /jobs/{job_id} tells when it is back."
        " That it was not is certain only after a minute."
    )
    return Problem(UNAVAILABLE, detail, headers=RETRY_AFTER)
