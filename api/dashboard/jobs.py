"""``GET /ui/jobs``: the jobs that a text of the search box means, in pages."""

import time
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any, Final
from urllib.parse import urlencode
from uuid import UUID
from zlib import crc32

import falcon
import falcon.asgi
import msgspec

from api.dashboard.job_rows import fields_of, rows
from api.dashboard.page import see_other
from api.dashboard.parts import Parts
from api.dashboard.query_text import QUALIFIERS, QueryText, read, text_of, with_statuses
from api.parameters import Parameters, faulty
from api.problems import Problem
from api.request import Request
from jobplatform.queries.brief import Brief, brief_page, in_brief, newer
from jobplatform.queries.filter import JobFilter
from jobplatform.queries.walk import Position
from jobplatform.states import QUEUES, Status

#: So long a page looks for jobs that fit, in seconds.
_PATIENCE: Final = 0.1
#: So many jobs are on a page, and so many newer ones are counted.
LIMIT: Final = 50
_MOST_NEWER: Final = 99
_UUID_BYTES: Final = 16

#: What may be asked for by the words of ``GET /jobs`` as well.
_NAMED: Final = ("status", "type", "priority", "tag", "createdAfter", "createdBefore", "finishedAfter", "failure")


class JobsPage:
    """The list."""

    def __init__(self, parts: Parts) -> None:
        self._pages = parts.pages
        self._findings = parts.findings
        self._cursors = parts.cursors
        self._types = parts.broker.types

    async def on_get(self, req: Request, resp: falcon.asgi.Response) -> None:
        """Show a page of it; or lead to the job whose id was searched for."""
        given = Parameters(req.params)
        text = _text(req, given)
        if (job_id := _id(text)) is not None:
            see_other(resp, f"/ui/jobs/{job_id}")
            return
        query = read(text, datetime.now(UTC), self._types)
        newest_first = given.choice("order", ("newest", "oldest")) != "oldest"
        shown = await self._shown(query, newest_first, given)
        if given.text("state") == shown["state"] and req.get_header("HX-Request"):
            resp.status = falcon.HTTP_204  # whoever asks has it as it is
            return
        await self._pages.show(
            req,
            resp,
            "jobs.html",
            query=query,
            newest_first=newest_first,
            completions=self._completions(),
            address=lambda **words: address(**{"q": query.text, "order": "" if newest_first else "oldest", **words}),
            with_statuses=with_statuses,
            **shown,
        )

    on_head = on_get

    async def _shown(self, query: QueryText, newest_first: bool, given: Parameters) -> dict[str, Any]:
        shown: dict[str, Any] = {"rows": [], "following": None, "reached": None, "newer": (0, False), "pinned": ""}
        shown |= {"at_start": given.text("cursor") is None and not given.yes("later"), "state": ""}
        if query.faults:
            return shown
        if pinned := given.text("shown", 8_000):
            jobs = await self._findings.ask(in_brief, _ids(pinned))
            shown["following"] = given.text("then")
        else:
            # Times such as 1h move on from page to page, so it is the text that the list is known by.
            of = ("pages of jobs", query.text, newest_first)
            after = await self._cursors.read(given.text("cursor"), of)
            position = None if after is None else msgspec.convert(after, Position)
            jobs, reached = await self._found(query.filter, newest_first, position)
            shown |= {"following": await self._cursors.write(reached, of), "reached": reached and reached.created_at}
        if pinned and jobs and newest_first and shown["at_start"]:
            first = Position(jobs[0].created_at, jobs[0].id)
            shown["newer"] = await self._findings.ask(newer, query.filter, first, _MOST_NEWER)
        state = f"{crc32(repr((jobs, shown['newer'])).encode()):x}"
        return {**shown, "rows": rows(jobs, query.filter.statuses), "pinned": _pin(jobs), "state": state}

    async def _found(
        self, which: JobFilter, newest_first: bool, after: Position | None
    ) -> tuple[list[Brief], Position | None]:
        """A page, and where the next one begins: where jobs that fit are rare, it looks for them for a while."""
        until = time.monotonic() + _PATIENCE
        jobs: list[Brief] = []
        while True:
            found = await self._findings.ask(brief_page, which, newest_first, after, LIMIT - len(jobs))
            jobs, after = jobs + found.jobs, found.next
            if after is None or len(jobs) >= LIMIT or time.monotonic() > until:
                return jobs, after

    def _completions(self) -> dict[str, Any]:
        schemas = (actor.signature.schema() for actor in self._types.values())
        return {
            "qualifiers": QUALIFIERS,
            "values": {
                "status": list(Status),
                "type": sorted(self._types),
                "priority": list(QUEUES),
                "since": ["15m", "1h", "6h", "24h", "7d"],
                "before": ["1h", "24h", "7d"],
                "finished": ["15m", "1h", "24h", "7d"],
                "payload.": list(fields_of(schemas)),
            },
        }


def address(**words: str) -> str:
    """The address of a list of jobs; what is empty is left out."""
    query = urlencode({name: word for name, word in words.items() if word})
    return f"/ui/jobs?{query}" if query else "/ui/jobs"


def _text(req: Request, given: Parameters) -> str:
    text = given.text("q", 10_000) or ""
    named = {name: word for name in _NAMED if (word := req.get_param_as_list(name))}
    words = {name: word if name in ("status", "type") else word[0] for name, word in named.items()}
    return f"{text_of(words)} {text}".strip() if words else text.strip()


def _id(text: str) -> str | None:
    try:
        return str(UUID(text)) if len(text) == 36 else None
    except ValueError:
        return None


def _pin(jobs: Sequence[Brief]) -> str:
    """The ids of the jobs that are shown, for the address that keeps just these up to date."""
    return urlsafe_b64encode(b"".join(UUID(job.id).bytes for job in jobs)).rstrip(b"=").decode()


def _ids(pinned: str) -> list[str]:
    try:
        packed = urlsafe_b64decode(pinned.encode("ascii") + b"==")
        pieces = [packed[place : place + _UUID_BYTES] for place in range(0, len(packed), _UUID_BYTES)]
        return [str(UUID(bytes=piece)) for piece in pieces[:LIMIT]]
    except ValueError:
        raise _not_pinned() from None


def _not_pinned() -> Problem:
    return faulty("shown", "must be as the page itself writes it")
