"""Doing actions: cancelling, or sending round again, all jobs that fit a filter, a batch at a time."""

import json
import logging
import time
from dataclasses import replace
from datetime import datetime
from typing import Final, NamedTuple

import msgspec

from jobplatform.connection import TOOK_TOO_LONG, blames_a_value, is_mistake, line_of, sqlstate
from jobplatform.journal import Hint, actions
from jobplatform.journal.actions import CANCEL, Unfinished
from jobplatform.journal.release import BATCH_SIZE
from jobplatform.journal.resubmit import RESUBMITTABLE
from jobplatform.models import database
from jobplatform.queries.filter import JobFilter
from jobplatform.queries.likeness import Likeness
from jobplatform.queries.search import Search
from jobplatform.queries.snapshot import one_moment, settled
from jobplatform.queries.walk import IN_ORDER, Position, walk
from jobplatform.states import FINAL, Status

log: Final = logging.getLogger(__name__)

#: A count goes so far, and takes so many seconds, at the most.
MOST_COUNTED: Final = 100_000
_LONGEST_COUNT: Final = 3.0
#: So many jobs one query of a count finds at the most.
_PAGE: Final = 4_000
#: So long a batch looks for jobs that fit, in seconds: a keeper has other things to do.
_PATIENCE: Final = 0.1

#: So much is told of an error, in characters.
_LONGEST_WHY: Final = 500

_UNIQUE_VIOLATION: Final = "23505"
#: The class of errors that end a transaction which may succeed when it is repeated: a deadlock is one.
_ROLLED_BACK: Final = "40"


class Count(NamedTuple):
    """How many jobs fit. ``bounded``: these at least, and then the count was given up."""

    matched: int
    bounded: bool


class _Kept(msgspec.Struct, rename="camel", forbid_unknown_fields=True):
    """A filter as an action keeps it: the words of ``GET /jobs``. What is left out is not asked."""

    status: tuple[str, ...] = ()
    type: tuple[str, ...] = ()
    priority: str | None = None
    tag: str | None = None
    created_after: datetime | None = None
    created_before: datetime | None = None
    finished_after: datetime | None = None
    q: str | None = None
    failure: str | None = None


class Batch(NamedTuple):
    """What one batch of an action did."""

    #: Jobs to which something happened.
    changed: int
    #: Whether there is, or may be, more to do.
    more: bool
    hints: list[Hint]


NOTHING: Final = Batch(0, False, [])


def count(kind: str, which: JobFilter) -> Count:
    """How many jobs an action would be done to, in the calling thread's connection."""
    meant = _meant(kind, which)
    deadline = time.monotonic() + _LONGEST_COUNT
    matched, after = 0, None
    while meant is not None:
        with one_moment(*IN_ORDER):
            found = walk(meant, newest_first=False, after=after, limit=_PAGE, patience=_PATIENCE)
        matched, after = matched + len(found.found), found.next
        if after is None:
            break
        if matched >= MOST_COUNTED or time.monotonic() > deadline:
            return Count(min(matched, MOST_COUNTED), True)
    return Count(matched, False)


def do_next_batch(most: int = BATCH_SIZE) -> Batch:
    """Do the next batch of the oldest action that is not finished, in one transaction.

    What was done, and how far the action is, is committed together: whoever dies, no job is counted twice, and any
    keeper goes on. Two keepers never have one action in their hands.
    """
    action = None
    try:
        with database.atomic():
            if (action := actions.take_action()) is None:
                return NOTHING
            return _do(action, most)
    except Exception as error:
        if action is None:
            raise
        code = sqlstate(error) or ""
        if code == _UNIQUE_VIOLATION or code.startswith(_ROLLED_BACK):
            # A unique key was taken in the same moment, or two waited for each other: the next try sees by whom.
            return Batch(0, True, [])
        if not blames_a_value(error) and code != TOOK_TOO_LONG:
            raise
        why = _why(error, code)
        log.critical("Action %s ends: %s", action.id, why, exc_info=is_mistake(error))
        actions.note(action.id, None, 0, 0, why)
        return Batch(0, True, [])


def filter_json(which: JobFilter) -> str:
    """A filter as an action keeps it."""
    fields = {
        "status": which.statuses or None,
        "type": which.types or None,
        "priority": which.priority,
        "tag": which.tag,
        "createdAfter": which.created_after and which.created_after.isoformat(),
        "createdBefore": which.created_before and which.created_before.isoformat(),
        "finishedAfter": which.finished_after and which.finished_after.isoformat(),
        "q": which.search and which.search.text,
        "failure": which.failure and str(which.failure),
    }
    return json.dumps({name: value for name, value in fields.items() if value is not None}, ensure_ascii=False)


def _do(action: Unfinished, most: int) -> Batch:
    which = _filter(action.filter)
    if which.created_before is None or which.created_before > action.created_at:
        which = replace(which, created_before=action.created_at)
    meant = _meant(action.kind, which)
    found = None
    if meant is not None:
        after = None if action.position is None else _position(json.loads(action.position))
        database.execute_sql(settled(*IN_ORDER))
        found = walk(meant, newest_first=False, after=after, limit=most, patience=_PATIENCE)
    ids = [job.at.id for job in found.found] if found else []
    changed, hints = actions.do_to(action, ids)
    behind = found.next if found else None
    actions.note(action.id, behind and [behind.created_at.isoformat(), behind.id], len(ids), changed)
    return Batch(changed, True, hints)


def _why(error: Exception, code: str) -> str:
    if code == TOOK_TOO_LONG:
        return "A batch took longer than Postgres was given for it."
    storable = line_of(error).encode(errors="backslashreplace").decode().replace("\0", "")
    return f"It cannot be done: {storable}"[:_LONGEST_WHY]


def _meant(kind: str, which: JobFilter) -> JobFilter | None:
    """The filter of those jobs to which it can be done; None where there can be none."""
    able = set(Status) - FINAL if kind == CANCEL else set(RESUBMITTABLE)
    statuses = able & set(which.statuses) if which.statuses else able
    return replace(which, statuses=tuple(sorted(statuses))) if statuses else None


def _filter(text: str) -> JobFilter:
    """The filter that an action was recorded with.

    Raises:
        msgspec.ValidationError: it holds a word that this process does not know, as one of another version may have
            written. To pass over it would be to act on more jobs than were meant.
        ValueError: a word does not say what it must.
    """
    kept = msgspec.json.decode(text, type=_Kept)
    return JobFilter(
        statuses=tuple(map(Status, kept.status)),
        types=kept.type,
        priority=kept.priority,
        tag=kept.tag,
        created_after=kept.created_after,
        created_before=kept.created_before,
        finished_after=kept.finished_after,
        search=None if kept.q is None else Search(kept.q),
        failure=None if kept.failure is None else Likeness.parse(kept.failure),
    )


def _position(given: list[str]) -> Position:
    return Position(datetime.fromisoformat(given[0]), given[1])
