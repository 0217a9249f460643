"""Sending jobs round again: failed, cancelled → queued, on somebody's behalf, with another payload if wanted."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple
from uuid import uuid4

from peewee import CTE, JOIN, SQL, Case, Select, Value, fn

from jobplatform.journal.hint import Hint, stamp_of
from jobplatform.journal.tell import tell
from jobplatform.models import UNINDEXED_STATUS, Job, PayloadVersion, Transition
from jobplatform.statement import Batch, Statement
from jobplatform.states import FINAL, Event, Status

#: Whose jobs can go round again.
RESUBMITTABLE: Final = (Status.FAILED, Status.CANCELLED)


class ResubmitAnswer(NamedTuple):
    """What a resubmission found and did."""

    #: Where the job is now; None: there is no such job.
    status: Status | None
    #: What was recorded; None: nothing, as the job has not failed and was not cancelled, or its unique key is taken.
    event: Event | None
    #: The unfinished job of its type that holds its unique key now.
    holder: str | None = None


@dataclass(slots=True)
class Resubmit:
    """Queue a failed or cancelled job again. Its attempts go on counting, its errors and crashes are forgiven.

    A resubmission whose answer was lost is repeated with the same token and finds its own success (P4).
    """

    job_id: str
    who: str | None = None
    reason: str | None = None
    #: The HTTP request in which it was asked for.
    request_id: str | None = None
    #: JSON text, already checked: what to run it with from now on. None: what it has.
    payload: str | None = None
    #: A monotonic time after which nobody waits for the answer.
    deadline: float | None = None
    token: str = field(default_factory=lambda: str(uuid4()))

    @property
    def size(self) -> int:
        return len(self.payload or "")

    @property
    def locks(self) -> str:
        return self.job_id

    def rows(self) -> Sequence[tuple[Any, ...]]:
        return ((self.job_id, self.who, self.reason, self.request_id, self.payload, self.token),)

    def answer(self, rows: Sequence[tuple[Any, ...]]) -> tuple[ResubmitAnswer, list[Hint]]:
        status, done, holder, kind, queue, dispatched_at = rows[0]
        answer = ResubmitAnswer(Status(status) if status else None, Event.RESUBMITTED if done else None, holder)
        # A repeated one sends the hint of its first try, too, which may have been lost with the answer.
        sends = done and status == Status.QUEUED
        return answer, [Hint(self.job_id, kind, queue, stamp_of(dispatched_at))] if sends else []


def _statement() -> Statement:
    batch = Batch(id="uuid", who="text", reason="text", request_id="text", payload="text", token="uuid")
    at = fn.greatest(batch.now, Job.updated_at)
    # The rows are locked already, so what this reads is what the update below finds.
    before = _before(batch)
    changes = batch.payload.is_null(False) & (batch.payload != before.c.payload)
    own = Transition.select(Value(1)).where(Transition.job_id == batch.id, Transition.token == batch.token)
    resubmitted = (
        Job.update(
            {
                Job.status: Status.QUEUED,
                Job.payload: fn.coalesce(batch.payload.cast("json"), Job.payload),
                Job.retries: 0,
                Job.crashes: 0,
                Job.resends: 0,
                Job.error: None,
                Job.result: None,
                Job.progress: None,
                Job.cancel_requested: False,
                Job.run_at: None,
                Job.dispatched_at: at,
                Job.updated_at: at,
                Job.finished_at: None,
            }
        )
        .from_(batch.cte, before)
        .where(
            Job.id == batch.id,
            before.c.id == batch.id,
            UNINDEXED_STATUS.in_(RESUBMITTABLE),
            before.c.holder.is_null(),
            ~fn.exists(own),
        )
        .returning(
            Job.id,
            Job.attempts,
            Job.updated_at.alias("at"),
            before.c.status.alias("was"),
            Case(None, [(changes, before.c.payload)], None).alias("replaced"),
            batch.n,
            batch.who,
            batch.reason,
            batch.request_id,
            batch.token,
        )
        .cte("resubmitted")
    )
    told = tell(
        resubmitted,
        event=Event.RESUBMITTED,
        before=resubmitted.c.was,
        after=Status.QUEUED,
        who=resubmitted.c.who,
        token=resubmitted.c.token,
        detail=Case(
            None,
            [(resubmitted.c.reason.is_null(False), fn.json_build_object("reason", resubmitted.c.reason))],
            None,
        ),
        request_id=resubmitted.c.request_id,
    )
    done = resubmitted.c.n.is_null(False)
    answer = (
        Select(
            [batch.cte],
            [
                Case(None, [(done, Status.QUEUED)], before.c.status),
                Case(None, [(done, True)], fn.exists(own)),
                before.c.holder.cast("text"),
                before.c.type,
                before.c.queue,
                Case(None, [(done, resubmitted.c.at)], before.c.dispatched_at),
            ],
        )
        .join(resubmitted, JOIN.LEFT_OUTER, on=(resubmitted.c.n == batch.n))
        .join(before, JOIN.LEFT_OUTER, on=(before.c.id == batch.id))
        .with_cte(batch.cte, before, resubmitted, told, _versions(resubmitted))
    )
    return Statement(batch, answer)


def _before(batch: Batch) -> CTE:
    """The jobs as they are, each with the one that holds its unique key: on record, or before it in this batch."""
    other = Job.alias("other")
    on_record = (
        other.select(other.id)
        .where(
            other.type == Job.type,
            other.unique_key == Job.unique_key,
            other.status.in_(sorted(set(Status) - FINAL)),
            other.id != Job.id,
        )
        .limit(1)
    )
    in_batch = SQL(
        "(SELECT earlier.id FROM batch AS earlier JOIN jobs AS same ON same.id = earlier.id WHERE earlier.n < batch.n"
        " AND same.type = t1.type AND same.unique_key = t1.unique_key AND same.status || '' IN ('failed', 'cancelled')"
        " LIMIT 1)"
    )
    may_clash = Job.unique_key.is_null(False) & Job.status.in_(RESUBMITTABLE)
    return (
        Job.select(
            Job.id,
            Job.type,
            Job.queue,
            Job.status,
            Job.payload.cast("text").alias("payload"),
            Job.dispatched_at,
            Case(None, [(may_clash, fn.coalesce(on_record, in_batch))], None).alias("holder"),
        )
        .join(batch.cte, on=(batch.id == Job.id))
        .cte("before")
    )


def _versions(resubmitted: CTE) -> CTE:
    """The payloads that were replaced."""
    earlier = PayloadVersion.select(fn.coalesce(fn.max(PayloadVersion.version), 0) + 1).where(
        PayloadVersion.job_id == resubmitted.c.id
    )
    values = {
        PayloadVersion.job_id: resubmitted.c.id,
        PayloadVersion.version: earlier,
        PayloadVersion.payload: resubmitted.c.replaced.cast("json"),
        PayloadVersion.replaced_at: resubmitted.c.at,
        PayloadVersion.who: resubmitted.c.who,
    }
    replaced = Select([resubmitted], list(values.values())).where(resubmitted.c.replaced.is_null(False))
    return PayloadVersion.insert_from(replaced, list(values)).returning(PayloadVersion.version).cte("kept")


STATEMENT: Final = _statement()
