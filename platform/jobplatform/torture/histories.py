"""What must be true of every database at every moment: the rows and their history tell the same story, a legal one.

Shared by the tests and by the torture: both read what is on record without the engine's own readers.
"""

from collections import defaultdict
from collections.abc import Sequence
from contextlib import closing
from itertools import pairwise
from typing import Any, Final, NamedTuple

import psycopg2
import psycopg2.extensions
import psycopg2.extras

from jobplatform.states import FINAL, TRANSITIONS, Event, Status

_JOBS: Final = (
    "SELECT id::text, status, attempts, retries, updated_at, started_at, finished_at, cancel_requested, token FROM jobs"
)
_TRANSITIONS: Final = (
    "SELECT id, job_id::text, event, from_status, to_status, attempt, at, token FROM transitions ORDER BY id"
)


class Findings(NamedTuple):
    """How many jobs were looked at, and what is wrong with which."""

    jobs: int
    faults: list[str]


def examine_histories(url: str) -> Findings:
    """Compare every job with the fold of its transitions, in one snapshot."""
    with closing(psycopg2.connect(url)) as connection:
        connection.set_session(isolation_level="REPEATABLE READ", readonly=True)
        jobs = _rows(connection, _JOBS)
        histories = defaultdict(list)
        for transition in _rows(connection, _TRANSITIONS):
            histories[transition["job_id"]].append(transition)
    faults = [f"job {job['id']}: {fault}" for job in jobs for fault in _faults(job, histories.pop(job["id"], []))]
    faults += [f"transitions of job {job_id}, which does not exist" for job_id in histories]
    return Findings(len(jobs), faults)


def _rows(connection: psycopg2.extensions.connection, sql: str) -> list[dict[str, Any]]:
    with connection.cursor(cursor_factory=psycopg2.extras.RealDictCursor) as cursor:
        cursor.execute(sql)
        return [dict(row) for row in cursor.fetchall()]


def _faults(job: dict[str, Any], history: Sequence[dict[str, Any]]) -> list[str]:
    since = _since_resubmission(history)
    events = [step["event"] for step in history]
    status = history[-1]["to_status"] if history else None
    started = [step["attempt"] for step in history if step["event"] == Event.STARTED]
    ended = [step["attempt"] for step in history if _ends(step)]
    final = job["status"] in FINAL
    rules = {
        "its history ends where the row is": status == job["status"],
        "every transition is legal": all(
            (_status(s["from_status"]), _status(s["to_status"])) in TRANSITIONS[Event(s["event"])] for s in history
        ),
        "each transition begins where the one before ended": all(
            later["from_status"] == earlier["to_status"] for earlier, later in pairwise(history)
        ),
        "it was accepted once": sum(event in (Event.ENQUEUED, Event.SCHEDULED) for event in events) == 1,
        "times never go back": all(a["at"] <= b["at"] for a, b in pairwise(history)),
        "the row changed when its history did": all(
            step["at"] <= job["updated_at"] for step in history if step["event"] != Event.FENCED
        ),
        "attempts are counted from 1, one for each start": started == list(range(1, job["attempts"] + 1)),
        "each attempt ends at most once, in its order": ended == sorted(set(ended)) and set(ended) <= set(started),
        "only the last attempt can be running": (set(started) - set(ended))
        == ({job["attempts"]} if job["status"] == Status.RUNNING else set()),
        "it runs under the token of its last start": job["token"]
        == (_token(history) if job["status"] == Status.RUNNING else None),
        "retries are the errors since it was last accepted": job["retries"]
        == sum(step["event"] == Event.RETRY_PLANNED for step in since),
        "final means finished": final == (job["finished_at"] is not None),
        "a finished job finished after it started": not (final and started) or job["finished_at"] >= job["started_at"],
        "a cancel was requested where the row says so": not job["cancel_requested"]
        or Event.CANCEL_REQUESTED in [step["event"] for step in since],
    }
    return [
        f"{rule}: not so in {job['status']} after {', '.join(events)}" for rule, holds in rules.items() if not holds
    ]


def _since_resubmission(history: Sequence[dict[str, Any]]) -> Sequence[dict[str, Any]]:
    begins = [place for place, step in enumerate(history) if step["event"] == Event.RESUBMITTED]
    return history[begins[-1] :] if begins else history


def _ends(step: dict[str, Any]) -> bool:
    return bool(step["from_status"] == Status.RUNNING and step["to_status"] != Status.RUNNING)


def _token(history: Sequence[dict[str, Any]]) -> Any:
    return [step["token"] for step in history if step["event"] == Event.STARTED][-1]


def _status(value: str | None) -> Status | None:
    return None if value is None else Status(value)
