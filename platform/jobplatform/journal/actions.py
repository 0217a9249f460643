"""Actions: what people ask to be done to many jobs at once. They are on record first, and then done in batches."""

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, ClassVar, Final, NamedTuple
from uuid import uuid4

from peewee import JOIN, Select, fn

from jobplatform.journal import cancel, resubmit
from jobplatform.journal.cancel import Cancel
from jobplatform.journal.hint import Hint
from jobplatform.journal.item import Item
from jobplatform.journal.lock import lock
from jobplatform.journal.resubmit import Resubmit
from jobplatform.models import Action, database
from jobplatform.statement import Batch, Statement

#: The kinds of actions: one cancels, the other one sends round again.
CANCEL: Final = "cancel"
RETRY: Final = "retry"


@dataclass(slots=True)
class RecordAction:
    """Put an action on record. From its commit on it will be done. Repeated, as its answer was lost, it is the same."""

    kind: str
    #: JSON text: which jobs.
    filter: str
    #: How many there seem to be.
    matched: int
    who: str | None = None
    reason: str | None = None
    request_id: str | None = None
    #: A monotonic time after which nobody waits for the answer.
    deadline: float | None = None
    id: str = field(default_factory=lambda: str(uuid4()))
    size: ClassVar[int] = 0
    locks: ClassVar[None] = None

    def rows(self) -> Sequence[tuple[Any, ...]]:
        return ((self.id, self.kind, self.filter, self.matched, self.who, self.reason, self.request_id),)

    def answer(self, rows: Sequence[tuple[Any, ...]]) -> tuple[datetime, list[Hint]]:
        """When it was put on record."""
        return rows[0][0], []


class Unfinished(NamedTuple):
    """An action that is to be done."""

    id: str
    kind: str
    #: JSON texts: which jobs, and behind which of them to go on.
    filter: str
    position: str | None
    created_at: datetime
    reason: str | None
    who: str | None
    request_id: str | None


def take_action() -> Unfinished | None:
    """The oldest action that is not finished and that no other keeper has in its hands, locked.

    To be called in a transaction: with its end the action is free again, and whatever was done of it is done or not.
    """
    row = (
        Action.select(
            Action.id.cast("text"),
            Action.kind,
            Action.filter.cast("text"),
            Action.position.cast("text"),
            Action.created_at,
            Action.reason,
            Action.who,
            Action.request_id,
        )
        .where(Action.finished_at.is_null())
        .order_by(Action.created_at)
        .limit(1)
        .for_update(for_update=True, skip_locked=True)
        .tuples()
        .first(database)
    )
    return None if row is None else Unfinished(*row)


def do_to(action: Unfinished, job_ids: Sequence[str]) -> tuple[int, list[Hint]]:
    """Do an action to these jobs, in the transaction that has taken it. How many it changed, and the hints to send."""
    if not job_ids:
        return 0, []
    make, statement = (Cancel, cancel.STATEMENT) if action.kind == CANCEL else (Resubmit, resubmit.STATEMENT)
    items: list[Item] = [make(job_id, action.who, action.reason, action.request_id) for job_id in job_ids]
    rows = statement.execute([row for item in items for row in item.rows()], after=lock(items))
    answers = [item.answer([row]) for item, row in zip(items, rows, strict=True)]
    return sum(answer.event is not None for answer, _ in answers), [hint for _, hints in answers for hint in hints]


def note(action: str, position: object, done: int, changed: int, error: str | None = None) -> None:
    """Say how far an action is: behind which job it goes on; None: it is finished, or has ended with an error."""
    now = fn.clock_timestamp()
    noted: dict[Any, Any] = {Action.done: Action.done + done, Action.changed: Action.changed + changed}
    noted |= {Action.updated_at: now, Action.position: None if position is None else json.dumps(position)}
    if position is None:
        noted |= {Action.finished_at: now, Action.error: error}
    Action.update(noted).where(Action.id == action).execute(database)


def _record() -> Statement:
    batch = Batch(id="uuid", kind="text", filter="text", matched="bigint", who="text", reason="text", request_id="text")
    values = {
        Action.id: batch.id,
        Action.kind: batch.kind,
        Action.filter: batch.filter.cast("json"),
        Action.matched: batch.matched,
        Action.done: 0,
        Action.changed: 0,
        Action.who: batch.who,
        Action.reason: batch.reason,
        Action.request_id: batch.request_id,
        Action.created_at: batch.now,
        Action.updated_at: batch.now,
    }
    recorded = (
        Action.insert_from(Select([batch.cte], list(values.values())), list(values))
        .on_conflict_ignore()
        .returning(Action.id, Action.created_at)
        .cte("recorded")
    )
    before = Action.select(Action.created_at).where(Action.id == batch.id)
    answer = (
        Select([batch.cte], [fn.coalesce(recorded.c.created_at, before)])
        .join(recorded, JOIN.LEFT_OUTER, on=(recorded.c.id == batch.id))
        .with_cte(batch.cte, recorded)
    )
    return Statement(batch, answer)


RECORD: Final = _record()
