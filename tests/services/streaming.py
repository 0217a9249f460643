"""The streams in an event loop of a test, on real Postgres."""

import asyncio
from collections.abc import AsyncGenerator, Callable, Iterator
from contextlib import aclosing, closing, contextmanager
from typing import Any
from uuid import uuid4

import falcon.asgi
import psycopg2

from api.answers import Answers
from api.feed import Feed
from api.findings import Findings
from api.look import look
from api.places import Places
from api.streams import Streams
from jobplatform.client.server_sent import server_sent
from jobplatform.inquiries import Inquiries

#: One job and its first transition, in a transaction of one's own.
_ACCEPT = """
    WITH job AS (
        INSERT INTO jobs (id, type, status, priority, queue, payload, dispatched_at, created_at, updated_at)
        VALUES (%s, 'PROBE', 'queued', 'default', 'default', '{}', clock_timestamp(), now(), now()) RETURNING id
    )
    INSERT INTO transitions (job_id, event, to_status, attempt, at)
    SELECT id, 'enqueued', 'queued', 0, now() FROM job RETURNING id
"""


class Streaming:
    """The streams of one process, without a server around them."""

    def __init__(self, inquiries: Inquiries, looking: Inquiries, heartbeat: float) -> None:
        self.closing = asyncio.Event()
        self.feed = Feed(
            lambda wanted: Findings(looking).ask(look, wanted), self.closing, Places(), heartbeat=heartbeat
        )
        self.streams = Streams(self.feed, inquiries.ask, Answers(5_000))
        self.clients_gone = asyncio.Event()

    async def open(self, job_id: str | None = None, after: int | None = None) -> falcon.asgi.Response:
        """Begin a stream."""
        resp = falcon.asgi.Response()
        req: Any = _Asked(after, self.clients_gone)
        await (self.streams.of_job(req, resp, job_id) if job_id else self.streams.of_all(req, resp))
        return resp

    async def begins_behind(self, resp: falcon.asgi.Response) -> int:
        """The id with which a stream begins that was asked for none. It is left then."""
        watcher: Any = resp.stream
        ((kind, number, _),) = server_sent([await anext(watcher)])
        await watcher.close()
        assert not kind
        return number or 0

    async def events(self, resp: falcon.asgi.Response) -> AsyncGenerator[tuple[str, int | None, dict[str, Any]], None]:
        """What a stream tells, until it ends."""
        watcher: Any = resp.stream
        try:
            async for piece in watcher:
                for event in server_sent([piece]):
                    if event[0]:
                        yield event
        finally:
            await watcher.close()

    async def first(self, resp: falcon.asgi.Response, count: int) -> list[int]:
        """The ids of the first transitions that a stream tells of. It is left then."""
        ids: list[int] = []
        async with aclosing(self.events(resp)) as events:
            while len(ids) < count:
                kind, number, _ = await asyncio.wait_for(anext(events), 20)
                ids += [number] if kind == "transition" and number else []
        return ids


class _Asked:
    """A request, as far as a stream looks at it."""

    method = "GET"

    def __init__(self, after: int | None, gone: asyncio.Event) -> None:
        self.params: dict[str, str] = {}
        self._after = after
        self.gone = gone.wait

    def get_header(self, _: str) -> str | None:
        return None if self._after is None else str(self._after)


@contextmanager
def transaction(url: str) -> Iterator[Callable[[], int]]:
    """A transaction that accepts jobs, each by a call that gives its transition's id; commits at the end."""
    with closing(psycopg2.connect(url)) as connection, connection, connection.cursor() as cursor:

        def accept() -> int:
            cursor.execute(_ACCEPT, [str(uuid4())])
            (number,) = cursor.fetchone() or (0,)
            return int(number)

        yield accept
