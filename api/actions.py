"""``/actions``: cancelling or retrying all jobs that fit a filter, and what was done of it so far."""

import time
from collections.abc import Iterator, Mapping
from typing import Annotated, Any, Final, Literal
from uuid import UUID

import falcon
import falcon.asgi
import msgspec
from msgspec import Meta

from api.act_body import ReasonBody, invalid, read_body
from api.answers import Answers
from api.cursor import Cursors
from api.errors import RETRY_AFTER, in_general
from api.filters import job_filter
from api.findings import Findings
from api.parameters import Parameters
from api.problems import ACTION_NOT_FOUND, UNAVAILABLE, Problem
from api.reply import NO_STORE, REVALIDATE, reply
from api.request import Request
from api.submission import ENVELOPE_BYTES
from api.views import Count, rfc3339, rfc3339_or_none
from jobplatform import bulk
from jobplatform.broker import JobBroker
from jobplatform.errors import DatabaseUnavailable, Fault, NothingDone
from jobplatform.journal import RecordAction
from jobplatform.queries import actions as recorded
from jobplatform.queries.actions import ActionPosition, ActionRow
from jobplatform.queries.filter import JobFilter
from jobplatform.settings import Settings

_Words = str | list[str] | None
#: The fields that take several words.
_SEVERAL: Final = ("status", "type")


class FilterBody(msgspec.Struct, rename="camel", forbid_unknown_fields=True):
    """Which jobs: the filters of ``GET /jobs``. Several words are a list, or divided by commas."""

    status: _Words = None
    type: _Words = None
    priority: str | None = None
    tag: str | None = None
    created_after: str | None = None
    created_before: str | None = None
    finished_after: str | None = None
    q: str | None = None
    failure: str | None = None


class ActionBody(ReasonBody, rename="camel", forbid_unknown_fields=True, kw_only=True):
    """The body of ``POST /actions``."""

    kind: Literal["cancel", "retry"]
    filter: FilterBody
    dry_run: bool | None = None


class Matched(msgspec.Struct):
    """What an action would be done to."""

    matched: Count
    bounded: Annotated[bool, Meta(description="Whether there may be more: it counted no further.")]


class Action(msgspec.Struct, rename="camel"):
    """Something that was done to many jobs, or to a queue."""

    id: str
    kind: Annotated[str, Meta(extra_json_schema={"enum": ["cancel", "retry", "pause", "resume"]})]
    filter: msgspec.Raw
    reason: str | None
    who: str | None
    request_id: str | None
    matched: Annotated[Count, Meta(description="So many jobs fit when it was asked for.")]
    done: Annotated[Count, Meta(description="So many jobs were looked at.")]
    changed: Annotated[Count, Meta(description="To so many of them it was done.")]
    created_at: str
    updated_at: str
    finished_at: str | None
    error: Annotated[str | None, Meta(description="Why it ended before all that fit were looked at; null: it did not.")]


