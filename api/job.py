"""``GET /jobs/{id}``: one job, now or when it has come to its end."""

import re
import zlib
from typing import Final
from uuid import UUID

import falcon.asgi

from api.answers import Answers
from api.problems import INVALID_PARAMETER, JOB_NOT_FOUND, Problem
from api.reply import known_to, reply
from api.request import Request
from api.views import job_json, rfc3339
from api.waits import MAX_WAIT, Waits
from jobplatform.queries import JobRow
from jobplatform.reader import Reader

_SECONDS: Final = re.compile(r"[0-9]{1,2}(\.[0-9]{1,6})?")
#: An id as the platform writes it. Of the other ways to write a UUID `UUID` knows more, and takes longer.
_WRITTEN: Final = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")
#: A preference to wait, as RFC 7240 writes it: the first one counts, and what cannot be read is no preference.
_PREFERENCE: Final = re.compile(r'(?:^|,)\s*wait\s*=\s*(?:([0-9]{1,9})|"([0-9]{1,9})")\s*(?=[,;]|$)', re.IGNORECASE)


class Job:
    """One job."""

    def __init__(self, reader: Reader, answers: Answers, waits: Waits) -> None:
        self._reader = reader
        self._answers = answers
        self._waits = waits

    async def on_get(self, req: Request, resp: falcon.asgi.Response, job_id: str) -> None:
        """Show the job; to who wants to wait, when it is final, or as it is when the time is up."""
        key = parse_job_id(job_id)
        if seconds := _seconds_to_wait(req, resp, self._waits):
            await self._waits.until_final(key, seconds)
        row = await self._answers.of(self._reader.job(key))
        if row is None:
            raise not_found(job_id)
        etag = _etag(row)
        resp.set_header("ETag", etag)
        if known_to(req, etag):
            resp.status = falcon.HTTP_304
            reply(resp, None)
        else:
            reply(resp, job_json(row))

    on_head = on_get


def parse_job_id(text: str) -> str:
    """The id in a path, as the platform writes it.

    Raises:
        Problem: it is no UUID, so there is no such job (404).
    """
    if _WRITTEN.fullmatch(text):
        return text
    try:
        return str(UUID(text))
    except ValueError:
        raise Problem(JOB_NOT_FOUND, "A job's id is a UUID, and this is none.") from None


def not_found(job_id: str) -> Problem:
    """The problem of an id that no job has."""
    return Problem(JOB_NOT_FOUND, f"No job has the id {job_id}.")


def _seconds_to_wait(req: Request, resp: falcon.asgi.Response, waits: Waits) -> float:
    """What ``?wait=`` says, or else the header: that is only a preference, and too long a wait is shortened.

    Where nobody can wait any more it is 0, whatever they say.
    """
    if req.query_string and (given := req.params.get("wait")):
        if isinstance(given, str) and _SECONDS.fullmatch(given) and float(given) <= MAX_WAIT:
            return min(float(given), waits.longest())
        raise Problem(INVALID_PARAMETER, f"wait must be a number of seconds from 0 to {MAX_WAIT:g}.")
    if (preferences := req.get_header("Prefer")) and (wanted := _PREFERENCE.search(preferences)):
        seconds = min(int(wanted[1] or wanted[2]), int(waits.longest()))
        resp.set_header("Preference-Applied", f"wait={seconds}")
        return seconds
    return 0.0


def _etag(row: JobRow) -> str:
    """A strong validator: every transition changes one of these."""
    progress = zlib.crc32(row.progress.encode()) if row.progress else 0
    return f'"{row.status}-{row.attempts}-{rfc3339(row.updated_at)}-{progress:x}"'
