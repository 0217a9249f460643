"""How errors become answers: every one is a problem document, and what we did wrong is logged, never shown."""

import logging
import time
from collections.abc import Callable
from typing import Any, Final

import falcon
import falcon.asgi

from api.problems import INTERNAL_ERROR, METHOD_NOT_ALLOWED, NOT_FOUND, UNAVAILABLE, Problem, document
from jobplatform.errors import DatabaseUnavailable, NothingDone

Write = Callable[[Any, Any, falcon.HTTPError], None]

#: When to come back after a 503, in seconds.
RETRY_AFTER: Final = {"Retry-After": "2"}

#: So many seconds lie between two lines in the log that say why requests are answered 503.
_SILENCE: Final = 10.0

_log: Final = logging.getLogger("api")


def answer_errors(app: falcon.asgi.App[Any, Any], write: Write | None = None) -> None:
    """Make the app answer every error, Falcon's own included, with a problem document, or as ``write`` does."""
    app.set_error_serializer(write or write_problem)
    app.add_error_handler(falcon.HTTPRouteNotFound, _route_not_found)
    app.add_error_handler(falcon.HTTPMethodNotAllowed, _method_not_allowed)
    app.add_error_handler(DatabaseUnavailable, _Unavailable().answer)
    app.add_error_handler(Exception, _uncaught)


def in_general(error: DatabaseUnavailable) -> str:
    """What has happened, without what only operators should see: addresses and names of users."""
    return str(error) if isinstance(error, NothingDone) else "Postgres does not answer."


def write_problem(req: Any, resp: Any, error: falcon.HTTPError) -> None:
    """Write an error as a problem document."""
    resp.data = document(error, req.path)
    resp.content_type = "application/problem+json"
    resp.set_header("Cache-Control", "no-store")


async def _route_not_found(_req: Any, _resp: Any, _error: Exception, _params: Any) -> None:
    raise Problem(NOT_FOUND, "No resource has this path.")


async def _method_not_allowed(req: Any, _resp: Any, error: falcon.HTTPMethodNotAllowed, _params: Any) -> None:
    headers = dict(error.headers or ())
    raise Problem(METHOD_NOT_ALLOWED, f"This path takes {headers['Allow']}, and not {req.method}.", headers=headers)


class _Unavailable:
    """What Postgres itself said is for the log: it may be an outage, and it may be a mistake of ours."""

    def __init__(self) -> None:
        self._silent_until = 0.0

    async def answer(self, req: Any, _resp: Any, error: DatabaseUnavailable, _params: Any) -> None:
        if time.monotonic() >= self._silent_until:
            self._silent_until = time.monotonic() + _SILENCE
            _log.warning("%s %r is answered 503: %r", req.method, req.path, str(error))
        raise Problem(UNAVAILABLE, in_general(error), headers=RETRY_AFTER)


async def _uncaught(req: Any, _resp: Any, error: Exception, _params: Any) -> None:
    _log.error("%s %r went wrong.", req.method, req.path, exc_info=error)
    raise Problem(INTERNAL_ERROR, "This is not your fault. What happened is in the log of the API.")
