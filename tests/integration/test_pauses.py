"""Pausing a queue: nothing of it is started, nothing of it is lost, and with the resume work goes on at once."""

import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

import pytest

from jobplatform import journal
from jobplatform.journal import Claimed, PauseQueue, QueueAnswer, Refused, ResumeQueue, queues
from jobplatform.keeper import Keeper
from tests.services.journal import a_claim, claimed_job, history, live_worker, queued_job, read, settle, status
from tests.services.patience import eventually
from tests.services.workshop import Workshop


def commit(*items: Any) -> list[Any]:
    return journal.commit(items)[0]


def test_a_claim_of_a_paused_queue_is_refused_and_its_job_waits(journal_url: str) -> None:
    waits, urgent = queued_job(), queued_job(queue="high")
    commit(PauseQueue("default"))

    refused, claimed = commit(a_claim(waits), a_claim(urgent))

    assert refused == Refused(known=True, waits=True, paused=True)
    assert isinstance(claimed, Claimed), "the other queue goes on"
    assert history(journal_url, waits) == ["enqueued"]
    commit(ResumeQueue("default"))
    assert isinstance(commit(a_claim(waits))[0], Claimed)


def test_what_is_not_queued_does_not_wait_for_the_end_of_a_pause(journal_url: str) -> None:
    settle(claim := claimed_job())
    commit(PauseQueue("default"))

    assert commit(a_claim(claim.job_id), a_claim(str(uuid4()))) == [Refused(known=True), Refused(known=False)]
    assert status(journal_url, claim.job_id) == "completed"


def test_p1_a_claim_that_was_granted_before_the_pause_is_known_again(journal_url: str) -> None:
    claim = a_claim(queued_job())
    (first,) = commit(claim)
    commit(PauseQueue("default"))

    assert commit(claim) == [first]
    assert status(journal_url, claim.job_id) == "running"


def test_pauses_and_resumes_are_actions_on_record_with_who_and_why(journal_url: str) -> None:
    answers = commit(
        PauseQueue("high", who="ada", reason="mail is down", request_id="r-1"),
        PauseQueue("high", who="bob"),
        PauseQueue("default"),
    )
    answers += commit(ResumeQueue("high"), ResumeQueue("high"))

    assert answers == [QueueAnswer(True), QueueAnswer(True), QueueAnswer(True), QueueAnswer(True), QueueAnswer(True)]
    assert queues.paused() == {"default"}
    assert len(read(journal_url, "SELECT 1 FROM actions WHERE finished_at IS NOT NULL")) == 5
    assert read(
        journal_url, "SELECT kind, filter, reason, who, request_id, changed FROM actions WHERE who = 'ada'"
    ) == [("pause", {"queue": "high"}, "mail is down", "ada", "r-1", 1)]


def test_a_queue_that_is_paused_already_stays_so_as_it_was(journal_url: str) -> None:
    commit(PauseQueue("high", who="ada", reason="first"))
    paused = read(journal_url, "SELECT * FROM paused_queues")

    assert commit(PauseQueue("high", who="bob")) == [QueueAnswer(False)]

    assert read(journal_url, "SELECT * FROM paused_queues") == paused
    assert commit(ResumeQueue("default")) == [QueueAnswer(False)]
    assert read(journal_url, "SELECT kind, changed FROM actions ORDER BY created_at") == [
        ("pause", 1),
        ("pause", 0),
        ("resume", 0),
    ]


def test_p4_a_pause_whose_answer_was_lost_is_one_action(journal_url: str) -> None:
    pause, resume = PauseQueue("high"), ResumeQueue("high")

    assert commit(pause) == commit(pause) == [QueueAnswer(True)]
    assert commit(resume) == commit(resume) == [QueueAnswer(True)]

    assert read(journal_url, "SELECT kind FROM actions ORDER BY created_at") == [("pause",), ("resume",)]


def test_nothing_of_a_paused_queue_is_resent(journal_url: str) -> None:
    live_worker(1, types=["PROBE"], queues=["default", "high"])
    queued_job()
    urgent = queued_job(queue="high")
    commit(PauseQueue("default"))

    hints = [hint for queue in ("default", "high") for hint in journal.resend(queue, datetime.now(UTC), 0)]

    assert [hint.job_id for hint in hints] == [urgent]
    commit(ResumeQueue("default"))
    assert len(journal.resend("default", datetime.now(UTC), 0)) == 1
    assert history(journal_url, urgent) == ["enqueued", "resent"]


