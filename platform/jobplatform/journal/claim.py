"""Claiming jobs: queued → running, for one worker, under a fresh token. Nothing else starts work (R2)."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, ClassVar, Final, NamedTuple

from peewee import JOIN, SQL, Case, Select, Value, fn

from jobplatform.journal.hint import Hint
from jobplatform.journal.tell import tell
from jobplatform.models import UNINDEXED_STATUS, Job, PausedQueue, Worker
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
    #: Whether it has killed so many workers that no other such job runs beside it (P22).
    suspect: bool = False
    #: What is wanted when its worker dies or stops: ``retry`` or ``fail``.
    on_crash: str = "retry"


class Refused(NamedTuple):
    """A claim that was not granted: somebody else has the job, or it no longer wants to run."""

    #: Whether there is such a job of this type at all.
    known: bool
    #: It is queued, and has to wait: for the end of another suspect job of this worker (P22), for another worker, as
    #: this one was declared dead (P17), or for the end of a pause.
    waits: bool = False
    #: Its queue is paused.
    paused: bool = False


@dataclass(slots=True)
class Claim:
    """Start the next attempt of a job, if it is queued.

    A claim whose answer was lost is repeated with the same token and finds its own success (P1).
    """

    job_id: str
    type: str
    token: str
    worker: int
    #: From so many crashes on a job is suspect.
    suspect_from: int
    deadline: ClassVar[None] = None
    size: ClassVar[int] = 0

    @property
    def locks(self) -> str:
        return self.job_id

    def rows(self) -> Sequence[tuple[Any, ...]]:
        return ((self.job_id, self.type, self.token, self.worker, self.suspect_from),)

    def answer(self, rows: Sequence[tuple[Any, ...]]) -> tuple[Claimed | Refused, list[Hint]]:
        *claimed, status, paused = rows[0]
        if claimed[0] is None:
            waits = status == Status.QUEUED
            return Refused(status is not None, waits, waits and paused), []
        return Claimed(*claimed), []


def _statement() -> Statement:
    batch = Batch(id="uuid", type="text", token="uuid", worker="bigint", suspect_from="integer")
    at = fn.greatest(batch.now, Job.updated_at)
    # Of no row in particular: Postgres reads the few there are once for the whole batch.
    paused = PausedQueue.select(PausedQueue.queue)
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
        .where(
            Job.id == batch.id,
            Job.type == batch.type,
            UNINDEXED_STATUS == Status.QUEUED,
            fn.exists(_live_worker(batch)),
            (Job.crashes < batch.suspect_from) | _only_suspect(batch),
            Job.queue.not_in(paused),
        )
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
    named = (Job.id == batch.id) & (Job.type == batch.type)
    status = Job.select(Job.status).where(named)
    rests = Job.select(Job.queue.in_(paused)).where(named)
    answer = (
        Select(
            [batch.cte],
            [
                fn.coalesce(claimed.c.attempts, Job.attempts),
                Job.payload.cast("text"),
                Job.options.cast("text"),
                Job.retries,
                Job.created_at,
                Job.crashes >= batch.suspect_from,
                Job.on_crash,
                Case(None, [(Job.id.is_null(), status)], None),
                Case(None, [(Job.id.is_null(), rests)], None),
            ],
        )
        .join(claimed, JOIN.LEFT_OUTER, on=(claimed.c.token == batch.token))
        .join(Job, JOIN.LEFT_OUTER, on=((Job.id == batch.id) & (claimed.c.id.is_null(False) | own)))
        .with_cte(batch.cte, claimed, told)
    )
    return Statement(batch, answer)


def _live_worker(batch: Batch) -> Select:
    """A worker that was declared dead claims nothing more, though it may not know it yet (P17)."""
    return Worker.select(Value(1)).where(Worker.id == batch.worker, Worker.ended_at.is_null())


def _only_suspect(batch: Batch) -> Any:
    """A job that may kill its worker next runs beside no other such job: it would take that one along (P22)."""
    running = Job.alias("running")
    beside = running.select(Value(1)).where(
        running.worker == batch.worker,
        running.status == Status.RUNNING,
        running.crashes >= batch.suspect_from,
    )
    earlier = SQL(
        "(SELECT 1 FROM batch AS earlier JOIN jobs AS suspect ON suspect.id = earlier.id"
        " WHERE earlier.n < batch.n AND suspect.crashes >= earlier.suspect_from AND suspect.status || '' = 'queued')"
    )
    return ~fn.exists(beside) & ~fn.exists(earlier)


STATEMENT: Final = _statement()
