"""A model of the journal: DESIGN's table as plain Python, which says what each operation does and answers."""

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from jobplatform.errors import JobIdTaken
from jobplatform.journal import (
    Cancel,
    CancelAnswer,
    Claim,
    Item,
    Open,
    Progress,
    Refused,
    Resubmit,
    ResubmitAnswer,
    Settle,
    Settled,
)
from jobplatform.journal.settle import OUTCOMES
from jobplatform.states import FINAL, Event, Status

CRASH_LIMIT, SUSPECT_FROM = 3, 2


@dataclass
class Job:
    """What DESIGN's table says of one job."""

    on_crash: str
    status: Status
    due: bool = False
    attempts: int = 0
    retries: int = 0
    crashes: int = 0
    resends: int = 0
    cancel_requested: bool = False
    worker: int | None = None
    token: str | None = None
    result: Any = None
    error: str | None = None
    progress: Any = None
    payload: str = "{}"
    unique_key: str | None = None
    #: The payloads it had before.
    versions: list[str] = field(default_factory=list)
    #: Event, status before and after, attempt, and the token where an attempt begins or ends by it, or a person acts.
    history: list[tuple[str, str | None, str, int, str | None]] = field(default_factory=list)

    def tell(self, event: Event, after: Status, token: str | None = None, *, new: bool = False) -> None:
        before = None if new else str(self.status)
        self.history.append((str(event), before, str(after), self.attempts, token))
        self.status = after
        if after is not Status.RUNNING:
            self.worker = self.token = None

    def holds(self, attempt: int, token: str) -> bool:
        return self.status is Status.RUNNING and (self.attempts, self.token) == (attempt, token)


@dataclass
class Worker:
    alive: bool = True
    stopping: bool = False
    on_record: bool = True


