"""What the API says of itself: ``GET /openapi.json``, the page ``/docs`` that shows it, and a page for each problem.

All files come from here: the page asks no other host for anything, and no script of it stands in the page itself.
"""

import hashlib
import re
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any, Final

import falcon
import falcon.asgi
import msgspec

from api.openapi import describe
from api.problems import KINDS, NOT_FOUND, Problem
from api.reply import REVALIDATE, known_to, reply
from api.request import Request
from jobplatform.job_actor import JobActor

_STATIC: Final = Path(__file__).with_name("static")
#: In a checkout the problems are explained among the documents; the wheel has them beside the rest.
_PROBLEMS: Final = (_STATIC / "problems.md", Path(__file__).parents[1] / "docs" / "problems.md")
#: Swagger UI has its pictures in its style sheet, as data.
_POLICY: Final = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self';"
    " base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
_FILES: Final = {
    "docs.js": ("docs.js", "text/javascript; charset=utf-8"),
    "swagger-ui-bundle.js": ("swagger-ui/swagger-ui-bundle.js", "text/javascript; charset=utf-8"),
    "swagger-ui.css": ("swagger-ui/swagger-ui.css", "text/css; charset=utf-8"),
    "favicon-32x32.png": ("swagger-ui/favicon-32x32.png", "image/png"),
    "LICENSE": ("swagger-ui/LICENSE", "text/plain; charset=utf-8"),
    "NOTICE": ("swagger-ui/NOTICE", "text/plain; charset=utf-8"),
}


class OpenApi:
    """The document of this API. It does not change while the process lives."""

    def __init__(self, types: Mapping[str, JobActor[..., Any]], *, keyed: bool) -> None:
        self._json = msgspec.json.encode(describe(types, keyed=keyed))
        self._etag = _etag(self._json)

    async def on_get(self, req: Request, resp: falcon.asgi.Response) -> None:
        """Give the document."""
        _give(req, resp, self._json, self._etag, "application/json")

    on_head = on_get


class DocsPage:
    """The page."""

    async def on_get(self, req: Request, resp: falcon.asgi.Response) -> None:
        """Give the page."""
        resp.set_header("Content-Security-Policy", _POLICY)
        _give(req, resp, *_file("docs.html"), "text/html; charset=utf-8")

    on_head = on_get


class DocsFiles:
    """The files that the page loads, the document that it shows among them."""

    def __init__(self, document: OpenApi) -> None:
        self._document = document

    async def on_get(self, req: Request, resp: falcon.asgi.Response, file: str) -> None:
        """Give one of them."""
        if file == "openapi.json":
            await self._document.on_get(req, resp)
            return
        if file not in _FILES:
            raise Problem(NOT_FOUND, "No resource has this path.")
        path, content_type = _FILES[file]
        _give(req, resp, *_file(path), content_type)

    on_head = on_get


class ProblemPages:
    """What each kind of problem means, and what to do about it."""

    async def on_get(self, req: Request, resp: falcon.asgi.Response, name: str) -> None:
        """Give the section of docs/problems.md that is about this kind."""
        if name not in {kind.name for kind in KINDS}:
            raise Problem(NOT_FOUND, "There is no such kind of problem.")
        section = _sections()[name]
        _give(req, resp, section, _etag(section), "text/markdown; charset=utf-8")

    on_head = on_get


def _give(req: Request, resp: falcon.asgi.Response, body: bytes, etag: str, content_type: str) -> None:
    resp.set_header("ETag", etag)
    if known_to(req, etag):
        resp.status = falcon.HTTP_304
        reply(resp, None)
        return
    resp.content_type = content_type
    reply(resp, body, REVALIDATE)


@cache
def _file(path: str) -> tuple[bytes, str]:
    body = (_STATIC / path).read_bytes()
    return body, _etag(body)


@cache
def _sections() -> dict[str, bytes]:
    text = next(path for path in _PROBLEMS if path.is_file()).read_text("utf-8")
    _, *parts = re.split(r"^## (.+)$", text, flags=re.MULTILINE)
    return {name: f"# {name}{section}".encode() for name, section in zip(parts[::2], parts[1::2], strict=True)}


def _etag(body: bytes) -> str:
    return f'"{hashlib.sha256(body).hexdigest()[:16]}"'
