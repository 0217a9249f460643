"""Suspects: a job that may kill its worker next takes no other such job along (P22)."""

import threading
from collections.abc import Iterator
from dataclasses import replace
from typing import Any
from uuid import uuid4

import pytest

from jobplatform import current_job, journal
from jobplatform.broker import JobBroker
from jobplatform.hints import acks_key
from jobplatform.journal import Cancel, Claim, Claimed, Item, Refused
from jobplatform.states import Event
from tests.services.journal import WORKER, live_worker, new_job, open_jobs, outcome, queued_job, read, status
from tests.services.patience import eventually
from tests.services.workshop import Workshop

#: With a crash limit of three.
SUSPECT_FROM = 2


def crashed(url: str, times: int, **given: Any) -> str:
    """A queued job that has killed so many workers."""
    job_id = queued_job(**given)
    for number in range(1, times + 1):
        live_worker(number)
        (answer,), _ = journal.commit([Claim(job_id, given.get("type", "PROBE"), str(uuid4()), number, 99)])
        assert isinstance(answer, Claimed)
        read(url, "UPDATE workers SET ended_at = now(), died = true WHERE id = %s", [number])
        journal.rescue(99)
        read(url, "DELETE FROM workers WHERE id = %s", [number])
    return job_id


def claim_of(job_id: str, worker: int = WORKER, suspect_from: int = SUSPECT_FROM) -> Claim:
    return Claim(job_id, "PROBE", str(uuid4()), worker, suspect_from)


def answers(*items: Item) -> list[Any]:
    return journal.commit(items)[0]


WAITS = Refused(known=True, waits=True)


def test_p22_in_one_worker_a_suspect_job_runs_beside_no_other(journal_url: str) -> None:
    first, second = (crashed(journal_url, 2) for _ in range(2))
    assert isinstance(answers(claim_of(first))[0], Claimed)

    assert answers(claim_of(second)) == [WAITS]

    assert status(journal_url, second) == "queued"
    live_worker(8_008)
    assert isinstance(answers(claim_of(second, worker=8_008))[0], Claimed), "another worker takes it"


def test_p22_nor_in_one_batch(journal_url: str) -> None:
    jobs = [crashed(journal_url, 2) for _ in range(3)]
    innocent = queued_job()

    told = answers(claim_of(jobs[0]), claim_of(innocent), claim_of(jobs[1]), claim_of(jobs[2]))

    assert [isinstance(answer, Claimed) for answer in told] == [True, True, False, False]
    assert told[2:] == [WAITS, WAITS]


def test_p22_two_hints_of_one_suspect_job_in_one_batch_start_it_once(journal_url: str) -> None:
    job_id = crashed(journal_url, 2)

    told = answers(claim_of(job_id), claim_of(job_id))

    assert isinstance(told[0], Claimed)
    assert told[1] == Refused(known=True), "it runs: there is nothing to wait for"


def test_p22_jobs_below_the_threshold_run_beside_anything(journal_url: str) -> None:
    suspect, *others = crashed(journal_url, 2), crashed(journal_url, 1), crashed(journal_url, 1), queued_job()

    told = answers(*map(claim_of, [suspect, *others]))

    assert [type(answer) for answer in told] == [Claimed] * 4


def test_p22_a_suspect_job_may_start_beside_innocents_that_run(journal_url: str) -> None:
    answers(claim_of(crashed(journal_url, 1)), claim_of(queued_job()))

    assert isinstance(answers(claim_of(crashed(journal_url, 2)))[0], Claimed)


@pytest.mark.parametrize("crashes", [1, 2, 3])
def test_p22_the_threshold_is_the_claims(journal_url: str, crashes: int) -> None:
    """One death before the crash limit, whatever that is."""
    for below in range(crashes):
        told = answers(*[claim_of(crashed(journal_url, below), suspect_from=crashes) for _ in range(2)])
        assert all(isinstance(answer, Claimed) for answer in told)

    told = answers(*[claim_of(crashed(journal_url, crashes), suspect_from=crashes) for _ in range(2)])
    assert [isinstance(answer, Claimed) for answer in told] == [True, False]


def test_p22_the_next_one_has_its_turn_in_the_transaction_that_ends_the_first(journal_url: str) -> None:
    first, second = (claim_of(crashed(journal_url, 2)) for _ in range(2))
    assert answers(first, second)[1] == WAITS

    claimed, settled = answers(claim_of(second.job_id), outcome(first, attempt=3))

    assert settled.event is Event.COMPLETED
    assert isinstance(claimed, Claimed)


