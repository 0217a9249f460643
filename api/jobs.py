"""``/jobs``: submitting a job, and listing them."""

import time

import falcon.asgi
import msgspec

from api.answers import Answers
from api.errors import RETRY_AFTER, in_general
from api.listing import Listing
from api.problems import INVALID_JOB, UNAVAILABLE, Problem
from api.reply import NO_STORE, reply
from api.request import Request
from api.submission import ENVELOPE_BYTES, Submissions
from api.views import JobView, accepted_json, rfc3339, rfc3339_or_none
from jobplatform.broker import JobBroker
from jobplatform.errors import DatabaseUnavailable, RefusedByDatabase, SchemaMissing
from jobplatform.settings import Settings


class Jobs:
    """The jobs."""

    def __init__(self, broker: JobBroker, answers: Answers, settings: Settings, listing: Listing) -> None:
        self._broker = broker
        self._answers = answers
        self._submissions = Submissions(broker.types, settings.max_payload_bytes)
        self._max_body_bytes = settings.max_payload_bytes + ENVELOPE_BYTES
        self._timeout = settings.submit_timeout / 1000
        self._listing = listing

    async def on_get(self, req: Request, resp: falcon.asgi.Response) -> None:
        """List jobs."""
        await self._listing.on_get(req, resp)

    on_head = on_get

    async def on_post(self, req: Request, resp: falcon.asgi.Response) -> None:
        """Submit a job: 201 when its row is committed, and not before."""
        job = self._submissions.read(await req.json_body(self._max_body_bytes))
        message = job.actor.message_from_json(
            job.payload,
            priority=job.priority,
            run_at=job.run_at,
            who=req.who,
            request_id=req.request_id,
            options=job.options,
        )
        deadline = time.monotonic() + self._timeout
        try:
            [opened] = await self._answers.of(self._broker.submit([message], deadline))
        except DatabaseUnavailable as error:
            raise _not_known(error, message.message_id) from error
        except RefusedByDatabase as error:
            raise Problem(INVALID_JOB, str(error)) from error
        created_at = rfc3339(opened.created_at)
        resp.status = falcon.HTTP_201
        reply(
            resp,
            accepted_json(
                JobView(
                    id=opened.id,
                    type=job.actor.type,
                    status=opened.status,
                    priority=job.priority,
                    attempts=0,
                    payload=msgspec.Raw(job.payload),
                    result=None,
                    error=None,
                    progress=None,
                    created_at=created_at,
                    updated_at=created_at,
                    started_at=None,
                    finished_at=None,
                    run_at=rfc3339_or_none(opened.run_at),
                    tags=[],
                    unique_key=None,
                    cancel_requested=False,
                )
            ),
            NO_STORE,
        )
        resp.set_header("Location", f"/jobs/{opened.id}")


def _not_known(error: DatabaseUnavailable, job_id: str) -> Problem:
    if isinstance(error, SchemaMissing):
        return Problem(UNAVAILABLE, in_general(error), headers=RETRY_AFTER)
    detail = (
        "Postgres did not answer in time, so it is not known whether the job was accepted."
        f" When it is back, GET /jobs/{job_id} tells: if there is no such job, submit it again."
    )
    return Problem(UNAVAILABLE, detail, headers=RETRY_AFTER, job_id=job_id)
