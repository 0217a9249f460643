"""Streams of server-sent events: ``GET /events``, and ``GET /jobs/{id}/events`` for who accepts them."""

import asyncio
import re
from collections.abc import Callable
from typing import Any, Final

import falcon.asgi
from falcon.util import mediatypes

from api.answers import Answers
from api.feed import Feed
from api.look import Told, tell
from api.parameters import faulty
from api.problems import INVALID_REQUEST, JOB_NOT_FOUND, Problem
from api.request import Request
from api.server_sent import mark
from api.watcher import Watcher
from jobplatform.answer import Answer
from jobplatform.queries import feed as queries
from jobplatform.queries.feed import Position, Snapshot
from jobplatform.states import FINAL

EVENT_STREAM: Final = "text/event-stream"
_JSON: Final = "application/json"

#: A client that is behind reads so many transitions at a time.
PAGE: Final = 500
#: So many such clients read at once: others have questions, too.
_READING_AT_ONCE: Final = 2
#: The most transitions of a job that a stream begins with. What is left comes with the next looks.
_HISTORY: Final = 5_000

_ID: Final = re.compile(r"[0-9]{1,18}")


class Streams:
    """Begins streams: at a transition that the client knows, at the beginning, or now."""

    def __init__(self, feed: Feed, ask: "Callable[..., Answer[Any]]", answers: Answers) -> None:
        """``ask`` runs a function in a thread that may read from Postgres."""
        self._feed = feed
        self._ask = ask
        self._answers = answers
        self._turns = asyncio.Semaphore(_READING_AT_ONCE)

    async def of_all(self, req: Request, resp: falcon.asgi.Response) -> None:
        """Stream all transitions: those behind the one that the client names, or what happens from now on."""
        known = _last_event_id(req)
        position = None if known is None else await self._position(req, known)
        if req.method == "HEAD":
            _head(resp)
            return
        watcher = self._feed.watcher(of_all=True)
        try:
            snapshot = await self._feed.begin()
            if position is None:
                watcher.put(mark(snapshot.newest))
                self._feed.join(watcher, snapshot)
            else:
                watcher.catch_up(_Behind(self._feed, self._page, watcher, position).read_on)
        except BaseException:
            watcher.let_go()
            raise
        _stream(req, resp, watcher)

    async def of_job(self, req: Request, resp: falcon.asgi.Response, job_id: str) -> None:
        """Stream the transitions of a job, those behind the one that the client names, until the job is final."""
        known = _last_event_id(req) or 0
        history = await self._history(req, job_id, known)
        rest = history[1:] if known else history
        final = history[-1].row.to_status in FINAL and len(history) < _HISTORY
        if final and not rest:
            resp.status = falcon.HTTP_204
            resp.set_header("Cache-Control", "no-cache")
            return
        if req.method == "HEAD":
            _head(resp)
            return
        watcher = self._feed.watcher(of_all=False)
        if rest:
            watcher.put(b"".join(told.event for told in rest))
        if final:
            watcher.end()
        else:
            self._feed.join_job(watcher, job_id, history[-1].row.id)
        _stream(req, resp, watcher)

    async def _position(self, req: Request, known: int) -> Position:
        if known == 0:
            return Position(0, 0)
        position: Position | None = await self._answers.of(self._ask(queries.position_of, known))
        if position is None:
            raise _unknown(req, known)
        return position

    async def _history(self, req: Request, job_id: str, known: int) -> list[Told]:
        """The job's transitions from the known one on, which is among them."""
        history: list[Told] = await self._answers.of(self._ask(_history, job_id, known))
        if known and (not history or history[0].row.id != known):
            if await self._answers.of(self._ask(_history, job_id, 0)):
                raise _unknown(req, known)
            history = []
        if not history:
            raise Problem(JOB_NOT_FOUND, f"No job has the id {job_id}.")
        return history

    async def _page(self, after: Position) -> tuple[list[Told], Snapshot]:
        async with self._turns:
            page: tuple[list[Told], Snapshot] = await self._answers.of(self._ask(_page, after))
        return page


class _Behind:
    """A client that has still to read what happened before it came."""

    def __init__(self, feed: Feed, page: Any, watcher: Watcher, position: Position) -> None:
        self._feed = feed
        self._page = page
        self._watcher = watcher
        self._position = position

    async def read_on(self) -> bool:
        """Read a page, or join the others. Whether there is more to read."""
        if self._feed.join(self._watcher, self._position):
            return False
        told, snapshot = await self._page(self._position)
        if told:
            self._watcher.put(b"".join(one.event for one in told))
            self._position = told[-1].row.position
        if len(told) < PAGE:
            # All that ended before the snapshot was on this page.
            self._position = max(self._position, Position(snapshot.xmin, 0))
        return True


def wants_stream(req: Request) -> bool:
    """Whether a client that could have JSON asks for a stream: by its name, and not less than for JSON by its.

    Raises:
        Problem: it asks for a stream in a way that cannot be read (400).
    """
    accept = req.accept.lower()
    if EVENT_STREAM not in accept:
        return False
    try:
        wanted = mediatypes.quality(EVENT_STREAM, accept)
        return wanted > 0 and (_JSON not in accept or wanted > mediatypes.quality(_JSON, accept))
    except ValueError:
        raise Problem(INVALID_REQUEST, "The Accept header names what is no media type, or a faulty q.") from None


def _history(job_id: str, known: int) -> list[Told]:
    return tell(queries.of_jobs({job_id: max(0, known - 1)}, _HISTORY))


def _page(after: Position) -> tuple[list[Told], Snapshot]:
    snapshot = queries.snapshot()
    return tell(queries.page(after, PAGE)), snapshot


def _last_event_id(req: Request) -> int | None:
    """What the client knows: from the header that browsers send when they come back, or from where it began."""
    given = req.get_header("Last-Event-ID") or req.params.get("lastEventId")
    if not given:
        return None
    if isinstance(given, str) and _ID.fullmatch(given):
        return int(given)
    raise faulty(_where_it_is_said(req), "must be the id of a transition, or 0 for the beginning")


def _unknown(req: Request, known: int) -> Problem:
    return faulty(_where_it_is_said(req), f"is {known}, and this stream has no transition of that id")


def _where_it_is_said(req: Request) -> str:
    return "Last-Event-ID" if req.get_header("Last-Event-ID") else "lastEventId"


def _stream(req: Request, resp: falcon.asgi.Response, watcher: Watcher) -> None:
    _set_headers(resp)
    resp.stream = watcher.until(req.gone)


def _head(resp: falcon.asgi.Response) -> None:
    _set_headers(resp)
    resp.stream = _nothing()


def _set_headers(resp: falcon.asgi.Response) -> None:
    resp.content_type = EVENT_STREAM
    resp.set_header("Cache-Control", "no-cache")
    resp.set_header("X-Accel-Buffering", "no")  # a proxy that gathers answers would hold events back


async def _nothing() -> Any:
    return
    yield b""
