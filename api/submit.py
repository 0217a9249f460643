"""``POST /jobs``: submitting a job."""

from typing import Literal

import falcon.asgi
import msgspec

from api.acceptance import Acceptance, only_validates, opened_json
from api.answers import Answers
from api.idempotency import read_key
from api.job import not_found
from api.reply import NO_STORE, reply
from api.request import Request
from api.submission import ENVELOPE_BYTES, Submission, Submissions
from api.views import QueueName, present_json
from jobplatform.broker import JobBroker
from jobplatform.journal import IdempotencyKey, Opened, Present
from jobplatform.reader import Reader
from jobplatform.settings import Settings


class Valid(msgspec.Struct):
    """A submission that would be accepted."""

    valid: Literal[True]
    type: str
    priority: QueueName


class Submit:
    """Accepts one job."""

    def __init__(self, broker: JobBroker, reader: Reader, answers: Answers, settings: Settings) -> None:
        self._reader = reader
        self._answers = answers
        self._submissions = Submissions(broker.types, settings.max_payload_bytes)
        self._acceptance = Acceptance(broker, settings.submit_timeout, lambda _: "")
        self._max_body_bytes = settings.max_payload_bytes + ENVELOPE_BYTES
        self._key_ttl = settings.idempotency_ttl

    async def on_post(self, req: Request, resp: falcon.asgi.Response) -> None:
        """Submit a job: 201 when its row is committed, and not before; 200 with the job that stands for it."""
        body = await req.json_body(self._max_body_bytes)
        job = self.read(body)
        key = read_key(req, body, self._key_ttl)
        if only_validates(req):
            reply(resp, msgspec.json.encode(Valid(True, job.actor.type, job.priority)), NO_STORE)
            return
        accepted, replayed = await self.accept(req, job, key)
        if isinstance(accepted, Opened):
            resp.status = falcon.HTTP_201
            reply(resp, opened_json(job, accepted), NO_STORE)
        else:
            row = await self._answers.of(self._reader.job(accepted.id))
            if row is None:
                raise not_found(accepted.id)
            reply(resp, present_json(row), NO_STORE)
            if replayed:
                resp.set_header("Idempotency-Replayed", "true")
        resp.set_header("Location", f"/jobs/{accepted.id}")

    def read(self, body: bytes) -> Submission:
        """Read a submission. Raises as `Submissions.read` does."""
        return self._submissions.read(body)

    async def accept(self, req: Request, job: Submission, key: IdempotencyKey | None) -> tuple[Opened | Present, bool]:
        """Have a job accepted for whoever sent this request: the job that was opened, or the one that stands for it,
        and whether the request is a repeated one. Raises as `Acceptance.of` does.
        """
        [accepted], replayed = await self._acceptance.of([job.message(req)], key)
        return accepted, replayed
