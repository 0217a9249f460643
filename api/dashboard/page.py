"""Rendering: a template, what every page shows, and the headers that keep a page to itself."""

from collections.abc import Mapping
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any, Final, NamedTuple
from urllib.parse import quote, unquote

import falcon
import falcon.asgi
from jinja2 import Environment, FileSystemLoader, StrictUndefined

from api.dashboard import wording
from api.dashboard.form import FORM_BYTES, Form, read_form
from api.dashboard.jobs_address import jobs_address
from api.dashboard.session import Sessions
from api.dashboard.static_files import Files
from api.problems import FORBIDDEN, Problem
from api.reply import NO_STORE
from api.request import Request
from jobplatform.states import FINAL, QUEUES, Status

POLICY: Final = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self';"
    " form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)

#: What an act said of itself travels to the page behind it in this cookie, for so many seconds.
_SAID: Final = "jobplatform_said"
_SAID_SECONDS: Final = 30
_LONGEST_SAID: Final = 300

#: What an address may hold as it is. All else, such as letters beyond ASCII and ends of lines, is not for a header.
_OF_ADDRESSES: Final = "/?#[]@:!$&'()*+,;=%~"


class Place(NamedTuple):
    """Where the navigation leads."""

    path: str
    label: str
    icon: str


PLACES: Final = (
    Place("/", "Overview", "overview"),
    Place("/ui/jobs", "Jobs", "jobs"),
    Place("/ui/failures", "Failures", "failures"),
    Place("/ui/workers", "Workers", "workers"),
    Place("/ui/queues", "Queues", "queues"),
    Place("/ui/types", "Types", "types"),
    Place("/ui/actions", "Actions", "actions"),
)


class Pages:
    """Renders pages and reads their forms."""

    def __init__(self, sessions: Sessions) -> None:
        self.sessions = sessions
        self.files = Files()
        self._templates = Environment(
            loader=FileSystemLoader(Path(__file__).with_name("templates")),
            autoescape=True,
            undefined=StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
            auto_reload=False,
        )
        self._templates.filters |= {
            "between": wording.between,
            "duration": wording.duration,
            "exact": wording.exact,
            "number": wording.number,
            "plural": wording.plural,
            "short": wording.short,
            "size": wording.size,
            "time": wording.time,
        }
        self._templates.globals |= {
            "static": self.files.address,
            "jobs_address": jobs_address,
            "PLACES": PLACES,
            "STATUSES": tuple(map(str, Status)),
            "FINAL": frozenset(map(str, FINAL)),
            "PRIORITIES": QUEUES,
        }

    async def show(self, req: Request, resp: falcon.asgi.Response, template: str, /, **values: Any) -> None:
        """Answer with a page.

        Beside ``values`` and the macros, a template has: ``me`` (the `Session`: ``who``, ``csrf``, ``may(scope)``),
        ``here`` (the address of the page), ``base`` (that of the platform), ``place`` (the path of its entry in the
        navigation), ``said`` (what the act that led here has to say) and ``now``.
        """
        me = await self.sessions.of(req)
        said = ""
        if not req.get_header("HX-Request") and _SAID in req.cookies:
            said = unquote(req.cookies[_SAID])[:_LONGEST_SAID]
            resp.unset_cookie(_SAID, path="/")
        values |= {"me": me, "here": req.relative_uri, "place": _place(req.path), "said": said}
        values["base"] = f"{req.forwarded_scheme}://{req.forwarded_host}"
        answer(resp, self._render(template, values))

    def bare(self, template: str, /, **values: Any) -> bytes:
        """A page without a head, for whoever is not signed in, or where nothing else works."""
        return self._render(template, values)

    async def form(self, req: Request, limit: int = FORM_BYTES) -> Form:
        """The form that a page of ours, shown to this very person, has sent.

        Raises:
            Problem: it is none (400, 413, 415), or another page's (403).
        """
        form = await read_form(req, limit)
        if not (await self.sessions.of(req)).has_token(form.text("csrf")):
            raise Problem(FORBIDDEN, "This form was not made for you, or is too old. Load its page again.")
        return form

    def _render(self, template: str, values: Mapping[str, Any]) -> bytes:
        return self._templates.get_template(template).render(now=datetime.now(UTC), **values).encode()


def answer(resp: falcon.asgi.Response, html: bytes) -> None:
    """Answer with this HTML."""
    resp.content_type = "text/html; charset=utf-8"
    resp.data = html
    resp.set_header("Content-Security-Policy", POLICY)
    resp.set_header("Cache-Control", NO_STORE)


def see_other(resp: falcon.asgi.Response, address: str, said: str = "") -> None:
    """Answer a form that did its work: the browser loads this page of ours, which shows what was ``said``."""
    resp.status = falcon.HTTP_303
    resp.set_header("Location", quote(address, safe=_OF_ADDRESSES))
    resp.set_header("Cache-Control", NO_STORE)
    if said:
        set_cookie(resp, _SAID, quote(said[:_LONGEST_SAID]), max_age=_SAID_SECONDS)


set_cookie: Final = partial(falcon.asgi.Response.set_cookie, path="/", http_only=True, same_site="Strict", secure=False)


def _place(path: str) -> str:
    return max((place.path for place in PLACES if f"{path}/".startswith(f"{place.path.rstrip('/')}/")), key=len)
