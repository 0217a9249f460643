"""Accepting jobs under keys: once, whoever asks how often, from wherever, and whatever is lost on the way."""

import threading
from collections.abc import Iterator
from typing import Any

import pytest

from jobplatform import journal
from jobplatform.errors import IdempotencyKeyReused, UniqueKeyTaken
from jobplatform.journal import Accepted, Cancel, Open, Opened, OpenOnce, Present
from jobplatform.journal.open_once import MOST_REQUESTS
from jobplatform.models import database
from tests.services.journal import a_claim, claimed_job, connected, history, new_job, read
from tests.services.open_once import ask, ids, in_threads, key, number_of_jobs, unique
from tests.services.patience import eventually


@pytest.fixture
def url(journal_url: str) -> Iterator[str]:
    yield journal_url
    held_twice = (
        "SELECT 1 FROM jobs WHERE status NOT IN ('completed', 'failed', 'cancelled') AND unique_key IS NOT NULL"
    )
    assert read(journal_url, f"{held_twice} GROUP BY type, unique_key HAVING count(*) > 1") == []


def test_a_request_under_a_key_is_accepted_like_any_other(url: str) -> None:
    job = new_job(who="ada", request_id="the-request", tags=("a", "b"))

    (answer,), (hint,) = journal.commit([OpenOnce([job], key())])

    assert answer == Accepted([Opened(job.id, "queued", answer.jobs[0].created_at, None)], replayed=False)
    assert hint.job_id == job.id
    assert read(url, "SELECT event, who, request_id FROM transitions") == [("enqueued", "ada", "the-request")]
    assert read(url, "SELECT tag FROM job_tags ORDER BY tag") == [("a",), ("b",)]


def test_the_same_request_again_gets_the_jobs_of_the_first(url: str) -> None:
    first, second = new_job(), new_job()
    ask(first, second, under=key())

    (answer,), hints = journal.commit([OpenOnce([new_job(), new_job()], key())])

    assert (answer, hints) == (Accepted([Present(first.id), Present(second.id)], replayed=True), [])
    assert number_of_jobs(url) == 2


def test_another_request_under_the_same_key_is_refused(url: str) -> None:
    ask(new_job(), under=key())

    answer = ask(new_job(), under=key(fingerprint="other"))

    assert isinstance(answer, IdempotencyKeyReused)
    assert number_of_jobs(url) == 1


@pytest.mark.usefixtures("url")
def test_each_has_keys_of_their_own() -> None:
    first = ask(new_job(), under=key(who="ada"))
    second = ask(new_job(), under=key(who="bob", fingerprint="other"))

    assert not first.replayed
    assert not second.replayed


def test_an_expired_key_counts_as_absent_and_is_kept_anew(url: str) -> None:
    ask(new_job(), under=key(fingerprint="long ago"))
    read(url, "UPDATE idempotency_keys SET expires_at = clock_timestamp()")

    accepted = ask(job := new_job(), under=key())
    replayed = ask(new_job(), under=key())

    assert (ids(accepted), ids(replayed), replayed.replayed) == ([job.id], [job.id], True)
    assert number_of_jobs(url) == 2


def test_a_key_expires_when_it_was_said_to(url: str) -> None:
    ask(new_job(), under=key(ttl=60_000))

    ((seconds,),) = read(url, "SELECT extract(epoch FROM expires_at - clock_timestamp())::float8 FROM idempotency_keys")

    assert 30 < seconds <= 60


def test_a_key_under_which_nothing_was_accepted_is_not_taken(url: str) -> None:
    holder = unique()
    ask(holder)
    assert isinstance(ask(unique(), under=key()), UniqueKeyTaken)
    journal.commit([Cancel(holder.id)])

    accepted = ask(job := unique(), under=key())

    assert ids(accepted) == [job.id]
    assert read(url, "SELECT job_ids::text[] FROM idempotency_keys") == [([job.id],)]


