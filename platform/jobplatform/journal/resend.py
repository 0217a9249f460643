"""Sending hints again that were lost: queued → queued, under a new stamp (P24, P25)."""

from datetime import datetime
from typing import Final

from peewee import SQL, Case, Select, Value, fn

from jobplatform.journal.hint import Hint, stamp_of
from jobplatform.journal.release import BATCH_SIZE
from jobplatform.journal.tell import tell
from jobplatform.models import Job, PausedQueue, Worker
from jobplatform.query import IN_ORDER, Query
from jobplatform.states import Event, Status

#: The pause between two hints for the same job doubles up to this many milliseconds.
LONGEST_PAUSE: Final = 300_000

#: A worker without a beat for so long is not counted on, in milliseconds.
_SILENCE: Final = 30_000


def resend(
    queue: str,
    lost_before: datetime,
    grace: int,
    most: int = BATCH_SIZE,
    *,
    forgotten_before: datetime | None = None,
) -> list[Hint]:
    """Stamp anew the queued jobs of a queue that were dispatched before ``lost_before``, the longest waiting first.

    Only jobs that a live worker could run, none of a paused queue, and each only after a pause: ``grace`` milliseconds
    at first, doubling with every hint sent in vain. No hint that Redis forgot was in vain: jobs that were dispatched
    before ``forgotten_before`` need no pause, and are counted anew. Returns the hints to send, in the order of their
    stamps.
    """
    forgotten = Job.dispatched_at < SQL("%s::timestamptz", [forgotten_before])
    lost = (
        Job.select(Job.id, Job.dispatched_at, Case(None, [(forgotten, 0)], Job.resends).alias("in_vain"))
        .where(
            Job.queue == queue,
            Job.status == Status.QUEUED,
            Job.dispatched_at < lost_before,
            (Job.dispatched_at < fn.clock_timestamp() - _pause(grace)) | forgotten,
            fn.exists(_able_worker()),
            Job.queue.not_in(PausedQueue.select(PausedQueue.queue)),
        )
        .order_by(Job.dispatched_at)
        .limit(most)
        .for_update(for_update=True, skip_locked=True)
        .cte("lost")
    )
    place = fn.row_number().over(order_by=[lost.c.dispatched_at]).alias("n")
    stamped = (
        Select([lost], [lost.c.id, lost.c.in_vain, fn.clock_timestamp().alias("now"), place])
        .order_by(lost.c.dispatched_at)
        .cte("stamped")
    )
    at = fn.greatest(stamped.c.now, Job.updated_at)
    resent = (
        Job.update({Job.dispatched_at: at, Job.resends: stamped.c.in_vain + 1, Job.updated_at: at})
        .from_(stamped)
        .where(Job.id == stamped.c.id)
        .returning(Job.id, Job.type, Job.queue, Job.attempts, Job.resends, Job.updated_at.alias("at"), stamped.c.n)
        .cte("resent")
    )
    told = tell(
        resent,
        event=Event.RESENT,
        before=Status.QUEUED,
        after=Status.QUEUED,
        detail=fn.json_build_object("resends", resent.c.resends),
    )
    # The clock may give several rows the same microsecond: among these, too, the longest waiting goes first.
    answer = Select([resent], [resent.c.id, resent.c.type, resent.c.queue, resent.c.at]).order_by(
        resent.c.at, resent.c.n
    )
    rows = Query(answer.with_cte(lost, stamped, resent, told)).execute({}, after=IN_ORDER)
    return [Hint(str(i), kind, queue, stamp_of(at)) for i, kind, queue, at in rows]


def _pause(grace: int) -> SQL:
    # The exponent is bounded before the power is taken, which would overflow for a job that nobody runs for months.
    return SQL("least(%s * power(2, least(resends, 20)), %s) * interval '1 millisecond'", [grace, LONGEST_PAUSE])


def _able_worker() -> Select:
    return Worker.select(Value(1)).where(
        Worker.ended_at.is_null(),
        Worker.stopping_at.is_null(),
        Worker.last_seen_at > fn.clock_timestamp() - SQL("%s * interval '1 millisecond'", [_SILENCE]),
        Job.queue == fn.any(Worker.queues),
        Job.type == fn.any(Worker.types),
    )