class Counting:
    """An actor that counts, and that can be held."""

    def __init__(self, workshop: Workshop) -> None:
        self.workshop = workshop
        self.url = workshop.settings.database_url
        self.runs = 0
        self.lock = threading.Lock()

        @workshop.actor("PROBE")
        def probe() -> None:
            time.sleep(0.005)
            with self.lock:
                self.runs += 1

        self.actor = probe
        self.refused: list[str] = []
        put_back = workshop.broker.put_back

        def counted(message: Any) -> None:
            self.refused.append(message.message_id)
            put_back(message)

        workshop.broker.put_back = counted  # type: ignore[method-assign]

    def send(self, count: int, priority: str = "default") -> list[str]:
        return [self.actor.send_with_options(priority=priority).message_id for _ in range(count)]

    def count(self, status: str) -> int:
        ((count,),) = read(self.url, "SELECT count(*) FROM jobs WHERE status = %s", [status])
        return int(count)

    def in_redis(self) -> int:
        client: Any = self.workshop.broker.client
        return int(client.llen("dramatiq:default"))


@pytest.fixture
def counting(workshop: Workshop) -> Counting:
    return Counting(workshop)


@pytest.fixture
def patient(workshop: Workshop) -> Iterator[Counting]:
    """With a keeper that takes no hint for lost as soon as others do here."""
    made = Workshop(replace(workshop.settings, resend_grace=10_000))
    yield Counting(made)
    made.close()


def act(workshop: Workshop, item: Any) -> None:
    workshop.broker.recorder.writer.put(item).result(10)


def test_a_pause_under_load_stops_all_and_loses_nothing(patient: Counting) -> None:
    counting, workshop = patient, patient.workshop
    jobs = counting.send(120)
    with workshop.open(threads=4):
        eventually(lambda: counting.count("completed") >= 10)
        act(workshop, PauseQueue("default"))
        eventually(lambda: counting.count("running") == 0)
        done = counting.count("completed")
        assert done < len(jobs)
        eventually(lambda: counting.in_redis() == len(jobs) - done, what="the hints back in their list")
        # What waits in the list is left there: no hint goes round and round.
        refused = len(counting.refused)
        urgent = counting.send(5, "high")
        eventually(lambda: counting.count("completed") == done + len(urgent), what="the end of the urgent ones")
        more = counting.send(1)
        eventually(lambda: counting.in_redis() == len(jobs) - done + 1)
        assert len(counting.refused) == refused

        act(workshop, ResumeQueue("default"))
        began = time.monotonic()
        eventually(lambda: counting.count("completed") > done + len(urgent))
        assert time.monotonic() - began < 2
        eventually(lambda: counting.count("completed") == len(jobs) + len(urgent) + len(more))

    assert read(counting.url, "SELECT count(*) FROM transitions WHERE event = 'resent'") == [(0,)], "none was lost"


def test_what_was_put_back_keeps_its_place_before_all_else(patient: Counting, monkeypatch: pytest.MonkeyPatch) -> None:
    """And its stamp, by which the keeper tells what is lost."""
    counting, workshop = patient, patient.workshop
    rest = workshop.broker.rest
    # A worker that hears of the pause by its first beat takes nothing, and so has nothing to put back.
    monkeypatch.setattr(workshop.broker, "rest", lambda queues: rest(queues) if counting.refused else None)
    act(workshop, PauseQueue("default"))
    jobs = counting.send(12)
    with workshop.open(threads=1):
        eventually(lambda: counting.refused, what="a claim that was refused")
        eventually(lambda: counting.in_redis() == len(jobs), what="the hints back in their list")
        act(workshop, ResumeQueue("default"))
        for job_id in jobs:
            workshop.until(job_id, "completed")

    started = read(counting.url, "SELECT job_id::text FROM transitions WHERE event = 'started' ORDER BY at, id")
    assert [job_id for (job_id,) in started] == jobs
    assert read(counting.url, "SELECT count(*) FROM transitions WHERE event = 'resent'") == [(0,)]


def test_hints_that_redis_lost_during_a_pause_are_sent_again_after_it(workshop: Workshop, counting: Counting) -> None:
    (job_id,) = counting.send(1)
    act(workshop, PauseQueue("default"))
    client: Any = workshop.broker.client
    client.flushall()
    with workshop.open():
        keeper = Keeper(workshop.settings)
        until = time.monotonic() + 2 * workshop.settings.resend_grace / 1000
        while time.monotonic() < until:
            keeper.tick()
        assert workshop.history(job_id) == ["enqueued"]

        act(workshop, ResumeQueue("default"))
        workshop.until(job_id, "completed")
    assert workshop.history(job_id) == ["enqueued", "resent", "started", "completed"]