def test_twins_in_one_commit_are_one_job(url: str) -> None:
    job = new_job()

    (first, second, third), _ = journal.commit(
        [OpenOnce([job], key()), OpenOnce([new_job()], key()), OpenOnce([new_job()], key(fingerprint="other"))]
    )

    assert (ids(first), first.replayed) == ([job.id], False)
    assert second == Accepted([Present(job.id)], replayed=True)
    assert isinstance(third, IdempotencyKeyReused)
    assert number_of_jobs(url) == 1


def test_fifty_at_once_over_as_many_connections_are_one_job(url: str) -> None:
    answers = in_threads(url, 50, lambda _: ask(new_job(), under=key()))

    assert sorted(answer.replayed for answer in answers) == [False] + [True] * 49
    assert len({tuple(ids(answer)) for answer in answers}) == 1
    assert read(url, "SELECT event FROM transitions") == [("enqueued",)]


def test_p4_a_repeat_after_a_lost_answer_finds_what_its_first_try_did(url: str) -> None:
    """Its commit was done, its answer was lost, and the job may have gone on since."""
    item = OpenOnce([new_job(), new_job()], key())
    (first,), _ = journal.commit([item])
    journal.commit([a_claim(item.jobs[1].id)])

    (again,), hints = journal.commit([item])

    assert (ids(again), again.replayed) == (ids(first), False)
    assert [job.status for job in again.jobs] == ["queued", "running"]
    assert [hint.job_id for hint in hints] == [item.jobs[0].id], "the first try may not have sent it"
    assert number_of_jobs(url) == 2


def test_p4_a_repeat_waits_for_its_own_first_try_that_is_still_under_way(
    url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    item = OpenOnce([new_job()], key())
    answers = []

    def second_try() -> None:
        with connected(url):
            answers.extend(journal.commit([item])[0])

    execute_sql: Any = database.execute_sql

    def before_the_commit(sql: str, *given: Any) -> Any:
        if "COMMIT" in sql:
            monkeypatch.undo()
            thread.start()
            waits = "SELECT 1 FROM pg_stat_activity WHERE datname = current_database() AND wait_event = 'advisory'"
            eventually(lambda: read(url, waits), what="the second try to wait for the first")
        return execute_sql(sql, *given)

    thread = threading.Thread(target=second_try)
    monkeypatch.setattr(database, "execute_sql", before_the_commit)
    (first,), _ = journal.commit([item])
    thread.join()

    assert answers == [first]
    assert number_of_jobs(url) == 1


def test_more_requests_than_one_transaction_takes_are_all_answered_in_their_order(url: str) -> None:
    jobs = [new_job() for _ in range(2 * MOST_REQUESTS + 1)]

    answers, hints = journal.commit([OpenOnce([job], key(str(n))) for n, job in enumerate(jobs)])

    assert [ids(answer) for answer in answers] == [[job.id] for job in jobs]
    assert [hint.job_id for hint in hints] == [job.id for job in jobs]
    assert read(url, "SELECT count(*), count(DISTINCT xmin::text) FROM jobs") == [(len(jobs), 3)]


def test_items_with_and_without_keys_share_a_commit_and_are_answered_in_their_order(url: str) -> None:
    claim = claimed_job()
    plain, keyed = new_job(), new_job()

    answers, hints = journal.commit([Open([plain]), Cancel(claim.job_id), OpenOnce([keyed], key())])

    assert [type(answer).__name__ for answer in answers] == ["list", "CancelAnswer", "Accepted"]
    assert {hint.job_id for hint in hints} == {plain.id, keyed.id}
    assert history(url, claim.job_id)[-1] == "cancel_requested"


def test_expired_keys_are_forgotten_in_bounded_steps(url: str) -> None:
    journal.commit([OpenOnce([new_job()], key(str(number))) for number in range(5)])
    read(url, "UPDATE idempotency_keys SET expires_at = clock_timestamp() WHERE key <> '4'")

    assert [journal.forget_expired(3) for _ in range(3)] == [3, 1, 0]
    assert read(url, "SELECT key FROM idempotency_keys") == [("4",)]


# Unique keys
