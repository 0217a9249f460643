"""Settling attempts: an outcome takes a job out of `running`, if its attempt is still the current one (R2)."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar, Final, NamedTuple

from peewee import JOIN, SQL, Case, Select, Value, fn

from jobplatform.journal.hint import Hint, stamp_of
from jobplatform.journal.open import NewJob
from jobplatform.journal.tell import tell
from jobplatform.models import UNINDEXED_STATUS, Job, Transition
from jobplatform.outcome import failure
from jobplatform.statement import Batch, Statement
from jobplatform.states import FINAL, Event, Status

#: Where each outcome leads.
OUTCOMES: Final = {
    Event.COMPLETED: Status.COMPLETED,
    Event.FAILED: Status.FAILED,
    Event.RETRY_PLANNED: Status.RETRYING,
    Event.INTERRUPTED: Status.QUEUED,
    Event.CANCELLED: Status.CANCELLED,
}


class Settled(NamedTuple):
    """What became of an outcome."""

    #: What was recorded: the outcome's event, `cancelled` in its place, or `fenced`.
    event: Event

    @property
    def accepted(self) -> bool:
        return self.event is not Event.FENCED


@dataclass(slots=True)
class Settle:
    """The outcome of one attempt. It names the attempt and the claim's token (P2)."""

    job_id: str
    type: str
    queue: str
    attempt: int
    token: str
    worker: int
    event: Event
    #: JSON texts.
    result: str | None = None
    error: str | None = None
    progress: str | None = None
    #: Until the next attempt, for `retry_planned`.
    delay_ms: int | None = None
    #: Jobs that are opened with this very outcome, or not at all (P13).
    follow_ups: list[NewJob] = field(default_factory=list)
    is_replacement: bool = False
    deadline: ClassVar[None] = None

    @property
    def size(self) -> int:
        return len(self.result or "") + len(self.error or "")

    @property
    def locks(self) -> str:
        return self.job_id

    def rows(self) -> Sequence[tuple[Any, ...]]:
        return (
            (
                self.job_id,
                self.attempt,
                self.token,
                self.worker,
                self.event,
                OUTCOMES[self.event],
                self.result,
                self.error,
                self.progress,
                self.delay_ms,
            ),
        )

    def answer(self, rows: Sequence[tuple[Any, ...]]) -> tuple[Settled, list[Hint]]:
        event, status, at = rows[0]
        hints = [Hint(self.job_id, self.type, self.queue, stamp_of(at))] if status == Status.QUEUED else []
        return Settled(Event(event or Event.FENCED)), hints

    def fence_row(self) -> tuple[Any, ...]:
        """Its row in the statement for refused outcomes."""
        return self.job_id, self.attempt, self.token, self.worker, self.event

    def replacement(self, reason: str) -> "Settle":
        """What to record in its place when the database refuses what it holds (P5).

        It holds nothing that could be refused: an outcome that is never written runs its job for ever.
        """
        error = failure("unstorable", f"The outcome {self.event} could not be stored: {reason}")
        return replace(
            self,
            event=Event.FAILED,
            result=None,
            error=error,
            progress=None,
            delay_ms=None,
            follow_ups=[],
            is_replacement=True,
        )


