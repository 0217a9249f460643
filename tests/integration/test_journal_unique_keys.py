"""Unique keys: among the unfinished jobs of a type each comes once, whoever wants it and however many at once."""

import threading
from collections.abc import Iterator, Sequence
from typing import Any

import pytest

from jobplatform import journal
from jobplatform.errors import JobIdTaken, UniqueKeyTaken
from jobplatform.journal import Accepted, Cancel, Opened, OpenOnce, Present
from jobplatform.models import database
from jobplatform.states import Event
from tests.services.journal import a_claim, connected, history, new_job, read, settle, status
from tests.services.open_once import ask, ids, in_threads, key, number_of_jobs, reason, unique
from tests.services.patience import eventually


@pytest.fixture
def url(journal_url: str) -> Iterator[str]:
    yield journal_url
    held_twice = (
        "SELECT 1 FROM jobs WHERE status NOT IN ('completed', 'failed', 'cancelled') AND unique_key IS NOT NULL"
    )
    assert read(journal_url, f"{held_twice} GROUP BY type, unique_key HAVING count(*) > 1") == []


def test_a_unique_key_is_free_again_when_its_job_has_finished(url: str) -> None:
    first, second = unique(), unique()
    ask(first)
    claim = a_claim(first.id)
    journal.commit([claim])
    settle(claim)

    assert ids(ask(second)) == [second.id]
    assert read(url, "SELECT unique_key FROM jobs") == [("the one",)] * 2


@pytest.mark.usefixtures("url")
def test_a_unique_key_is_one_of_its_type() -> None:
    ask(unique())

    assert isinstance(ask(unique(type="OTHER")), Accepted)


@pytest.mark.parametrize("event", [None, Event.RETRY_PLANNED, Event.INTERRUPTED])
def test_as_long_as_its_holder_is_unfinished_another_is_rejected(url: str, event: Event | None) -> None:
    holder = unique()
    ask(holder)
    claim = a_claim(holder.id)
    journal.commit([claim])
    if event:
        settle(claim, event, delay_ms=60_000)

    taken = ask(unique())

    assert isinstance(taken, UniqueKeyTaken)
    assert taken.holders == {0: holder.id}
    assert number_of_jobs(url) == 1


def test_one_that_wants_it_returned_gets_the_holder(url: str) -> None:
    holder = unique()
    ask(holder)

    assert ask(unique("return")) == Accepted([Present(holder.id)], replayed=False)
    assert number_of_jobs(url) == 1


@pytest.mark.parametrize("delay_ms", [None, 60_000])
def test_a_waiting_holder_is_cancelled_for_one_that_replaces_it(url: str, delay_ms: int | None) -> None:
    holder = unique(delay_ms=delay_ms)
    ask(holder)
    job = unique("replace", who="ada", request_id="the-request")

    assert ids(ask(job)) == [job.id]
    assert (status(url, holder.id), status(url, job.id)) == ("cancelled", "queued")
    assert reason(url, holder.id) == [("ada", f"replaced by {job.id}", "the-request")]


def test_a_running_holder_is_neither_replaced_nor_asked_to_stop(url: str) -> None:
    holder = unique()
    ask(holder)
    journal.commit([a_claim(holder.id)])

    taken = ask(unique("replace"))

    assert isinstance(taken, UniqueKeyTaken)
    assert history(url, holder.id) == ["enqueued", "started"]


@pytest.mark.parametrize(
    ("meanwhile", "outcome", "ends"),
    [("start", UniqueKeyTaken, "running"), ("cancel", Accepted, "cancelled"), ("nothing", Accepted, "cancelled")],
)
def test_p7_what_happens_to_a_holder_while_it_is_looked_up_counts(
    url: str, meanwhile: str, outcome: type[Any], ends: str
) -> None:
    """Another's transaction has the holder's row: the replacing one waits for it, and decides by what it then is."""
    holder, job = unique(), unique("replace", who="ada")
    ask(holder)
    answers = []

    def replace() -> None:
        with connected(url):
            answers.append(ask(job))

    thread = threading.Thread(target=replace)
    database.execute_sql("BEGIN")
    database.execute_sql("SELECT 1 FROM jobs WHERE id = %s FOR UPDATE", (holder.id,))
    thread.start()
    waits = "SELECT 1 FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
    eventually(lambda: read(url, waits), what="the replacing one to wait")
    if meanwhile == "start":
        journal.claim.STATEMENT.execute(list(a_claim(holder.id).rows()))
    elif meanwhile == "cancel":
        journal.cancel.STATEMENT.execute(list(Cancel(holder.id, "bob", "changed his mind").rows()))
    database.execute_sql("COMMIT")
    thread.join()

    (answer,) = answers
    assert isinstance(answer, outcome)
    assert status(url, holder.id) == ends
    assert [who for who, *_ in reason(url, holder.id)] == {"start": [], "cancel": ["bob"], "nothing": ["ada"]}[
        meanwhile
    ]


def test_twins_in_one_commit_replace_each_other_in_their_order(url: str) -> None:
    jobs = [unique("replace") for _ in range(4)]

    answers, _ = journal.commit([OpenOnce([job]) for job in jobs])

    assert [ids(answer) for answer in answers] == [[job.id] for job in jobs]
    assert [status(url, job.id) for job in jobs] == ["cancelled"] * 3 + ["queued"]
    assert [reason(url, job.id)[0][1] for job in jobs[:3]] == [f"replaced by {job.id}" for job in jobs[1:]]