class Model:
    """What every operation is to do, and to answer. Items of a commit are taken kind by kind."""

    ORDER = (Progress, Settle, Cancel, Resubmit, Claim, Open)

    def __init__(self) -> None:
        self.jobs: dict[str, Job] = {}
        self.payloads: dict[str, str] = {}
        self.workers: dict[int, Worker] = {}

    def commit(self, items: Sequence[Item]) -> tuple[list[Any], list[str]]:
        """The answers in the order of the items, a set where one of several is right; and whose hints are sent."""
        answers: list[Any] = [None] * len(items)
        hints: list[str] = []
        for kind in self.ORDER:
            for place, item in enumerate(items):
                if isinstance(item, kind):
                    answers[place] = getattr(self, f"_{kind.__name__.lower()}")(item, hints)
        for place, item in enumerate(items):
            if isinstance(item, Settle) and answers[place] is None:
                answers[place] = self._fence(item)
        return answers, hints

    def release(self) -> list[str]:
        due = [i for i, job in self.jobs.items() if job.status in (Status.SCHEDULED, Status.RETRYING) and job.due]
        for job_id in due:
            self.jobs[job_id].tell(Event.RELEASED, Status.QUEUED)
            self.jobs[job_id].resends = 0
        return due

    def resend(self) -> list[str]:
        able = any(worker.alive and worker.on_record and not worker.stopping for worker in self.workers.values())
        lost = [i for i, job in self.jobs.items() if job.status is Status.QUEUED and able]
        for job_id in lost:
            self.jobs[job_id].tell(Event.RESENT, Status.QUEUED)
            self.jobs[job_id].resends += 1
        return lost

    def rescue(self) -> tuple[list[tuple[str, Event, int]], list[str]]:
        rescued, hints = [], []
        for job_id, job in self.jobs.items():
            if job.status is not Status.RUNNING or job.worker is None or self.lives(job.worker):
                continue
            worker = self.workers[job.worker]
            stopping = worker.on_record and worker.stopping
            job.crashes += not stopping
            if job.cancel_requested:
                event, after = Event.CANCELLED, Status.CANCELLED
            elif job.on_crash == "fail" or (not stopping and job.crashes >= CRASH_LIMIT):
                event, after = Event.FAILED, Status.FAILED
                job.error = "crashed"
            else:
                event, after = Event.INTERRUPTED if stopping else Event.RESCUED, Status.QUEUED
                hints.append(job_id)
            rescued.append((job_id, event, job.worker))
            job.tell(event, after)
        return rescued, hints

    def lives(self, number: int) -> bool:
        worker = self.workers[number]
        return worker.alive and worker.on_record

    def _open(self, item: Open, hints: list[str]) -> Any:
        if any(self.payloads.get(job.id, job.payload) != job.payload for job in item.jobs):
            return JobIdTaken
        for job in item.jobs:
            if job.id not in self.jobs:
                waits = bool(job.delay_ms and job.delay_ms > 0)
                status = Status.SCHEDULED if waits else Status.QUEUED
                self.jobs[job.id] = made = Job(job.on_crash, status, payload=job.payload, unique_key=job.unique_key)
                self.payloads[job.id] = job.payload
                made.tell(Event.SCHEDULED if waits else Event.ENQUEUED, made.status, new=True)
        queued = [job.id for job in item.jobs if self.jobs[job.id].status is Status.QUEUED]
        hints.extend(queued)
        return [(job.id, str(self.jobs[job.id].status)) for job in item.jobs]

    def _claim(self, item: Claim, hints: list[str]) -> Any:  # noqa: ARG002
        job = self.jobs.get(item.job_id)
        if job is None or item.type != "PROBE":
            return Refused(known=False)
        suspect = job.crashes >= SUSPECT_FROM
        own = job.status is Status.RUNNING and job.token == item.token
        if not own:
            beside = suspect and any(
                other.status is Status.RUNNING and other.worker == item.worker and other.crashes >= SUSPECT_FROM
                for other in self.jobs.values()
            )
            if job.status is not Status.QUEUED or beside or not self.lives(item.worker):
                return Refused(known=True, waits=job.status is Status.QUEUED)
            job.attempts += 1
            job.tell(Event.STARTED, Status.RUNNING, item.token)
            job.worker, job.token, job.progress, job.resends = item.worker, item.token, None, 0
        return (job.attempts, job.retries)

    def _settle(self, item: Settle, hints: list[str]) -> Settled | None:
        job = self.jobs[item.job_id]
        if not job.holds(item.attempt, item.token):
            return None
        event, after = item.event, OUTCOMES[item.event]
        if job.cancel_requested and event in (Event.RETRY_PLANNED, Event.INTERRUPTED):
            event, after = Event.CANCELLED, Status.CANCELLED
        job.tell(event, after, item.token)
        job.retries += after is Status.RETRYING
        job.due = after is Status.RETRYING and item.delay_ms == 0
        job.result = item.result and json.loads(item.result)
        job.error = item.error and json.loads(item.error)["kind"]
        job.progress = json.loads(item.progress) if item.progress else job.progress
        if after is Status.QUEUED:
            hints.append(item.job_id)
        if item.follow_ups and event is item.event:
            self._open(Open(item.follow_ups), hints)
        return Settled(event)

    def _fence(self, item: Settle) -> set[Settled]:
        job = self.jobs[item.job_id]
        own = {
            Settled(Event(event))
            for event, _, _, attempt, token in job.history
            if (attempt, token) == (item.attempt, item.token) and event in (item.event, Event.CANCELLED, Event.FENCED)
        }
        if not own:
            job.history.append((Event.FENCED, job.status, job.status, item.attempt, item.token))
        return own or {Settled(Event.FENCED)}

    def _cancel(self, item: Cancel, hints: list[str]) -> CancelAnswer:  # noqa: ARG002
        job = self.jobs.get(item.job_id)
        if job is None:
            return CancelAnswer(None, None)
        if own := [event for event, *_, token in job.history if token == item.token]:
            return CancelAnswer(job.status, Event(own[0]))
        if job.status in FINAL or job.cancel_requested:
            return CancelAnswer(job.status, None)
        if job.status is Status.RUNNING:
            job.cancel_requested = True
            job.tell(Event.CANCEL_REQUESTED, Status.RUNNING, item.token)
            return CancelAnswer(Status.RUNNING, Event.CANCEL_REQUESTED)
        job.tell(Event.CANCELLED, Status.CANCELLED, item.token)
        return CancelAnswer(Status.CANCELLED, Event.CANCELLED)

    def _resubmit(self, item: Resubmit, hints: list[str]) -> ResubmitAnswer:
        job = self.jobs.get(item.job_id)
        if job is None:
            return ResubmitAnswer(None, None)
        if any(token == item.token for *_, token in job.history):
            hints += [item.job_id] if job.status is Status.QUEUED else []
            return ResubmitAnswer(job.status, Event.RESUBMITTED)
        if job.status not in (Status.FAILED, Status.CANCELLED):
            return ResubmitAnswer(job.status, None)
        holder = [
            i
            for i, other in self.jobs.items()
            if job.unique_key is not None and other.unique_key == job.unique_key and other.status not in FINAL
        ]
        if holder:
            return ResubmitAnswer(job.status, None, holder[0])
        job.tell(Event.RESUBMITTED, Status.QUEUED, item.token)
        job.retries = job.crashes = job.resends = 0
        job.cancel_requested = False
        job.error = job.result = job.progress = None
        if item.payload is not None and item.payload != job.payload:
            job.versions.append(job.payload)
            job.payload = item.payload
        hints.append(item.job_id)
        return ResubmitAnswer(Status.QUEUED, Event.RESUBMITTED)

    def _progress(self, item: Progress, hints: list[str]) -> bool:  # noqa: ARG002
        job = self.jobs[item.job_id]
        current = job.holds(item.attempt, item.token)
        if current:
            job.progress = json.loads(item.progress)
        return current