def test_p1_a_repeated_claim_of_a_suspect_job_finds_its_own_success(journal_url: str) -> None:
    claim = claim_of(crashed(journal_url, 2))

    assert answers(claim) == answers(claim)


def test_p22_a_suspect_job_that_is_no_longer_queued_does_not_wait(journal_url: str) -> None:
    first, second = (crashed(journal_url, 2) for _ in range(2))
    answers(claim_of(first))
    journal.commit([Cancel(second)])

    assert answers(claim_of(second)) == [Refused(known=True)]


class Suspects:
    """A worker whose jobs end when they are told to, and which remembers who ran beside whom.

    Its keeper sends no hint again for an hour.
    """

    def __init__(self, workshop: Workshop) -> None:
        self.workshop = workshop
        self.go_on = threading.Event()
        self.beside: list[int] = []
        self.order: list[str] = []
        self._running: set[str] = set()

        @workshop.actor("PROBE", max_retries=0)
        def probe(n: int, fails: bool = False) -> None:  # noqa: ARG001
            self.order.append(current_job().id)
            self._running.add(current_job().id)
            self.beside.append(len(self._running))
            try:
                self.go_on.wait(20)
                if fails:
                    raise ValueError
            finally:
                self._running.discard(current_job().id)

    def aside(self) -> int:
        """How many hints the worker has set aside."""
        return sum(len(holding.aside) for holding in self.workshop.broker._holdings.values())

    def hint(self, *job_ids: str) -> None:
        """As the keeper does once it has rescued them."""
        sender = self.workshop.broker.recorder.claims._sender
        sender.send([journal.Hint(job_id, "PROBE", "default", 1) for job_id in job_ids])


@pytest.fixture
def suspects(workshop: Workshop) -> Iterator[Suspects]:
    patient = Workshop(replace(workshop.settings, resend_grace=3_600_000))
    made = Suspects(patient)
    yield made
    made.go_on.set()
    patient.close()


@pytest.mark.parametrize("fails", [False, True])
def test_p22_the_ones_set_aside_have_their_turn_once_the_first_has_ended(suspects: Suspects, fails: bool) -> None:
    workshop = suspects.workshop
    url = workshop.settings.database_url
    jobs = [crashed(url, 2, payload=f'{{"n": {n}, "fails": {str(fails).lower()}}}') for n in range(3)]
    innocents = [opened.id for opened in open_jobs(*[new_job() for _ in range(2)])]
    suspects.hint(*jobs, *innocents)
    with workshop.open(threads=5):
        eventually(lambda: len(suspects.order) == 3, what="one suspect job and two innocents")
        eventually(lambda: suspects.aside() == 2, what="the other two set aside")
        assert sum(status(url, job_id) == "queued" for job_id in jobs) == 2
        suspects.go_on.set()
        for job_id in jobs + innocents:
            workshop.until(job_id, "failed" if fails and job_id in jobs else "completed")

    assert sorted(suspects.order) == sorted(jobs + innocents), "each ran once"


def test_p22_the_ones_set_aside_are_not_acknowledged_before_they_have_gone_round(
    suspects: Suspects, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What a dead worker had not acknowledged the keeper puts back at once. Else they would wait for a grace."""
    go_round, may_go = JobBroker.go_round, threading.Event()
    monkeypatch.setattr(JobBroker, "go_round", lambda *given: go_round(*given) if may_go.is_set() else None)
    broker = suspects.workshop.broker
    suspects.hint(*[crashed(suspects.workshop.settings.database_url, 2) for _ in range(3)])
    with suspects.workshop.open(threads=5):
        eventually(lambda: suspects.aside() == 2)
        before = broker.client.smembers(acks_key(broker.broker_id, "default"))
        assert len(before) == 3, "the one that runs, and the two that wait"

        may_go.set()
        eventually(lambda: len(before & broker.client.smembers(acks_key(broker.broker_id, "default"))) < 2)
        suspects.go_on.set()


def test_p22_many_suspect_jobs_run_one_after_the_other_and_none_is_forgotten(suspects: Suspects) -> None:
    suspects.go_on.set()
    jobs = [crashed(suspects.workshop.settings.database_url, 2) for _ in range(12)]
    suspects.hint(*jobs)
    with suspects.workshop.open(threads=8):
        for job_id in jobs:
            suspects.workshop.until(job_id, "completed")

    assert suspects.beside == [1] * 12
