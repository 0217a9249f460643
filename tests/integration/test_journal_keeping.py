"""The keeper's two statements: releasing what is due, sending again what was lost; and the batches of all."""

import random
import threading
from collections import defaultdict
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from jobplatform import journal
from jobplatform.journal import Claimed, Hint, Settle
from jobplatform.journal.hint import time_of
from jobplatform.states import Event
from tests.services.crowd import Crowd
from tests.services.journal import (
    a_claim,
    claimed_job,
    column,
    connected,
    history,
    new_job,
    open_jobs,
    outcome,
    queued_job,
    read,
    settle,
    status,
)

_GRACE = 1_000


def now(url: str) -> datetime:
    ((at,),) = read(url, "SELECT clock_timestamp()")
    assert isinstance(at, datetime)
    return at


def a_worker(
    url: str,
    *,
    types: str = "{PROBE}",
    queues: str = "{high,default}",
    silent: str = "0 s",
    stopping: bool = False,
    ended: bool = False,
) -> None:
    """A worker on record."""
    read(
        url,
        "INSERT INTO workers"
        " (host, pid, version, broker, queues, types, threads, started_at, last_seen_at, stopping_at, ended_at)"
        " VALUES ('here', 1, '0', 'none', %s, %s, 1, now(), now() - %s::interval, CASE WHEN %s THEN now() END,"
        " CASE WHEN %s THEN now() END)",
        [queues, types, silent, stopping, ended],
    )


def age(url: str, job_id: str, seconds: float = 60) -> None:
    """Make a queued job look as if it had been dispatched that long ago, and changed last then."""
    read(
        url,
        "UPDATE jobs SET dispatched_at = dispatched_at - %s, updated_at = updated_at - %s WHERE id = %s",
        [timedelta(seconds=seconds), timedelta(seconds=seconds), job_id],
    )
    read(url, "UPDATE transitions SET at = at - %s WHERE job_id = %s", [timedelta(seconds=seconds), job_id])


def due(url: str, job_id: str, seconds: float) -> None:
    read(url, "UPDATE jobs SET run_at = now() + %s WHERE id = %s", [timedelta(seconds=seconds), job_id])


def resend(url: str, lost_before: datetime | None = None, **given: Any) -> list[Hint]:
    return journal.resend("default", lost_before or now(url), _GRACE, **given)


def test_due_jobs_are_released_the_longest_due_first(journal_url: str) -> None:
    settle(retrying := claimed_job(), Event.RETRY_PLANNED, delay_ms=60_000)
    jobs = [queued_job(delay_ms=60_000), retrying.job_id, queued_job(delay_ms=60_000), queued_job(delay_ms=60_000)]
    for job_id, seconds in zip(jobs, (-1, -2, -3, 30), strict=True):
        due(journal_url, job_id, seconds)

    hints = journal.release()

    assert [hint.job_id for hint in hints] == [jobs[2], jobs[1], jobs[0]]
    assert [hint.stamp for hint in hints] == sorted(hint.stamp for hint in hints)
    assert [time_of(hint.stamp) for hint in hints] == [column(journal_url, h.job_id, "dispatched_at") for h in hints]
    assert history(journal_url, jobs[1])[-2:] == ["retry_planned", "released"]
    assert status(journal_url, jobs[3]) == "scheduled", "never early"


def test_p25_a_release_is_bounded_and_the_rest_is_left_to_the_next(journal_url: str) -> None:
    jobs = [queued_job(delay_ms=60_000) for _ in range(3)]
    for job_id in jobs:
        due(journal_url, job_id, -1)

    assert [len(journal.release(most=2)) for _ in range(3)] == [2, 1, 0]


