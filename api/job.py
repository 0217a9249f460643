"""``GET /jobs/{id}``: one job, now or when it has come to its end."""

import asyncio
import re
import zlib
from contextlib import suppress
from typing import Final
from uuid import UUID

import falcon.asgi

from api.answers import Answers
from api.problems import INVALID_PARAMETER, JOB_NOT_FOUND, Problem
from api.reply import reply
from api.request import Request
from api.views import job_json, rfc3339
from jobplatform.queries import JobRow
from jobplatform.reader import Reader
from jobplatform.states import FINAL

#: The longest that a client may wait for the end of a job, in seconds.
MAX_WAIT: Final = 30.0
#: The pauses between two looks at a job that somebody waits for, in seconds: each longer than the one before.
FIRST_PAUSE: Final = 0.02
LONGEST_PAUSE: Final = 0.25

_SECONDS: Final = re.compile(r"[0-9]{1,2}(\.[0-9]{1,6})?")


class Job:
    """One job."""

    def __init__(self, reader: Reader, answers: Answers, closing: asyncio.Event) -> None:
        self._reader = reader
        self._answers = answers
        self._closing = closing

    async def on_get(self, req: Request, resp: falcon.asgi.Response, job_id: str) -> None:
        """Show the job; with ``?wait=`` when it is final, or as it is when the time is up."""
        key = parse_job_id(job_id)
        row = await self._answers.of(self._reader.job(key))
        if req.query_string and (seconds := _seconds_to_wait(req)):
            row = await self._final(key, row, seconds)
        if row is None:
            raise not_found(job_id)
        etag = _etag(row)
        resp.set_header("ETag", etag)
        if _has(req, etag):
            resp.status = falcon.HTTP_304
            reply(resp, None)
        else:
            reply(resp, job_json(row))

    on_head = on_get

    async def _final(self, key: str, row: JobRow | None, seconds: float) -> JobRow | None:
        """The row as soon as it is final, else as it is when the time is up or the API closes."""
        loop = asyncio.get_running_loop()
        deadline = loop.time() + seconds
        pause = FIRST_PAUSE
        while row is not None and row.status not in FINAL and not self._closing.is_set():
            left = deadline - loop.time()
            if left <= 0:
                break
            with suppress(TimeoutError):
                await asyncio.wait_for(self._closing.wait(), min(pause, left))
            row = await self._answers.of(self._reader.job(key))
            pause = min(pause * 1.5, LONGEST_PAUSE)
        return row


def parse_job_id(text: str) -> str:
    """The id in a path, as the platform writes it.

    Raises:
        Problem: it is no UUID, so there is no such job (404).
    """
    try:
        return str(UUID(text))
    except ValueError:
        raise Problem(JOB_NOT_FOUND, "A job's id is a UUID, and this is none.") from None


def not_found(job_id: str) -> Problem:
    """The problem of an id that no job has."""
    return Problem(JOB_NOT_FOUND, f"No job has the id {job_id}.")


def _seconds_to_wait(req: Request) -> float:
    given = req.params.get("wait")
    if given is None:
        return 0.0
    if isinstance(given, str) and _SECONDS.fullmatch(given) and float(given) <= MAX_WAIT:
        return float(given)
    raise Problem(INVALID_PARAMETER, f"wait must be a number of seconds from 0 to {MAX_WAIT:g}.")


def _etag(row: JobRow) -> str:
    """A strong validator: every transition changes one of these."""
    progress = zlib.crc32(row.progress.encode()) if row.progress else 0
    return f'"{row.status}-{row.attempts}-{rfc3339(row.updated_at)}-{progress:x}"'


def _has(req: Request, etag: str) -> bool:
    """Whether the client says that it has this version already."""
    if req.get_header("If-None-Match") is None:
        return False
    return any(known == "*" or str(known) == etag.strip('"') for known in req.if_none_match or ())
