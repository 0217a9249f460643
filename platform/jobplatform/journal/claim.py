"""Claiming jobs: queued → running, for one worker, under a fresh token. Nothing else starts work (R2)."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, ClassVar, Final, NamedTuple

from peewee import JOIN, Case, Select, Value, fn

from jobplatform.journal.hint import Hint
from jobplatform.journal.tell import tell
from jobplatform.models import Job
from jobplatform.statement import Batch, Statement
from jobplatform.states import Event, Status


class Claimed(NamedTuple):
    """A claim that was granted: what to run."""

    attempt: int
    #: JSON texts.
    payload: str
    options: str
    #: Errors so far that led to another attempt.
    retries: int
    created_at: datetime


class Refused(NamedTuple):
    """A claim that was not granted: somebody else has the job, or it no longer wants to run."""

    #: Whether there is such a job of this type at all.
    known: bool


@dataclass(slots=True)
class Claim:
    """Start the next attempt of a job, if it is queued.

    A claim whose answer was lost is repeated with the same token and finds its own success (P1).
    """

    job_id: str
    type: str
    token: str
    worker: int
    deadline: ClassVar[None] = None
    size: ClassVar[int] = 0

    @property
    def locks(self) -> str:
        return self.job_id

    def rows(self) -> Sequence[tuple[Any, ...]]:
        return ((self.job_id, self.type, self.token, self.worker),)

    def answer(self, rows: Sequence[tuple[Any, ...]]) -> tuple[Claimed | Refused, list[Hint]]:
        *claimed, known = rows[0]
        return Refused(known) if claimed[0] is None else Claimed(*claimed), []


def _statement() -> Statement:
    batch = Batch(id="uuid", type="text", token="uuid", worker="bigint")
    at = fn.greatest(batch.now, Job.updated_at)
    claimed = (
        Job.update(
            {
                Job.status: Status.RUNNING,
                Job.attempts: Job.attempts + 1,
                Job.resends: 0,
                Job.worker: batch.worker,
                Job.token: batch.token,
                Job.progress: None,
                Job.started_at: at,
                Job.updated_at: at,
            }
        )
        .from_(batch.cte)
        .where(Job.id == batch.id, Job.type == batch.type, Job.status == Status.QUEUED)
        .returning(Job.id, Job.attempts, Job.worker, Job.token, Job.updated_at.alias("at"))
        .cte("claimed")
    )
    told = tell(
        claimed,
        event=Event.STARTED,
        before=Status.QUEUED,
        after=Status.RUNNING,
        worker=claimed.c.worker,
        token=claimed.c.token,
    )
    # Read in the same statement, a row is as it was before it: queued when claimed now, and running under the token
    # only when an earlier try of this very claim succeeded.
    own = (Job.status == Status.RUNNING) & (Job.token == batch.token)
    known = Job.select(Value(1)).where(Job.id == batch.id, Job.type == batch.type)
    answer = (
        Select(
            [batch.cte],
            [
                fn.coalesce(claimed.c.attempts, Job.attempts),
                Job.payload.cast("text"),
                Job.options.cast("text"),
                Job.retries,
                Job.created_at,
                Case(None, [(Job.id.is_null(), fn.exists(known))], True),
            ],
        )
        .join(claimed, JOIN.LEFT_OUTER, on=(claimed.c.token == batch.token))
        .join(Job, JOIN.LEFT_OUTER, on=((Job.id == batch.id) & (claimed.c.id.is_null(False) | own)))
        .with_cte(batch.cte, claimed, told)
    )
    return Statement(batch, answer)


STATEMENT: Final = _statement()
