"""``GET /jobs/{id}/events`` and ``GET /events``: what has happened, listed or as it happens."""

import falcon.asgi

from api.answers import Answers
from api.job import not_found, parse_job_id
from api.reply import reply
from api.request import Request
from api.streams import Streams, wants_stream
from api.views import events_json
from jobplatform.reader import Reader


class JobEvents:
    """The transitions of one job."""

    def __init__(self, reader: Reader, answers: Answers, streams: Streams) -> None:
        self._reader = reader
        self._answers = answers
        self._streams = streams

    async def on_get(self, req: Request, resp: falcon.asgi.Response, job_id: str) -> None:
        """List the transitions in their order, or stream them as they happen."""
        resp.append_header("Vary", "Accept")
        if wants_stream(req):
            await self._streams.of_job(req, resp, parse_job_id(job_id))
            return
        rows = await self._answers.of(self._reader.events(parse_job_id(job_id)))
        if rows is None:
            raise not_found(job_id)
        reply(resp, events_json(rows))

    on_head = on_get


class Events:
    """The transitions of all jobs, as they happen."""

    def __init__(self, streams: Streams) -> None:
        self._streams = streams

    async def on_get(self, req: Request, resp: falcon.asgi.Response) -> None:
        """Stream them."""
        await self._streams.of_all(req, resp)

    on_head = on_get
