"""The keys under which jobs are opened once: what holds them, and the locks that keep two from taking one.

An idempotency key names a request: whoever repeats it gets the jobs of the first. A unique key names a job: among the
unfinished jobs of its type it comes once.
"""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field
from hashlib import blake2b
from typing import Any, Final, NamedTuple

from jobplatform.journal.open import NewJob
from jobplatform.models import database
from jobplatform.states import FINAL, Status

#: A type and a unique key: what one unfinished job at a time may hold.
Slot = tuple[str, str]

#: So many locks guard all unique keys together: a batch may bring ten thousand of them, and Postgres has room for some
#: thousands of locks.
_UNIQUE_LOCKS: Final = 1_024

_LOCK: Final = "SELECT pg_advisory_xact_lock(key) FROM unnest('{%s}'::bigint[]) AS key;"

_KEPT: Final = """
    SELECT kept.who, kept.key, kept.fingerprint, kept.job_ids::text[]
    FROM unnest(%s::text[], %s::text[]) AS asked(who, key) JOIN idempotency_keys AS kept USING (who, key)
    WHERE kept.expires_at > clock_timestamp()
"""

_HOLDERS: Final = f"""
    SELECT asked.type, asked.unique_key, holder.id::text
    FROM unnest(%s::text[], %s::text[]) AS asked(type, unique_key), LATERAL (
        SELECT jobs.id FROM jobs
        WHERE jobs.type = asked.type AND jobs.unique_key = asked.unique_key
          AND jobs.status IN ({", ".join(f"'{status}'" for status in Status if status not in FINAL)})
        LIMIT 1
    ) AS holder
"""

_PRESENT: Final = "SELECT id::text FROM jobs WHERE id = ANY(%s::uuid[])"

#: As they are now, whatever they were when their keys were looked up (P7).
_LOCK_HOLDERS: Final = "SELECT id::text, status FROM jobs WHERE id = ANY(%s::uuid[]) ORDER BY id FOR UPDATE"

#: Under the lock of its key, a row that is there already has expired.
_KEEP: Final = """
    INSERT INTO idempotency_keys (who, key, fingerprint, job_ids, expires_at)
    SELECT who, key, fingerprint, job_ids::uuid[], clock_timestamp() + ttl * interval '1 millisecond'
    FROM unnest(%s::text[], %s::text[], %s::text[], %s::text[], %s::bigint[])
      AS accepted(who, key, fingerprint, job_ids, ttl)
    ON CONFLICT (who, key) DO UPDATE
    SET fingerprint = EXCLUDED.fingerprint, job_ids = EXCLUDED.job_ids, expires_at = EXCLUDED.expires_at;
"""

_FORGET: Final = """
    DELETE FROM idempotency_keys WHERE (who, key) IN (
        SELECT who, key FROM idempotency_keys WHERE expires_at <= now()
        ORDER BY expires_at LIMIT %s FOR UPDATE SKIP LOCKED
    )
"""


@dataclass(frozen=True, slots=True)
class IdempotencyKey:
    """The name of a request, by whom it was given, and what the request asked for."""

    who: str
    key: str
    #: Equal for equal requests only.
    fingerprint: str
    #: For how long it is remembered, in milliseconds.
    ttl: int

    @property
    def name(self) -> tuple[str, str]:
        """What tells it from others: each has their own keys."""
        return self.who, self.key


class Kept(NamedTuple):
    """What was accepted under an idempotency key."""

    fingerprint: str
    job_ids: list[str]


@dataclass(slots=True)
class Look:
    """What holds some keys, as seen in one transaction."""

    kept: dict[tuple[str, str], Kept] = field(default_factory=dict)
    holders: dict[Slot, str] = field(default_factory=dict)
    #: The holders that wait, and cannot be started before this transaction ends.
    waiting: set[str] = field(default_factory=set)
    #: Of the jobs that are to be opened, those that are on record already.
    present: set[str] = field(default_factory=set)
    #: SQL to run before the first question, in the same round trip.
    before: str = ""

    def see_kept(self, names: Collection[tuple[str, str]]) -> None:
        """Look these idempotency keys up."""
        if names:
            rows = self._ask(_KEPT, *_columns(names))
            self.kept = {(who, key): Kept(fingerprint, job_ids) for who, key, fingerprint, job_ids in rows}

    def see_holders(self, jobs: Collection[NewJob]) -> None:
        """Look up who holds the unique keys of these jobs, and lock those that may have to go for them."""
        if not jobs:
            return
        slots = set(map(slot_of, jobs))
        self.holders = {(kind, key): holder for kind, key, holder in self._ask(_HOLDERS, *_columns(slots))}
        holders = [self.holders.get(slot_of(job), "") for job in jobs if job.on_conflict == "replace"]
        if any(holders):
            self._lock({holder for holder in holders if holder})

    def see_present(self, job_ids: Sequence[str]) -> None:
        """Look up which of these jobs are on record."""
        if job_ids:
            self.present = {job_id for (job_id,) in self._ask(_PRESENT, job_ids)}

    def _lock(self, holders: set[str]) -> None:
        statuses: dict[str, str] = dict(self._ask(_LOCK_HOLDERS, list(holders)))
        over = {holder for holder in holders if statuses.get(holder) in FINAL}
        self.waiting = {holder for holder, status in statuses.items() if status != Status.RUNNING} - over
        self.holders = {slot: holder for slot, holder in self.holders.items() if holder not in over}

    def _ask(self, sql: str, *values: Any) -> list[tuple[Any, ...]]:
        before, self.before = self.before, ""
        return list(database.execute_sql(before + sql, values).fetchall())


def slot_of(job: NewJob) -> Slot:
    """What a job with a unique key holds while it is unfinished."""
    return job.type, job.unique_key or ""


def lock(names: Iterable[tuple[str, str]], slots: Iterable[Slot]) -> str:
    """SQL that begins a transaction in which nobody else opens jobs under these keys.

    All take such locks in one order, and before they lock any row, so nobody waits in a circle.
    """
    numbers = {_number("name", *name) for name in names} | {_number("slot", *slot) % _UNIQUE_LOCKS for slot in slots}
    return "BEGIN;" + _LOCK % ",".join(map(str, sorted(numbers)))


def keep(accepted: Sequence[tuple[IdempotencyKey, Sequence[str]]], after: str) -> None:
    """Remember which jobs were accepted under which idempotency keys. ``after`` is SQL to run behind it."""
    rows = [(key.who, key.key, key.fingerprint, f"{{{','.join(ids)}}}", key.ttl) for key, ids in accepted]
    database.execute_sql(_KEEP + after, _columns(rows))


def forget_expired(most: int) -> int:
    """Delete so many expired idempotency keys at the most, the longest expired first. Returns how many."""
    deleted: int = database.execute_sql(_FORGET, (most,)).rowcount
    return deleted


def _number(*words: str) -> int:
    digest = blake2b("\0".join(words).encode(), digest_size=8).digest()
    return int.from_bytes(digest, "big", signed=True)


def _columns(rows: Iterable[tuple[Any, ...]]) -> list[list[Any]]:
    return [list(column) for column in zip(*rows, strict=True)]
