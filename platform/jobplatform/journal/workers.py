"""Worker rows: on record when they start, beating while they live, declared dead when they stop.

A worker holds an advisory lock on a connection of its own. Postgres frees it when the process dies, and no busy
interpreter can lose it (P18 to P20).
"""

import os
import socket
from collections.abc import Collection, Sequence
from typing import Any, Final, NamedTuple

from peewee import SQL, fn

from jobplatform.models import Job, Worker, database
from jobplatform.states import Status

#: The first key of every worker's lock; the second is its number.
LOCK_SPACE: Final = 7_320_146

_LOCK_HOLDER: Final = f"""
    SELECT 1 FROM pg_locks
    WHERE locktype = 'advisory' AND classid = {LOCK_SPACE} AND objid = %s AND objsubid = 2 AND granted
      AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
"""


class Held(NamedTuple):
    """A row that runs under a worker's id."""

    job_id: str
    type: str
    queue: str
    attempt: int
    token: str
    worker: int
    cancel_requested: bool


class Look(NamedTuple):
    """What a keeper sees of a worker that is not known to have ended."""

    worker: int
    lock_is_free: bool
    #: Whether it has been without a beat for longer than the short, and than the long limit.
    silent: bool
    frozen: bool


def register(version: str, broker: str, queues: Sequence[str], types: Sequence[str], threads: int) -> int:
    """Put this process on record as a worker, and give its number. It holds its lock before anybody can see it."""
    with database.atomic():
        worker: int = Worker.insert(
            host=socket.gethostname(),
            pid=os.getpid(),
            version=version,
            broker=broker,
            queues=list(queues),
            types=list(types),
            threads=threads,
            started_at=fn.clock_timestamp(),
            last_seen_at=fn.clock_timestamp(),
        ).execute()
        database.execute_sql("SELECT pg_advisory_lock(%s, %s)", (LOCK_SPACE, worker))
    return worker


def beat(worker: int, *, stopping: bool, memory: int | None, peak_memory: int | None) -> bool:
    """Say that the worker lives, from the connection that holds its lock. False: it has been declared dead.

    ``memory`` is bytes.

    Where the connection is a new one, it takes the lock; where Postgres has not yet noticed the end of the old one,
    a later beat will.
    """
    beaten: dict[Any, Any] = {
        Worker.last_seen_at: fn.clock_timestamp(),
        Worker.memory: memory,
        Worker.peak_memory: peak_memory,
    }
    if stopping:
        beaten[Worker.stopping_at] = fn.coalesce(Worker.stopping_at, fn.clock_timestamp())
    if not database.execute_sql(_LOCK_HOLDER + " AND pid = pg_backend_pid()", (worker,)).fetchone():
        database.execute_sql("SELECT pg_try_advisory_lock(%s, %s)", (LOCK_SPACE, worker))
    return bool(Worker.update(beaten).where(Worker.id == worker, Worker.ended_at.is_null()).execute())


def held_by(worker: int) -> list[Held]:
    """The rows that run under the worker's id."""
    rows = (
        Job.select(
            Job.id.cast("text"),
            Job.type,
            Job.queue,
            Job.attempts,
            Job.token.cast("text"),
            Job.worker,
            Job.cancel_requested,
        )
        .where(Job.worker == worker, Job.status == Status.RUNNING)
        .tuples()
        .execute(database)
    )
    return [Held(*row) for row in rows]


def sign_off(worker: int) -> None:
    """Say that the worker has ended by itself. What it leaves behind was cut short by its stop, and killed nobody."""
    now = fn.clock_timestamp()
    signed_off = {
        Worker.stopping_at: fn.coalesce(Worker.stopping_at, now),
        Worker.ended_at: now,
        Worker.last_seen_at: now,
    }
    Worker.update(signed_off).where(Worker.id == worker, Worker.ended_at.is_null()).execute()


def look(silence: int, frozen: int) -> list[Look]:
    """Look at every worker that is not known to have ended. The limits are milliseconds without a beat."""
    rows = (
        Worker.select(
            Worker.id,
            SQL(f"NOT EXISTS ({_LOCK_HOLDER % 't1.id'})"),
            Worker.last_seen_at < fn.clock_timestamp() - _milliseconds(silence),
            Worker.last_seen_at < fn.clock_timestamp() - _milliseconds(frozen),
        )
        .where(Worker.ended_at.is_null())
        .tuples()
        .execute(database)
    )
    return [Look(*row) for row in rows]


def declare_dead(workers: Collection[int], silence: int) -> dict[int, str]:
    """Of these workers, mark as ended those that are still without a beat. Returns them with their brokers' names."""
    if not workers:
        return {}
    dead = (
        Worker.update({Worker.ended_at: fn.clock_timestamp(), Worker.died: True})
        .where(
            Worker.id.in_(sorted(workers)),
            Worker.ended_at.is_null(),
            Worker.last_seen_at < fn.clock_timestamp() - _milliseconds(silence),
        )
        .returning(Worker.id, Worker.broker)
        .tuples()
        .execute(database)
    )
    return dict(dead)


def seconds_since_postgres_started() -> float:
    """How long the server has been up: soon after its start, no worker can have its lock back yet.

    If one of its processes crashes, it throws out all others and starts again, and its time of start stays as it was.
    But the statistics are discarded then, and say since when they count.
    """
    seconds: float = database.execute_sql(
        "SELECT extract(epoch FROM clock_timestamp() - greatest(pg_postmaster_start_time(), stats_reset))::float8"
        " FROM pg_stat_bgwriter"
    ).fetchone()[0]
    return seconds


def _milliseconds(number: int) -> SQL:
    return SQL("%s * interval '1 millisecond'", [number])
