"""``GET /ui/actions``: what people did to many jobs at once, or to a queue, and how far that is."""

from typing import Any
from uuid import UUID

import falcon.asgi
import msgspec

from api.dashboard.filter_words import WORDS, filter_words
from api.dashboard.jobs_address import jobs_address
from api.dashboard.parts import Parts
from api.parameters import Parameters
from api.problems import ACTION_NOT_FOUND, Problem
from api.request import Request
from jobplatform.queries import actions as recorded
from jobplatform.queries.actions import ActionPosition, ActionRow


class Actions:
    """The actions, the newest first."""

    def __init__(self, parts: Parts) -> None:
        self._pages = parts.pages
        self._findings = parts.findings
        self._cursors = parts.cursors

    async def on_get(self, req: Request, resp: falcon.asgi.Response) -> None:
        """Show a page of them."""
        given = Parameters(req.params)
        after = await self._cursors.read(given.text("cursor"), "actions")
        position = None if after is None else msgspec.convert(after, ActionPosition)
        rows, behind = await self._findings.ask(recorded.actions, position, given.limit())
        following = await self._cursors.write(behind, "actions")
        await self._pages.show(
            req,
            resp,
            "actions.html",
            actions=rows,
            words=_words,
            first="/ui/actions" if after is not None else None,
            following=following and f"/ui/actions?cursor={following}",
        )

    on_head = on_get


class OneAction:
    """One action."""

    def __init__(self, parts: Parts) -> None:
        self._pages = parts.pages
        self._findings = parts.findings

    async def on_get(self, req: Request, resp: falcon.asgi.Response, action_id: str) -> None:
        """Show it, and how far it is."""
        try:
            row = await self._findings.ask(recorded.action, str(UUID(action_id)))
        except ValueError:
            row = None
        if row is None:
            raise Problem(ACTION_NOT_FOUND, "No action has this id. It may take a moment to be on record.")
        filter = _filter(row)  # noqa: A001
        await self._pages.show(
            req,
            resp,
            "action.html",
            action=row,
            words=_words(row),
            filter=row.filter,
            jobs=jobs_address(**{**filter, "status": None}) if {"status"} < {"status", *filter} <= WORDS else "",
        )

    on_head = on_get


def _words(row: ActionRow) -> str:
    return filter_words(_filter(row))


def _filter(row: ActionRow) -> dict[str, Any]:
    filter: dict[str, Any] = msgspec.json.decode(row.filter)  # noqa: A001
    return filter
