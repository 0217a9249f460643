"""Releasing jobs that have become due: scheduled, retrying → queued."""

from typing import Final

from peewee import Select, fn

from jobplatform.journal.hint import Hint, stamp_of
from jobplatform.journal.tell import tell
from jobplatform.models import Job
from jobplatform.query import IN_ORDER, Query
from jobplatform.states import Event, Status

#: A release takes so many jobs at the most: its transaction stays short, whatever became due at once (P25).
BATCH_SIZE: Final = 500

_WAITS: Final = Job.status.in_([Status.SCHEDULED, Status.RETRYING])


def release(most: int = BATCH_SIZE) -> list[Hint]:
    """Queue the jobs that are due, the longest due first, in one transaction of the calling thread's connection.

    Rows that another keeper holds are left to it. Returns the jobs' hints, in the order of their stamps.
    """
    due = (
        Job.select(Job.id, Job.status, Job.run_at)
        .where(_WAITS, Job.run_at <= fn.now())  # not the clock's time, which no index can be asked for
        .order_by(Job.run_at)
        .limit(most)
        .for_update(for_update=True, skip_locked=True)
        .cte("due")
    )
    # One time per row, and a later one for each row that was due later.
    place = fn.row_number().over(order_by=[due.c.run_at]).alias("n")
    stamped = (
        Select([due], [due.c.id, due.c.status, fn.clock_timestamp().alias("now"), place])
        .order_by(due.c.run_at)
        .cte("stamped")
    )
    at = fn.greatest(stamped.c.now, Job.updated_at)
    released = (
        Job.update({Job.status: Status.QUEUED, Job.dispatched_at: at, Job.resends: 0, Job.updated_at: at})
        .from_(stamped)
        .where(Job.id == stamped.c.id)
        .returning(
            Job.id,
            Job.type,
            Job.queue,
            Job.attempts,
            Job.updated_at.alias("at"),
            stamped.c.status.alias("was"),
            stamped.c.n,
        )
        .cte("released")
    )
    told = tell(released, event=Event.RELEASED, before=released.c.was, after=Status.QUEUED)
    # The clock may give several rows the same microsecond: among these, too, the longest waiting goes first.
    answer = Select([released], [released.c.id, released.c.type, released.c.queue, released.c.at]).order_by(
        released.c.at, released.c.n
    )
    rows = Query(answer.with_cte(due, stamped, released, told)).execute({}, after=IN_ORDER)
    return [Hint(str(i), kind, queue, stamp_of(at)) for i, kind, queue, at in rows]


def next_due() -> float | None:
    """In how many seconds the next job will be due, by the database's clock; None where none waits."""
    ahead = fn.date_part("epoch", Job.run_at - fn.clock_timestamp())
    first = Query(Job.select(ahead).where(_WAITS).order_by(Job.run_at).limit(1)).execute({}, after=IN_ORDER)
    return float(first[0][0]) if first else None
