"""``GET /jobs/{id}/events``: a job's life, transition by transition."""

import falcon.asgi

from api.answers import Answers
from api.job import not_found, parse_job_id
from api.reply import reply
from api.request import Request
from api.views import events_json
from jobplatform.reader import Reader


class JobEvents:
    """The transitions of one job."""

    def __init__(self, reader: Reader, answers: Answers) -> None:
        self._reader = reader
        self._answers = answers

    async def on_get(self, _req: Request, resp: falcon.asgi.Response, job_id: str) -> None:
        """List the transitions in their order."""
        rows = await self._answers.of(self._reader.events(parse_job_id(job_id)))
        if rows is None:
            raise not_found(job_id)
        reply(resp, events_json(rows))

    on_head = on_get
