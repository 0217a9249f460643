"""Taking jobs back from workers that are no more (P17, P21).

A standing query, not an event: whatever row runs under a worker that is dead, ended or unknown is taken back, even if
its claim was committed after the death was declared.
"""

from typing import Any, Final, NamedTuple

from peewee import CTE, JOIN, SQL, Case, Select, fn

from jobplatform.journal.hint import Hint, stamp_of
from jobplatform.journal.release import BATCH_SIZE
from jobplatform.journal.tell import tell
from jobplatform.models import Job, JobLog, Worker, database
from jobplatform.states import Event, Status

#: So many of its last log lines go into the record of a death.
_LAST_LINES: Final = 10


#: Why a job failed that must not run twice.
STOPPED: Final = "Its worker stopped before it was done"
NOT_TWICE: Final = ", and it must not run twice."


class Rescued(NamedTuple):
    """A job that was taken back."""

    job_id: str
    event: Event
    worker: int


def rescue(crash_limit: int, most: int = BATCH_SIZE) -> tuple[list[Rescued], list[Hint]]:
    """Take back, in one transaction, the jobs of workers that are no more.

    - A job that was asked to stop is `cancelled`.
    - A job of a stopping worker is `interrupted`, which spends nothing.
    - Any other has crashed once more: it is `rescued`, or `failed` where it has crashed ``crash_limit`` times.
    - An actor that says ``on_crash="fail"`` wants no second run: its job is `failed` in either case.
    """
    dead = _dead_workers()
    gone = (
        Job.select(
            Job.id,
            Job.worker,
            Job.cancel_requested,
            Job.on_crash,
            dead.c.stopping,
            (Job.crashes + Case(None, [(dead.c.stopping, 0)], 1)).alias("crashes"),
            _black_box(dead).alias("box"),
        )
        .join(dead, on=(dead.c.worker == Job.worker))
        .where(Job.status == Status.RUNNING)
        .order_by(Job.id)
        .limit(most)
        .for_update(for_update=True, of=Job, skip_locked=True)
        .cte("gone")
    )
    event = Case(
        None,
        [
            (gone.c.cancel_requested, Event.CANCELLED),
            (gone.c.on_crash == "fail", Event.FAILED),
            (gone.c.stopping, Event.INTERRUPTED),
            (gone.c.crashes >= crash_limit, Event.FAILED),
        ],
        Event.RESCUED,
    )
    decided = Select([gone], [SQL("gone.*"), event.alias("event"), fn.clock_timestamp().alias("now")]).cte("decided")
    at = fn.greatest(decided.c.now, Job.updated_at)
    fails = decided.c.event == Event.FAILED
    error = fn.json_build_object("kind", "crashed", "type", None, "message", _message(decided), "traceback", None)
    taken = (
        Job.update(
            {
                Job.status: Case(
                    decided.c.event,
                    [(Event.CANCELLED, Status.CANCELLED), (Event.FAILED, Status.FAILED)],
                    Status.QUEUED,
                ),
                Job.crashes: decided.c.crashes,
                Job.worker: None,
                Job.token: None,
                Job.error: Case(None, [(fails, error)], Job.error),
                Job.dispatched_at: at,
                Job.updated_at: at,
                Job.finished_at: Case(None, [(decided.c.event.in_([Event.CANCELLED, Event.FAILED]), at)], None),
            }
        )
        .from_(decided)
        .where(Job.id == decided.c.id)
        .returning(
            Job.id,
            Job.type,
            Job.queue,
            Job.attempts,
            Job.status,
            Job.updated_at.alias("at"),
            Job.error,
            decided.c.event,
            decided.c.worker,
            decided.c.box,
        )
        .cte("taken")
    )
    detail = Case(
        None,
        [(taken.c.event == Event.FAILED, fn.json_build_object("error", taken.c.error, "death", taken.c.box))],
        fn.json_build_object("death", taken.c.box),
    )
    told = tell(
        taken,
        event=taken.c.event,
        before=Status.RUNNING,
        after=taken.c.status,
        worker=taken.c.worker,
        detail=detail,
    )
    answer = Select(
        [taken],
        [taken.c.id.cast("text"), taken.c.type, taken.c.queue, taken.c.event, taken.c.worker, taken.c.at],
    )
    rows = list(answer.with_cte(dead, gone, decided, taken, told).tuples().execute(database))
    rescued = [Rescued(job_id, Event(event), worker) for job_id, _, _, event, worker, _ in rows]
    hints = [
        Hint(job_id, kind, queue, stamp_of(at))
        for job_id, kind, queue, event, _, at in rows
        if event in (Event.RESCUED, Event.INTERRUPTED)
    ]
    return rescued, sorted(hints, key=lambda hint: hint.stamp)


def _dead_workers() -> CTE:
    """The workers that are no more, of those that hold rows.

    Found before any row is locked: a row that went to another worker meanwhile no longer matches. Were the workers
    joined to the rows, Postgres would check the changed row against the old worker, find none, and take it for lost.
    """
    return (
        Job.select(
            Job.worker,
            Worker.stopping_at.is_null(False).alias("stopping"),
            Worker.host,
            Worker.pid,
            Worker.last_seen_at,
            Worker.peak_memory,
        )
        .distinct()
        .join(Worker, JOIN.LEFT_OUTER, on=(Worker.id == Job.worker))
        .where(Job.status == Status.RUNNING, Worker.id.is_null() | Worker.ended_at.is_null(False))
        .cte("dead", materialized=True)
    )


def _message(decided: CTE) -> Case:
    return Case(
        None,
        [(decided.c.stopping, STOPPED + NOT_TWICE)],
        fn.format("Its worker died while it ran (%s deaths so far).", decided.c.crashes),
    )


def _black_box(dead: CTE) -> Any:
    """What is known of the end of the attempt's worker."""
    lines = (
        JobLog.select(JobLog.id, JobLog.text)
        .where(JobLog.job_id == Job.id, JobLog.attempt == Job.attempts)
        .order_by(JobLog.id.desc())
        .limit(_LAST_LINES)
        .alias("lines")
    )
    last_lines = Select([lines], [fn.json_agg(lines.c.text).order_by(lines.c.id)])
    return fn.json_build_object(
        "host",
        dead.c.host,
        "pid",
        dead.c.pid,
        "lastSeenAt",
        dead.c.last_seen_at,
        "peakMemoryBytes",
        dead.c.peak_memory,
        "lastLines",
        last_lines,
    )
