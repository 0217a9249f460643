"""``POST /jobs/batch``: submitting many jobs at once, all or none."""

from collections.abc import Sequence
from typing import Final, Literal

import falcon.asgi
import msgspec

from api.acceptance import Acceptance, only_validates, opened_json
from api.answers import Answers
from api.batch_submission import BatchSubmissions
from api.idempotency import read_key
from api.problems import JOB_NOT_FOUND, Problem
from api.reply import NO_STORE, reply
from api.request import Request
from api.room import Room
from api.submission import Submission
from api.turns import in_turns
from api.views import Count, present_json
from jobplatform import queries
from jobplatform.broker import JobBroker
from jobplatform.inquiries import Inquiries
from jobplatform.journal import Accepted, Opened, Present
from jobplatform.queries import JobRow
from jobplatform.settings import Settings

#: A batch may take so many times as long as a single submit.
_PATIENCE: Final = 10
#: So many of the largest bodies a process holds at once.
_BODIES: Final = 4


class BatchValid(msgspec.Struct):
    """A batch that would be accepted."""

    valid: Literal[True]
    jobs: Count


class Batch:
    """Accepts many jobs."""

    def __init__(self, broker: JobBroker, inquiries: Inquiries, answers: Answers, settings: Settings) -> None:
        self._inquiries = inquiries
        self._answers = answers
        self._submissions = BatchSubmissions(broker.types, settings.max_payload_bytes)
        self._acceptance = Acceptance(broker, _PATIENCE * settings.submit_timeout, "/jobs/{}".format)
        self._max_body_bytes = settings.max_body_bytes
        self._room = Room(_BODIES * settings.max_body_bytes)
        self._key_ttl = settings.idempotency_ttl

    async def on_post(self, req: Request, resp: falcon.asgi.Response) -> None:
        """Submit jobs: 201 when all rows are committed, and not before; 200 where that was done already."""
        with self._room.share() as share:
            body = await req.json_body(self._max_body_bytes, share)
            await self._submit(req, resp, body)

    async def _submit(self, req: Request, resp: falcon.asgi.Response, body: bytes) -> None:
        jobs = await self._submissions.read(body)
        key = read_key(req, body, self._key_ttl)
        if only_validates(req):
            reply(resp, msgspec.json.encode(BatchValid(True, len(jobs))), NO_STORE)
            return
        messages = [job.message(req) async for turn in in_turns(jobs) for job in turn]
        accepted = await self._acceptance.of(messages, key)
        resp.status = falcon.HTTP_200 if accepted.replayed else falcon.HTTP_201
        reply(resp, b'{"items":[%s]}' % b",".join(await self._items(jobs, accepted)), NO_STORE)
        if accepted.replayed:
            resp.set_header("Idempotency-Replayed", "true")

    async def _items(self, jobs: Sequence[Submission], accepted: Accepted) -> list[bytes]:
        present = [job.id for job in accepted.jobs if isinstance(job, Present)]
        rows = await self._answers.of(self._inquiries.ask(queries.jobs, present)) if present else {}
        return [
            opened_json(jobs[place], job) if isinstance(job, Opened) else present_json(_of(rows, job))
            async for turn in in_turns(list(enumerate(accepted.jobs)))
            for place, job in turn
        ]


def _of(rows: dict[str, JobRow], job: Present) -> JobRow:
    if job.id not in rows:
        raise Problem(JOB_NOT_FOUND, f"The job {job.id}, which was accepted with this batch, is no longer there.")
    return rows[job.id]