def test_twins_in_one_commit_see_each_other_whatever_they_want(url: str) -> None:
    first, second, third, fourth = unique(), unique(), unique("return"), unique("replace")

    answers, _ = journal.commit([OpenOnce([job]) for job in (first, second, third, fourth)])

    assert ids(answers[0]) == [first.id]
    assert answers[1].holders == {0: first.id}
    assert answers[2] == Accepted([Present(first.id)])
    assert ids(answers[3]) == [fourth.id]
    assert (status(url, first.id), status(url, fourth.id)) == ("cancelled", "queued")


def test_a_batch_is_accepted_whole_or_not_at_all_and_every_holder_is_named(url: str) -> None:
    holders = [new_job(unique_key=name) for name in ("a", "b")]
    for holder in holders:
        ask(holder)

    taken = ask(
        new_job(unique_key="a"), new_job(), new_job(unique_key="c"), new_job(unique_key="b"), new_job(unique_key="c")
    )

    assert isinstance(taken, UniqueKeyTaken)
    assert {place: holder for place, holder in taken.holders.items() if place < 4} == {
        0: holders[0].id,
        3: holders[1].id,
    }
    assert 4 in taken.holders, "and a batch cannot hold one key twice"
    assert number_of_jobs(url) == 2


def test_a_batch_may_hold_jobs_that_were_there_already(url: str) -> None:
    holder = unique()
    ask(holder)
    before, after = new_job(), new_job()

    accepted = ask(before, unique("return"), after, under=key())
    replayed = ask(new_job(), unique("return"), new_job(), under=key())

    assert ids(accepted) == ids(replayed) == [before.id, holder.id, after.id]
    assert [type(job) for job in accepted.jobs] == [Opened, Present, Opened]
    assert replayed.replayed
    assert number_of_jobs(url) == 3


def test_p4_a_repeat_finds_its_own_jobs_though_another_holds_the_unique_key_by_now(url: str) -> None:
    item = OpenOnce([unique("replace")])
    journal.commit([item])
    ask(other := unique("replace"))

    (again,), _ = journal.commit([item])

    assert ids(again) == [item.jobs[0].id]
    assert (again.jobs[0].status, status(url, other.id)) == ("cancelled", "queued")


def test_p4_a_repeated_replacement_replaces_nothing_more(url: str) -> None:
    ask(holder := unique())
    item = OpenOnce([unique("replace")])
    journal.commit([item])

    journal.commit([item])

    assert history(url, holder.id) == ["enqueued", "cancelled"]
    assert history(url, item.jobs[0].id) == ["enqueued"]


@pytest.mark.usefixtures("url")
def test_somebody_elses_id_is_taken() -> None:
    ask(job := unique())

    with pytest.raises(JobIdTaken):
        ask(new_job(id=job.id, payload="[]"), under=key())


def test_a_job_that_takes_its_unique_key_back_without_a_lock_is_seen_at_the_second_try(url: str) -> None:
    """Whoever queues a finished job again holds no lock for its key: the index lets one of the two wait."""
    ask(finished := unique())
    journal.commit([Cancel(finished.id)])
    answers: list[Any] = []

    def replace() -> None:
        with connected(url):
            answers.append(ask(unique()))

    thread = threading.Thread(target=replace)
    database.execute_sql("BEGIN")
    database.execute_sql(
        "WITH it AS (UPDATE jobs SET status = 'queued', finished_at = NULL, dispatched_at = clock_timestamp(),"
        " updated_at = clock_timestamp() WHERE id = %s RETURNING *)"
        " INSERT INTO transitions (job_id, event, from_status, to_status, attempt, at)"
        " SELECT id, 'resubmitted', 'cancelled', 'queued', attempts, updated_at FROM it",
        (finished.id,),
    )
    thread.start()
    waits = "SELECT 1 FROM pg_stat_activity WHERE datname = current_database() AND wait_event = 'transactionid'"
    eventually(lambda: read(url, waits), what="the index to let the second one wait")
    database.execute_sql("COMMIT")
    thread.join()

    (taken,) = answers
    assert isinstance(taken, UniqueKeyTaken)
    assert taken.holders == {0: finished.id}


@pytest.mark.parametrize("on_conflict", ["reject", "return", "replace"])
def test_many_at_once_over_many_connections_leave_one_unfinished(url: str, on_conflict: str) -> None:
    answers = in_threads(url, 20, lambda _: ask(unique(on_conflict)))

    opened = [answer for answer in answers if isinstance(answer, Accepted) and isinstance(answer.jobs[0], Opened)]
    assert len(opened) == (20 if on_conflict == "replace" else 1)
    assert read(url, "SELECT count(*) FROM jobs WHERE status = 'queued'") == [(1,)]


def test_p7_batches_that_want_the_same_keys_in_opposite_orders_do_not_deadlock(url: str) -> None:
    names = [f"key-{number}" for number in range(20)]

    def replace_all(place: int) -> list[Any]:
        order: Sequence[str] = names if place % 2 else names[::-1]
        return [
            ask(*(new_job(unique_key=name, on_conflict="replace") for name in order), under=key(f"{place}-{turn}"))
            for turn in range(4)
        ]

    answers = [answer for of_thread in in_threads(url, 6, replace_all) for answer in of_thread]

    assert all(isinstance(answer, Accepted) and not answer.replayed for answer in answers)
    assert read(url, "SELECT status, count(*) FROM jobs GROUP BY status ORDER BY status") == [
        ("cancelled", 23 * 20),
        ("queued", 20),
    ]
