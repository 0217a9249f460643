"""Errors as pages, where a person is to see them."""

from typing import Any

import falcon
import falcon.asgi

from api.dashboard.page import POLICY, Pages
from api.errors import write_problem
from api.keys import is_page
from api.problems import Problem


class Faults:
    """Shows what went wrong: below the dashboard's paths as a page, elsewhere as a problem document."""

    def __init__(self, pages: Pages) -> None:
        self._pages = pages

    def page(self, error: falcon.HTTPError, request_id: str) -> bytes:
        """A page that tells of an error."""
        title = error.kind.title if isinstance(error, Problem) else error.title
        faults = [f"{fault.pointer or 'it'} {fault.detail}" for fault in getattr(error, "faults", ())]
        return self._pages.bare(
            "fault.html",
            status=error.status_code,
            title=title or "Something went wrong",
            detail=error.description or "",
            faults=faults,
            request_id=request_id,
        )

    def write(self, req: Any, resp: falcon.asgi.Response, error: falcon.HTTPError) -> None:
        """Serialize an error, as Falcon asks for it."""
        if not is_page(req.path):
            write_problem(req, resp, error)
            return
        resp.data = self.page(error, req.request_id or "")
        resp.content_type = "text/html; charset=utf-8"
        resp.set_header("Content-Security-Policy", POLICY)
        resp.set_header("Cache-Control", "no-store")
