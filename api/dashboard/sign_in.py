"""``/ui/sign-in`` and ``/ui/sign-out``: trading a key for a session, and giving it back."""

import falcon
import falcon.asgi

from api.dashboard.form import read_form
from api.dashboard.page import Pages, answer, see_other, set_cookie
from api.dashboard.session import COOKIE, LIFETIME
from api.request import Request

_REFUSED = "This is no key that may look at the platform. It needs the scope read."


class SignIn:
    """The page that asks for a key."""

    def __init__(self, pages: Pages) -> None:
        self._pages = pages

    async def on_get(self, req: Request, resp: falcon.asgi.Response) -> None:
        """Ask for a key; where none are needed, go on."""
        behind = _own(req.get_param("next"))
        if not self._pages.sessions.keyed:
            see_other(resp, behind)
            return
        answer(resp, self._pages.bare("sign_in.html", behind=behind, fault=""))

    async def on_post(self, req: Request, resp: falcon.asgi.Response) -> None:
        """Open a session, and go where one was about to go."""
        form = await read_form(req)
        behind = _own(form.text("next"))
        cookie = await self._pages.sessions.open(form.text("key"))
        if cookie is None:
            answer(resp, self._pages.bare("sign_in.html", behind=behind, fault=_REFUSED))
            resp.status = falcon.HTTP_403
            return
        see_other(resp, behind)
        set_cookie(resp, COOKIE, cookie, max_age=LIFETIME, secure=req.forwarded_scheme == "https")

    on_head = on_get


class SignOut:
    """The end of a session."""

    def __init__(self, pages: Pages) -> None:
        self._pages = pages

    async def on_post(self, req: Request, resp: falcon.asgi.Response) -> None:
        """Forget the session, and ask for a key again."""
        await self._pages.form(req)
        see_other(resp, "/ui/sign-in")
        resp.unset_cookie(COOKIE, path="/")


def _own(address: str | None) -> str:
    """An address of ours to go on to: nobody is sent to another host by a link that ends so."""
    if not address or not address.startswith("/") or address.startswith(("//", "/\\")) or not address.isprintable():
        return "/"
    return address
