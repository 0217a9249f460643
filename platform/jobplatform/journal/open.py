"""Opening jobs: new rows, queued or scheduled, with their first transitions. With its commit a job is accepted."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, ClassVar, Final

from msgspec import Struct, json
from peewee import JOIN, SQL, Case, Select, fn

from jobplatform.errors import JobIdTaken
from jobplatform.journal.hint import Hint, stamp_of
from jobplatform.journal.tell import tell
from jobplatform.models import Job, JobTag
from jobplatform.statement import Batch, Statement
from jobplatform.states import Event, Status

#: With this, a batch of ten thousand jobs is about what a commit takes at the most.
_TEXT_AROUND: Final = 800


class NewJob(Struct, frozen=True, gc=False):
    """A job as it is asked for."""

    id: str
    type: str
    #: The queue, and the priority that names it.
    queue: str
    #: JSON text, already checked.
    payload: str
    #: JSON text: Dramatiq's options of this one job.
    options: str = "{}"
    #: When to run: a time, or so many milliseconds after the database's now. Neither, or a past time: at once.
    run_at: datetime | None = None
    delay_ms: int | None = None
    #: What its actor wants done when its worker dies: ``retry`` or ``fail``.
    on_crash: str = "retry"
    #: On whose behalf.
    who: str | None = None
    #: The HTTP request in which it was asked for.
    request_id: str | None = None
    tags: Sequence[str] = ()
    #: Once among the unfinished jobs of its type.
    unique_key: str | None = None
    #: What is wanted where another one holds that key: ``reject``, ``return`` or ``replace``. See `OpenOnce`.
    on_conflict: str = "reject"


class Opened(Struct, frozen=True, gc=False):
    """A job that was accepted."""

    id: str
    status: str
    created_at: datetime
    run_at: datetime | None


@dataclass(slots=True)
class Open:
    """Accept these jobs, all or none. Repeating it with the same ids changes nothing (P4)."""

    jobs: Sequence[NewJob]
    #: A monotonic time after which nobody waits for the answer.
    deadline: float | None = None
    locks: ClassVar[None] = None

    @property
    def size(self) -> int:
        return size_of(self.jobs)

    def rows(self) -> Sequence[tuple[Any, ...]]:
        return [
            (
                job.id,
                job.type,
                job.queue,
                job.payload,
                job.options,
                job.on_crash,
                job.run_at,
                job.delay_ms,
                job.who,
                job.request_id,
                json.encode(job.tags).decode() if job.tags else None,
                job.unique_key,
            )
            for job in self.jobs
        ]

    def find_rows(self) -> Sequence[tuple[Any, ...]]:
        """Its rows in the statement for jobs that were not new."""
        return [(job.id, job.type, job.payload) for job in self.jobs]

    def answer(self, rows: Sequence[tuple[Any, ...]]) -> tuple[list[Opened] | JobIdTaken, list[Hint]]:
        if len({job.id for job in self.jobs}) < len(self.jobs):
            return JobIdTaken("Two jobs of one batch have the same id."), []
        opened, hints = [], []
        for job, (own, status, created_at, run_at, dispatched_at) in zip(self.jobs, rows, strict=True):
            if not own:
                return JobIdTaken(f"Another job with the id {job.id} exists already."), []
            opened.append(Opened(job.id, status, created_at, run_at))
            if dispatched_at is not None:
                hints.append(Hint(job.id, job.type, job.queue, stamp_of(dispatched_at)))
        return opened, hints


def size_of(jobs: Sequence[NewJob]) -> int:
    """How much text these jobs carry, in characters: their payloads, and what is around them."""
    return sum(len(job.payload) for job in jobs) + _TEXT_AROUND * len(jobs)


def _statement() -> Statement:
    batch = Batch(
        id="uuid",
        type="text",
        queue="text",
        payload="text",
        options="text",
        on_crash="text",
        run_at="timestamptz",
        delay_ms="bigint",
        who="text",
        request_id="text",
        tags="json",  # of arrays Postgres makes no array that it could unnest
        unique_key="text",
    )
    due = fn.coalesce(batch.run_at, batch.now + batch.delay_ms * SQL("interval '1 millisecond'"))
    waits = due > batch.now
    values = {
        Job.id: batch.id,
        Job.type: batch.type,
        Job.priority: batch.queue,
        Job.queue: batch.queue,
        Job.payload: batch.payload.cast("json"),
        Job.options: batch.options.cast("json"),
        Job.on_crash: batch.on_crash,
        Job.status: Case(None, [(waits, Status.SCHEDULED)], Status.QUEUED),
        Job.run_at: due,
        Job.dispatched_at: Case(None, [(waits, None)], batch.now),
        Job.created_at: batch.now,
        Job.updated_at: batch.now,
        Job.tags: fn.array(SQL("SELECT json_array_elements_text(tags)")),
        Job.unique_key: batch.unique_key,
    }
    inserted = (
        Job.insert_from(Select([batch.cte], list(values.values())), list(values))
        .on_conflict_ignore()
        .returning(Job.id, Job.status, Job.attempts, Job.created_at, Job.run_at, Job.dispatched_at)
        .cte("inserted")
    )
    opened = (
        Select(
            [inserted],
            [
                inserted.c.id,
                inserted.c.status,
                inserted.c.attempts,
                inserted.c.created_at.alias("at"),
                batch.who,
                batch.request_id,
                batch.tags,
            ],
        )
        .join(batch.cte, on=(batch.id == inserted.c.id))
        .cte("opened")
    )
    told = tell(
        opened,
        event=Case(None, [(opened.c.status == Status.SCHEDULED, Event.SCHEDULED)], Event.ENQUEUED),
        before=None,
        after=opened.c.status,
        who=opened.c.who,
        request_id=opened.c.request_id,
    )
    tag = fn.json_array_elements_text(opened.c.tags)
    tagged = (
        JobTag.insert_from(
            Select([opened], [tag, opened.c.at, opened.c.id]), [JobTag.tag, JobTag.created_at, JobTag.job_id]
        )
        .on_conflict_ignore()
        .returning(JobTag.tag)
        .cte("tagged")
    )
    answer = (
        Select(
            [batch.cte],
            [
                inserted.c.id.is_null(False),
                inserted.c.status,
                inserted.c.created_at,
                inserted.c.run_at,
                inserted.c.dispatched_at,
            ],
        )
        .join(inserted, JOIN.LEFT_OUTER, on=(inserted.c.id == batch.id))
        .with_cte(batch.cte, inserted, opened, told, tagged)
    )
    return Statement(batch, answer)


def _find_statement() -> Statement:
    """For jobs that were not new: whoever repeats an open finds its own rows, in the same form (P4).

    Whoever else holds the id did not ask for the same. To have it in a statement of its own is also to see what was
    committed while the other one waited for it.
    """
    batch = Batch(id="uuid", type="text", payload="text")
    own = (Job.type == batch.type) & (Job.payload.cast("text") == batch.payload)
    answer = (
        Select(
            [batch.cte],
            [
                fn.coalesce(own, False),
                Job.status,
                Job.created_at,
                Job.run_at,
                Case(None, [(own & (Job.status == Status.QUEUED), Job.dispatched_at)], None),
            ],
        )
        .join(Job, JOIN.LEFT_OUTER, on=(Job.id == batch.id))
        .with_cte(batch.cte)
    )
    return Statement(batch, answer)


STATEMENT: Final = _statement()
FIND: Final = _find_statement()
