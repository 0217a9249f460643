"""The files that pages load. Their address holds a hash of what they are, so browsers may keep them for ever."""

import hashlib
from pathlib import Path
from typing import Final

import falcon.asgi

from api.problems import NOT_FOUND, Problem
from api.reply import REVALIDATE, reply
from api.request import Request

_FOLDER: Final = Path(__file__).with_name("static")
_FOR_EVER: Final = "public, max-age=31536000, immutable"
_TYPES: Final = {
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
    ".LICENSE": "text/plain; charset=utf-8",
}


class Files:
    """All of them, read once. Names are without folders."""

    def __init__(self) -> None:
        found = {path.name: path for path in sorted(_FOLDER.rglob("*")) if path.suffix in _TYPES}
        self.bodies = {name: path.read_bytes() for name, path in found.items()}
        self.types = {name: _TYPES[path.suffix] for name, path in found.items()}
        hashed = hashlib.sha256()
        for name, body in self.bodies.items():
            hashed.update(name.encode() + b"\0" + hashlib.sha256(body).digest())
        #: Changes with every change of any file.
        self.version: Final = hashed.hexdigest()[:12]

    def address(self, name: str) -> str:
        """Where a file is."""
        if name not in self.bodies:
            raise LookupError(f"There is no file {name}.")
        return f"/ui/static/{self.version}/{name}"


class StaticFiles:
    """The files."""

    def __init__(self, files: Files) -> None:
        self._files = files

    async def on_get(self, _req: Request, resp: falcon.asgi.Response, version: str, file: str) -> None:
        """Give one. During a deploy a page of another version may ask: it gets ours, and is not to keep it."""
        if (body := self._files.bodies.get(file)) is None:
            raise Problem(NOT_FOUND, "No resource has this path.")
        resp.content_type = self._files.types[file]
        reply(resp, body, _FOR_EVER if version == self._files.version else REVALIDATE)

    on_head = on_get