def test_rows_that_another_keeper_releases_are_left_to_it(journal_url: str) -> None:
    due(journal_url, job_id := queued_job(delay_ms=60_000), -1)
    counts: list[int] = []

    def keep() -> None:
        with connected(journal_url):
            counts.append(len(journal.release()))

    threads = [threading.Thread(target=keep) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert sorted(counts) == [0, 0, 0, 1]
    assert history(journal_url, job_id) == ["scheduled", "released"]


def test_the_next_due_time_is_known(journal_url: str) -> None:
    assert journal.next_due() is None
    due(journal_url, queued_job(delay_ms=1), 30)
    due(journal_url, queued_job(delay_ms=60_000), 20)

    seconds = journal.next_due()

    assert seconds is not None
    assert 15 < seconds <= 20


def test_p24_only_what_was_dispatched_before_the_mark_is_lost(journal_url: str) -> None:
    a_worker(journal_url)
    lost, waiting = queued_job(), queued_job()
    age(journal_url, lost, 60)
    age(journal_url, waiting, 30)

    hints = resend(journal_url, now(journal_url) - timedelta(seconds=45))

    assert [hint.job_id for hint in hints] == [lost]
    assert (
        time_of(hints[0].stamp) == column(journal_url, lost, "dispatched_at") == column(journal_url, lost, "updated_at")
    )
    assert history(journal_url, lost) == ["enqueued", "resent"]
    assert history(journal_url, waiting) == ["enqueued"]


def test_p24_hints_are_sent_again_in_the_order_of_their_stamps(journal_url: str) -> None:
    """Also where the clock gives two of them the same microsecond."""
    a_worker(journal_url)
    opened = open_jobs(*(new_job() for _ in range(300)))
    read(
        journal_url,
        "UPDATE jobs SET dispatched_at = dispatched_at - n * interval '1 min', updated_at = updated_at - interval '1 d'"
        " FROM unnest(%s::uuid[]) WITH ORDINALITY AS u(job_id, n) WHERE id = job_id;"
        " UPDATE transitions SET at = at - interval '1 d'",
        [[job.id for job in opened]],
    )

    hints = resend(journal_url)

    assert [hint.job_id for hint in hints] == [job.id for job in opened[::-1]]
    assert [hint.stamp for hint in hints] == sorted(hint.stamp for hint in hints)


@pytest.mark.parametrize(
    "worker",
    [
        None,
        {"types": "{OTHER}"},
        {"queues": "{high}"},
        {"silent": "31 s"},
        {"stopping": True},
        {"ended": True},
    ],
    ids=["none", "of another type", "of another queue", "silent", "stopping", "ended"],
)
def test_p25_nothing_is_sent_where_no_live_worker_could_run_it(journal_url: str, worker: dict[str, Any] | None) -> None:
    if worker is not None:
        a_worker(journal_url, **worker)
    age(journal_url, job_id := queued_job())

    assert resend(journal_url) == []

    assert history(journal_url, job_id) == ["enqueued"]
    a_worker(journal_url)
    assert len(resend(journal_url)) == 1, "as soon as there is one, it is"


def test_p25_the_pause_between_two_hints_for_one_job_doubles_up_to_five_minutes(journal_url: str) -> None:
    a_worker(journal_url)
    job_id = queued_job()

    pauses = []
    for _ in range(11):
        resends = column(journal_url, job_id, "resends")
        pause = min(2**resends * _GRACE / 1000, 300)
        age(journal_url, job_id, pause - 0.5)
        assert resend(journal_url) == [], f"before {pause} s have passed"
        age(journal_url, job_id, 1)
        assert len(resend(journal_url)) == 1, f"after {pause} s"
        pauses.append(pause)

    assert pauses[:4] == [1, 2, 4, 8]
    assert pauses[-2:] == [300, 300]


def test_p25_hints_that_redis_forgot_were_not_in_vain(journal_url: str) -> None:
    a_worker(journal_url)
    job_id = queued_job()
    read(journal_url, "UPDATE jobs SET resends = 5 WHERE id = %s", [job_id])
    age(journal_url, job_id, 10)
    assert resend(journal_url) == [], "32 s must pass"
    assert resend(journal_url, forgotten_before=now(journal_url) - timedelta(seconds=11)) == [], "it was sent later"

    assert len(resend(journal_url, forgotten_before=now(journal_url) - timedelta(seconds=9))) == 1

    assert column(journal_url, job_id, "resends") == 1
    assert resend(journal_url, forgotten_before=now(journal_url) - timedelta(seconds=9)) == [], "sent after the loss"


def test_p25_a_claim_ends_the_pauses(journal_url: str) -> None:
    a_worker(journal_url)
    age(journal_url, job_id := queued_job())
    resend(journal_url)

    journal.commit([a_claim(job_id)])

    assert column(journal_url, job_id, "resends") == 0


def test_resending_a_job_for_months_does_not_overflow(journal_url: str) -> None:
    a_worker(journal_url)
    age(journal_url, job_id := queued_job(), 1_000)
    read(journal_url, "UPDATE jobs SET resends = 100000")

    assert [hint.job_id for hint in resend(journal_url)] == [job_id]


def test_p7_overlapping_batches_of_several_connections_do_not_deadlock(journal_url: str) -> None:
    """Each gives back what it held and claims what others may hold. Without the order of locks, most runs deadlock."""
    jobs = [queued_job() for _ in range(12)]
    held: dict[int, list[Settle]] = defaultdict(list)

    def act(chance: random.Random) -> None:
        mine = threading.get_ident()
        claims = [a_claim(job_id) for job_id in chance.sample(jobs, 6)]
        answers, _ = journal.commit([*claims, *held[mine]])
        claimed = [(c, a.attempt) for c, a in zip(claims, answers, strict=False) if isinstance(a, Claimed)]
        held[mine] = [outcome(claim, Event.INTERRUPTED, attempt) for claim, attempt in claimed]

    crowd = Crowd(journal_url)
    crowd.add(4, act, until=lambda done: done == 60)
    crowd.join()

    assert read(journal_url, "SELECT count(*) > 60 FROM transitions WHERE event = 'interrupted'") == [(True,)]


def test_p7_the_keepers_statements_do_not_deadlock_with_the_writers_batches(journal_url: str) -> None:
    a_worker(journal_url)
    jobs = [new_job(delay_ms=0) for _ in range(40)]
    open_jobs(*jobs)
    over = threading.Event()

    def claim_and_plan(chance: random.Random) -> None:
        claims = [a_claim(job.id) for job in chance.sample(jobs, 10)]
        answers, _ = journal.commit(claims)
        claimed = [(c, a.attempt) for c, a in zip(claims, answers, strict=True) if isinstance(a, Claimed)]
        journal.commit([outcome(claim, Event.RETRY_PLANNED, attempt) for claim, attempt in claimed])

    def keep(_: random.Random) -> None:
        journal.release()
        journal.resend("default", datetime.now(UTC), 0)

    keepers, workers = Crowd(journal_url), Crowd(journal_url)
    keepers.add(2, keep, until=lambda _: over.is_set())
    workers.add(3, claim_and_plan, until=lambda done: done == 40)
    workers.join()
    over.set()
    keepers.join()

    assert read(journal_url, "SELECT count(*) > 40 FROM transitions WHERE event = 'started'") == [(True,)]