class Actions:
    """The actions."""

    def __init__(
        self, broker: JobBroker, findings: Findings, cursors: Cursors, answers: Answers, settings: Settings
    ) -> None:
        self._writer = broker.recorder.acts_writer
        self._findings = findings
        self._cursors = cursors
        self._answers = answers
        self._timeout = settings.submit_timeout / 1000

    async def on_get(self, req: Request, resp: falcon.asgi.Response) -> None:
        """List actions, the newest first."""
        given = Parameters(req.params)
        after = await self._cursors.read(given.text("cursor"), "actions")
        position = None if after is None else msgspec.convert(after, ActionPosition)
        rows, behind = await self._findings.ask(recorded.actions, position, given.limit())
        items = [_view(row) for row in rows]
        reply(resp, msgspec.json.encode({"items": items, "next": await self._cursors.write(behind, "actions")}))

    on_head = on_get

    async def on_post(self, req: Request, resp: falcon.asgi.Response) -> None:
        """Put an action on record: a keeper does it. With ``dryRun`` only count."""
        body = await read_body(req, ActionBody, ENVELOPE_BYTES, required=True)
        which = _filter(body.filter)
        count = await self.count(body.kind, which)
        if body.dry_run:
            reply(resp, msgspec.json.encode(Matched(count.matched, count.bounded)), NO_STORE)
            return
        row = await self.record(req, body.kind, which, count.matched, body.reason)
        resp.status = falcon.HTTP_202
        resp.set_header("Location", f"/actions/{row.id}")
        reply(resp, msgspec.json.encode(_view(row)), NO_STORE)

    async def count(self, kind: str, which: JobFilter) -> bulk.Count:
        """How many jobs an action would be done to.

        Raises:
            DatabaseUnavailable: Postgres does not answer in time.
        """
        return await self._findings.ask(bulk.count, kind, which)

    async def record(self, req: Request, kind: str, which: JobFilter, matched: int, reason: str | None) -> ActionRow:
        """Put an action on record for whoever sent this request. ``matched`` is what was counted.

        Raises:
            Problem: it is not known whether it is on record (503).
            NothingDone: it certainly is not.
        """
        item = RecordAction(
            kind=kind,
            filter=bulk.filter_json(which),
            matched=matched,
            who=req.who,
            reason=reason,
            request_id=req.request_id,
            deadline=time.monotonic() + self._timeout,
        )
        try:
            created_at = await self._answers.of(self._writer.put(item))
        except NothingDone:
            raise
        except DatabaseUnavailable as error:
            raise _not_known(error, item.id) from error
        return ActionRow(
            item.id, item.kind, item.filter, item.reason, item.who, item.request_id, item.matched, 0, 0, created_at,
            created_at, None, None,
        )  # fmt: skip


class OneAction:
    """One action."""

    def __init__(self, findings: Findings) -> None:
        self._findings = findings

    async def on_get(self, _req: Request, resp: falcon.asgi.Response, action_id: str) -> None:
        """Show the action, and how far it is."""
        row = await self._findings.ask(recorded.action, _parse_id(action_id))
        if row is None:
            raise Problem(ACTION_NOT_FOUND, f"No action has the id {action_id}.")
        reply(resp, msgspec.json.encode(_view(row)), REVALIDATE)

    on_head = on_get


def _parse_id(text: str) -> str:
    try:
        return str(UUID(text))
    except ValueError:
        raise Problem(ACTION_NOT_FOUND, "An action's id is a UUID, and this is none.") from None


def _filter(body: FilterBody) -> JobFilter:
    fields: dict[str, Any] = msgspec.to_builtins(body)
    given = {name: value for name, value in fields.items() if value is not None}
    if empty := [*_empty(given)]:
        raise invalid(*empty)
    try:
        return job_filter(Parameters(given))
    except Problem as problem:
        name, _, what = str(problem.description).partition(" ")
        raise invalid(Fault(f"/filter/{name}", what.removesuffix("."))) from None


def _empty(given: Mapping[str, str | list[str]]) -> Iterator[Fault]:
    """What holds no words. As a parameter of a list it counts as left out: here that would mean all jobs."""
    for name, value in given.items():
        if isinstance(value, list) and value:
            empty = (place for place, text in enumerate(value) if _has_no_word(text))
            yield from (Fault(f"/filter/{name}/{place}", "must not be empty") for place in empty)
        elif not value or (name in _SEVERAL and _has_no_word(str(value))):
            yield Fault(f"/filter/{name}", "must not be empty; leave it out for all")


def _has_no_word(text: str) -> bool:
    return not text.replace(",", " ").strip()


def _view(row: ActionRow) -> Action:
    return Action(
        row.id,
        row.kind,
        msgspec.Raw(row.filter),
        row.reason,
        row.who,
        row.request_id,
        row.matched,
        row.done,
        row.changed,
        rfc3339(row.created_at),
        rfc3339(row.updated_at),
        rfc3339_or_none(row.finished_at),
        row.error,
    )


def _not_known(error: DatabaseUnavailable, action_id: str) -> Problem:
    detail = (
        f"{in_general(error)} It is not known whether the action was recorded: GET /actions/{action_id} tells."
        " If there is none, that proves nothing until a minute has passed."
    )
    return Problem(UNAVAILABLE, detail, headers=RETRY_AFTER)
