"""Cancelling jobs: at once where they only wait, and as a request where they run (P15)."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar, Final, NamedTuple
from uuid import uuid4

from peewee import JOIN, Case, Select, fn

from jobplatform.journal.hint import Hint
from jobplatform.journal.tell import tell
from jobplatform.models import Job, Transition
from jobplatform.statement import Batch, Statement
from jobplatform.states import FINAL, Event, Status


class CancelAnswer(NamedTuple):
    """What a cancel found and did."""

    #: Where the job is now; None: there is no such job.
    status: Status | None
    #: What was recorded; None: nothing, as the job is final or was asked before.
    event: Event | None


@dataclass(slots=True)
class Cancel:
    """Call a job off, on somebody's behalf.

    A cancel whose answer was lost is repeated with the same token and finds what it did (P4).
    """

    job_id: str
    who: str | None = None
    reason: str | None = None
    #: The HTTP request in which it was asked for.
    request_id: str | None = None
    #: A monotonic time after which nobody waits for the answer.
    deadline: float | None = None
    token: str = field(default_factory=lambda: str(uuid4()))
    size: ClassVar[int] = 0

    @property
    def locks(self) -> str:
        return self.job_id

    def rows(self) -> Sequence[tuple[Any, ...]]:
        return ((self.job_id, self.who, self.reason, self.request_id, self.token),)

    def answer(self, rows: Sequence[tuple[Any, ...]]) -> tuple[CancelAnswer, list[Hint]]:
        status, event = rows[0]
        return CancelAnswer(Status(status) if status else None, Event(event) if event else None), []


def _statement() -> Statement:
    batch = Batch(id="uuid", who="text", reason="text", request_id="text", token="uuid")
    at = fn.greatest(batch.now, Job.updated_at)
    runs = Job.status == Status.RUNNING
    # The rows are locked already, so what this reads is what the update below finds.
    before = Job.select(Job.id, Job.status).join(batch.cte, on=(batch.id == Job.id)).cte("before")
    own = Transition.select(Transition.event).where(Transition.job_id == batch.id, Transition.token == batch.token)
    cancelled = (
        Job.update(
            {
                Job.status: Case(None, [(runs, Job.status)], Status.CANCELLED),
                Job.cancel_requested: runs,
                Job.finished_at: Case(None, [(runs, None)], at),
                Job.updated_at: at,
            }
        )
        .from_(batch.cte, before)
        .where(
            Job.id == batch.id,
            before.c.id == batch.id,
            Job.status.not_in(sorted(FINAL)),
            ~(runs & Job.cancel_requested),
            ~fn.exists(own),
        )
        .returning(
            Job.id,
            Job.attempts,
            Job.status,
            Job.updated_at.alias("at"),
            Job.worker,
            before.c.status.alias("was"),
            Case(None, [(runs, Event.CANCEL_REQUESTED)], Event.CANCELLED).alias("event"),
            batch.n,
            batch.who,
            batch.reason,
            batch.request_id,
            batch.token,
        )
        .cte("cancelled")
    )
    told = tell(
        cancelled,
        event=cancelled.c.event,
        before=cancelled.c.was,
        after=cancelled.c.status,
        worker=cancelled.c.worker,
        who=cancelled.c.who,
        token=cancelled.c.token,
        detail=Case(
            None,
            [(cancelled.c.reason.is_null(False), fn.json_build_object("reason", cancelled.c.reason))],
            None,
        ),
        request_id=cancelled.c.request_id,
    )
    answer = (
        Select(
            [batch.cte],
            [fn.coalesce(cancelled.c.status, before.c.status), fn.coalesce(cancelled.c.event, own.limit(1))],
        )
        .join(cancelled, JOIN.LEFT_OUTER, on=(cancelled.c.n == batch.n))
        .join(before, JOIN.LEFT_OUTER, on=(before.c.id == batch.id))
        .with_cte(batch.cte, before, cancelled, told)
    )
    return Statement(batch, answer)


STATEMENT: Final = _statement()
