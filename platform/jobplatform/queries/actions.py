"""Actions, as they stand."""

from datetime import datetime
from typing import Final, NamedTuple

from jobplatform.queries.snapshot import rows


class ActionRow(NamedTuple):
    """An action. ``filter`` is JSON text."""

    id: str
    kind: str
    filter: str
    reason: str | None
    who: str | None
    request_id: str | None
    matched: int
    done: int
    changed: int
    created_at: datetime
    updated_at: datetime
    finished_at: datetime | None
    #: Why it ended before its end.
    error: str | None


class ActionPosition(NamedTuple):
    """A place in the order of the actions: that of one of them."""

    created_at: datetime
    id: str


_ACTIONS: Final = """
    SELECT id::text, kind, filter::text, reason, who, request_id, matched, done, changed, created_at, updated_at,
           finished_at, error
    FROM actions
"""


def action(action_id: str) -> ActionRow | None:
    """The action with this id; None where there is none."""
    found = rows(f"{_ACTIONS} WHERE id = %s", [action_id])
    return ActionRow(*found[0]) if found else None


def actions(after: ActionPosition | None, limit: int) -> tuple[list[ActionRow], ActionPosition | None]:
    """Up to ``limit`` actions, the newest first, and behind which one to go on; None: there are no more."""
    condition, values = ("true", []) if after is None else ("(created_at, id) < (%s, %s::uuid)", list(after))
    sql = f"{_ACTIONS} WHERE {condition} ORDER BY created_at DESC, id DESC LIMIT %s"
    found = [ActionRow(*row) for row in rows(sql, [*values, limit + 1])]
    shown = found[:limit]
    return shown, ActionPosition(shown[-1].created_at, shown[-1].id) if len(found) > limit else None