def _statement() -> Statement:
    batch = Batch(
        id="uuid",
        attempt="integer",
        token="uuid",
        worker="bigint",
        event="text",
        status="text",
        result="text",
        error="text",
        progress="text",
        delay_ms="bigint",
    )
    at = fn.greatest(batch.now, Job.updated_at)
    # A job that was asked to stop ends here, whatever was planned for it; success and failure stand (P15).
    stops = Job.cancel_requested & batch.event.in_([Event.RETRY_PLANNED, Event.INTERRUPTED])
    status = Case(None, [(stops, Status.CANCELLED)], batch.status)
    due = at + batch.delay_ms * SQL("interval '1 millisecond'")
    settled = (
        Job.update(
            {
                Job.status: status,
                Job.worker: None,
                Job.token: None,
                Job.retries: Job.retries + (status == Status.RETRYING).cast("integer"),
                Job.result: batch.result.cast("json"),
                Job.error: batch.error.cast("json"),
                Job.progress: fn.coalesce(batch.progress.cast("json"), Job.progress),
                Job.run_at: Case(None, [(status == Status.RETRYING, due)], Job.run_at),
                Job.dispatched_at: Case(None, [(status == Status.QUEUED, at)], Job.dispatched_at),
                Job.updated_at: at,
                Job.finished_at: Case(None, [(status.in_(sorted(FINAL)), at)], None),
            }
        )
        .from_(batch.cte)
        .where(
            Job.id == batch.id,
            UNINDEXED_STATUS == Status.RUNNING,
            Job.attempts == batch.attempt,
            Job.token == batch.token,
        )
        .returning(
            Job.id,
            Job.attempts,
            Job.status,
            Job.updated_at.alias("at"),
            Job.run_at,
            batch.n,
            batch.token,
            batch.worker,
            Case(None, [(Job.status == Status.CANCELLED, Event.CANCELLED)], batch.event).alias("event"),
            Job.result,
            batch.error.cast("json").alias("error"),
        )
        .cte("settled")
    )
    told = tell(
        settled,
        event=settled.c.event,
        before=Status.RUNNING,
        after=settled.c.status,
        worker=settled.c.worker,
        token=settled.c.token,
        detail=Case(
            settled.c.event,
            [
                (Event.RETRY_PLANNED, fn.json_build_object("run_at", settled.c.run_at, "error", settled.c.error)),
                (Event.FAILED, fn.json_build_object("error", settled.c.error)),
                (
                    Event.COMPLETED,
                    Case(
                        None,
                        [(settled.c.result.is_null(False), fn.json_build_object("result", settled.c.result))],
                        None,
                    ),
                ),
            ],
            None,
        ),
    )
    answer = (
        Select([batch.cte], [settled.c.event, settled.c.status, settled.c.at])
        .join(settled, JOIN.LEFT_OUTER, on=(settled.c.n == batch.n))
        .with_cte(batch.cte, settled, told)
    )
    return Statement(batch, answer)


def _fence_statement() -> Statement:
    """For outcomes that were refused: recorded as `fenced`, unless an earlier try of the same was accepted (P4)."""
    batch = Batch(id="uuid", attempt="integer", token="uuid", worker="bigint", event="text")
    own = (
        Transition.select(Transition.event)
        .where(
            Transition.job_id == batch.id,
            Transition.attempt == batch.attempt,
            Transition.token == batch.token,
            (Transition.event == batch.event) | Transition.event.in_([Event.CANCELLED, Event.FENCED]),
        )
        .limit(1)
    )
    found = Select([batch.cte], [SQL("batch.*"), own.alias("own")]).cte("found")
    refused = (
        Select(
            [found],
            [
                Job.id,
                found.c.attempt.alias("attempts"),
                Job.status,
                fn.greatest(found.c.now, Job.updated_at).alias("at"),
                found.c.worker,
                found.c.token,
                found.c.event,
            ],
        )
        .join(Job, on=(Job.id == found.c.id))
        .where(found.c.own.is_null())
        .cte("refused")
    )
    told = tell(
        refused,
        event=Event.FENCED,
        before=refused.c.status,
        after=refused.c.status,
        worker=refused.c.worker,
        token=refused.c.token,
        detail=fn.json_build_object("outcome", refused.c.event),
    )
    answer = (
        Select([batch.cte], [fn.coalesce(found.c.own, Value(str(Event.FENCED)))])
        .join(found, on=(found.c.n == batch.n))
        .with_cte(batch.cte, found, refused, told)
    )
    return Statement(batch, answer)


STATEMENT: Final = _statement()
FENCE: Final = _fence_statement()
