"""Pausing and resuming queues. Nothing of a paused queue is started: its claims are refused, and its resends rest."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar, Final, NamedTuple
from uuid import uuid4

from peewee import CTE, JOIN, Case, Select, Value, fn

from jobplatform.journal.hint import Hint
from jobplatform.models import Action, PausedQueue, database
from jobplatform.statement import Batch, Statement


class QueueAnswer(NamedTuple):
    """What a pause or a resume did."""

    #: Whether the queue was not so before.
    changed: bool


@dataclass(slots=True)
class _QueueAct:
    """An action on record, also where it changes nothing. Repeated, as its answer was lost, it is the same action."""

    queue: str
    who: str | None = None
    reason: str | None = None
    request_id: str | None = None
    #: A monotonic time after which nobody waits for the answer.
    deadline: float | None = None
    action: str = field(default_factory=lambda: str(uuid4()))
    size: ClassVar[int] = 0
    locks: ClassVar[None] = None

    def rows(self) -> Sequence[tuple[Any, ...]]:
        return ((self.action, self.queue, self.who, self.reason, self.request_id),)

    def answer(self, rows: Sequence[tuple[Any, ...]]) -> tuple[QueueAnswer, list[Hint]]:
        return QueueAnswer(rows[0][0]), []


class PauseQueue(_QueueAct):
    """Start nothing more of a queue. What runs goes on."""

    __slots__ = ()


class ResumeQueue(_QueueAct):
    """Start what waits in a queue again."""

    __slots__ = ()


def paused() -> frozenset[str]:
    """The queues that are paused."""
    return frozenset(queue for (queue,) in PausedQueue.select(PausedQueue.queue).tuples().execute(database))


def _batch() -> Batch:
    return Batch(action="uuid", queue="text", who="text", reason="text", request_id="text")


def _pause() -> Statement:
    batch = _batch()
    values = {
        PausedQueue.queue: batch.queue,
        PausedQueue.paused_at: batch.now,
        PausedQueue.who: batch.who,
        PausedQueue.reason: batch.reason,
    }
    paused = (
        PausedQueue.insert_from(Select([batch.cte], list(values.values())), list(values))
        .on_conflict_ignore()
        .returning(PausedQueue.queue)
        .cte("changed")
    )
    return _statement(batch, paused, "pause")


def _resume() -> Statement:
    batch = _batch()
    gone = Select([batch.cte], [batch.queue])
    resumed = PausedQueue.delete().where(PausedQueue.queue.in_(gone)).returning(PausedQueue.queue).cte("changed")
    return _statement(batch, resumed, "resume")


def _statement(batch: Batch, changed: CTE, kind: str) -> Statement:
    """The change with the actions that tell of it. What an action did once, it says again when it is repeated."""
    done = changed.c.queue.is_null(False)
    values = {
        Action.id: batch.action,
        Action.kind: Value(kind),
        Action.filter: fn.json_build_object("queue", batch.queue),
        Action.reason: batch.reason,
        Action.who: batch.who,
        Action.request_id: batch.request_id,
        Action.matched: 1,
        Action.done: 1,
        Action.changed: Case(None, [(done, 1)], 0),
        Action.created_at: batch.now,
        Action.updated_at: batch.now,
        Action.finished_at: batch.now,
    }
    acted = Select([batch.cte], list(values.values())).join(
        changed, JOIN.LEFT_OUTER, on=(changed.c.queue == batch.queue)
    )
    recorded = (
        Action.insert_from(acted, list(values))
        .on_conflict_ignore()
        .returning(Action.id, Action.changed)
        .cte("recorded")
    )
    before = Action.select(Action.changed > 0).where(Action.id == batch.action)
    answer = (
        Select([batch.cte], [fn.coalesce(recorded.c.changed > 0, before)])
        .join(recorded, JOIN.LEFT_OUTER, on=(recorded.c.id == batch.action))
        .with_cte(batch.cte, changed, recorded)
    )
    return Statement(batch, answer)


PAUSE: Final = _pause()
RESUME: Final = _resume()
