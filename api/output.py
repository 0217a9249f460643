"""``GET /jobs/{id}/output``: the file that a job made, whole or in part."""

import asyncio
import mimetypes
import re
from base64 import b64encode
from concurrent.futures import ThreadPoolExecutor
from typing import Final
from urllib.parse import quote

import falcon
import falcon.asgi
import msgspec

from api.answers import Answers
from api.job import not_found, parse_job_id
from api.problems import NO_OUTPUT, OUTPUT_GONE, OUTPUT_NOT_READY, RANGE_NOT_SATISFIABLE, Problem
from api.range import NOT_SATISFIABLE, Range, read_range
from api.reply import REVALIDATE, known_to, reply
from api.request import Request
from jobplatform.outputs import MadeFile, open_made
from jobplatform.queries import JobRow
from jobplatform.reader import Reader
from jobplatform.states import FINAL, Status

#: So many bytes are read, and sent, at a time.
_CHUNK: Final = 262_144
#: So many threads wait for the folder. Where it hangs they all do, and nothing else of the API may stand behind them.
_THREADS: Final = 8

_SHA256: Final = re.compile(r"[0-9a-f]{64}")
#: What no name for a download may hold: separators of folders, quotes, control and direction-changing characters.
_UNFIT: Final = re.compile(r'[/\\"\x00-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069\ud800-\udfff]')
_LONGEST_NAME: Final = 200

#: The kinds of files that Python itself knows: what the machine's own list says differs from host to host.
_KINDS: Final = mimetypes.MimeTypes()


class JobResult(msgspec.Struct, rename="camel"):
    """What a result says of the file that a job made. Other fields are the actor's own."""

    file_path: str
    bytes: int | None = None
    sha256: str | None = None
    file_name: str | None = None


class Output:
    """The file that a job made. Nothing but a job's own files can be read, whatever its result says."""

    def __init__(self, reader: Reader, answers: Answers, folder: str) -> None:
        self._reader = reader
        self._answers = answers
        self._folder = folder
        self._threads = ThreadPoolExecutor(_THREADS, "output")

    async def on_get(self, req: Request, resp: falcon.asgi.Response, job_id: str) -> None:
        """Send the file; with ``Range`` a part of it."""
        key = parse_job_id(job_id)
        row = await self._answers.of(self._reader.job(key))
        if row is None:
            raise not_found(job_id)
        told = _told_by(row)
        loop = asyncio.get_running_loop()
        file = await loop.run_in_executor(self._threads, open_made, self._folder, key, told.file_path)
        if file is None or told.bytes not in (None, file.size):
            if file is not None:
                file.close()
            raise Problem(OUTPUT_GONE, "The file that the job made is no longer there, or no longer as it was.")
        try:
            self._answer(req, resp, told, file)
        except BaseException:
            file.close()
            raise
        if not resp.stream:
            file.close()

    on_head = on_get

    def _answer(self, req: Request, resp: falcon.asgi.Response, told: JobResult, file: MadeFile) -> None:
        digest = told.sha256 if told.sha256 and _SHA256.fullmatch(told.sha256) else None
        etag = f'"{digest or f"{file.name}-{file.size}-{file.changed_at}"}"'
        reply(resp, None, REVALIDATE)
        resp.set_header("ETag", etag)
        if known_to(req, etag):
            resp.status = falcon.HTTP_304
            return
        part = _part(req, etag, file.size)
        if part is NOT_SATISFIABLE:
            headers = {"Content-Range": f"bytes */{file.size}", "ETag": etag}
            raise Problem(RANGE_NOT_SATISFIABLE, f"The file has {file.size} bytes.", headers=headers)
        resp.set_header("Accept-Ranges", "bytes")
        resp.set_header("Content-Disposition", _disposition(told.file_name or file.name))
        resp.content_type = _content_type(file.name)
        if digest:
            # Of the whole file, also where only a part of it is sent (RFC 9530).
            resp.set_header("Repr-Digest", f"sha-256=:{b64encode(bytes.fromhex(digest)).decode()}:")
        if part is not None:
            resp.status = falcon.HTTP_206
            resp.set_header("Content-Range", f"bytes {part.first}-{part.last}/{file.size}")
        sent = part or Range(0, file.size - 1)
        resp.set_header("Content-Length", str(sent.length))
        if req.method != "HEAD" and sent.length:
            resp.stream = _Chunks(file, sent, self._threads)


class _Chunks:
    """A part of a file, read piece by piece in threads."""

    def __init__(self, file: MadeFile, part: Range, threads: ThreadPoolExecutor) -> None:
        self._file = file
        self._threads = threads
        self._at = part.first
        self._end = part.last + 1

    def __aiter__(self) -> "_Chunks":
        return self

    async def __anext__(self) -> bytes:
        if self._at >= self._end:
            raise StopAsyncIteration
        length = min(_CHUNK, self._end - self._at)
        chunk = await asyncio.get_running_loop().run_in_executor(self._threads, self._file.read, self._at, length)
        if not chunk:
            # The client is told by the connection's end before the announced one.
            raise OSError(f"{self._file.name} became shorter while it was sent.")
        self._at += len(chunk)
        return chunk

    async def close(self) -> None:
        """Close the file, also when the client has gone."""
        self._file.close()


def _told_by(row: JobRow) -> JobResult:
    if row.status not in FINAL:
        raise Problem(OUTPUT_NOT_READY, f"The job is {row.status}: what it makes is there when it is completed.")
    if row.status != Status.COMPLETED:
        raise Problem(NO_OUTPUT, f"The job was not completed, but {row.status}.")
    try:
        return msgspec.json.decode(row.result or "null", type=JobResult)
    except msgspec.ValidationError:
        raise Problem(NO_OUTPUT, "The job's result names no file.") from None


def _part(req: Request, etag: str, size: int) -> Range | None:
    given = req.get_header("Range")
    if given is None or req.method != "GET" or req.get_header("If-Range") not in (None, etag):
        return None
    return read_range(given, size)


def _disposition(name: str) -> str:
    plain = _UNFIT.sub("_", name)[:_LONGEST_NAME]
    ascii_only = plain.encode("ascii", "replace").decode().replace("?", "_")
    extended = "" if ascii_only == plain else f"; filename*=UTF-8''{quote(plain, safe='')}"
    return f'attachment; filename="{ascii_only}"{extended}'


def _content_type(name: str) -> str:
    kind, encoding = _KINDS.guess_type(name)
    if encoding is not None:
        return f"application/{encoding}"
    if kind is None:
        return "application/octet-stream"
    return f"{kind}; charset=utf-8" if kind.startswith("text/") else kind
