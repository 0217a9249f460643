"""Actions: cancelling and retrying whatever fits a filter, batch by batch, whoever dies meanwhile."""

import threading
from contextlib import closing
from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg2
import pytest

from jobplatform import bulk, journal
from jobplatform.bulk import Count
from jobplatform.journal import Cancel, RecordAction, actions
from jobplatform.journal.actions import CANCEL
from jobplatform.keeper import Keeper
from jobplatform.models import database
from jobplatform.queries.filter import JobFilter
from jobplatform.queries.likeness import Likeness
from jobplatform.queries.search import Search
from jobplatform.states import Event, Status
from tests.services.journal import claimed_job, history, new_job, open_jobs, queued_job, read, settle, status
from tests.services.patience import eventually
from tests.services.workshop import Workshop

ALL = JobFilter()
RETRY = "retry"


def act(kind: str, which: JobFilter = ALL, **given: Any) -> str:
    """Put an action on record, and give its id."""
    item = RecordAction(kind, bulk.filter_json(which), bulk.count(kind, which).matched, **given)
    journal.commit([item])
    return item.id


def finish(most: int = 500) -> list[int]:
    """Do batches until nothing is left to do. Returns what each one changed."""
    changed = []
    while (batch := bulk.do_next_batch(most)).more:
        changed.append(batch.changed)
    return changed


def action(url: str, action_id: str) -> dict[str, Any]:
    names = ("matched", "done", "changed", "position", "finished", "error")
    columns = "matched, done, changed, position, finished_at IS NOT NULL, error"
    return dict(zip(names, read(url, f"SELECT {columns} FROM actions WHERE id = %s", [action_id])[0], strict=True))


def count(url: str, status: str) -> int:
    ((number,),) = read(url, "SELECT count(*) FROM jobs WHERE status = %s", [status])
    return int(number)


def test_all_that_fit_are_cancelled_on_record_and_no_other(journal_url: str) -> None:
    wanted = [queued_job(type="OTHER") for _ in range(3)]
    spared = queued_job()
    settle(done := claimed_job(type="PROBE"))
    running = claimed_job()

    action_id = act(CANCEL, JobFilter(types=("OTHER",)), who="ada", reason="wrong data", request_id="r-1")
    finish()

    assert action(journal_url, action_id) == {
        "matched": 3, "done": 3, "changed": 3, "position": None, "finished": True, "error": None
    }  # fmt: skip
    assert [history(journal_url, job_id)[-1] for job_id in wanted] == ["cancelled"] * 3
    assert {status(journal_url, i) for i in (spared, done.job_id, running.job_id)} == {"queued", "completed", "running"}
    assert read(
        journal_url, "SELECT DISTINCT who, request_id, detail::text FROM transitions WHERE event = 'cancelled'"
    ) == [("ada", "r-1", '{"reason" : "wrong data"}')]


def test_only_unfinished_jobs_are_cancelled_and_running_ones_asked(journal_url: str) -> None:
    queued_job(delay_ms=60_000)
    settle(claimed_job(), Event.RETRY_PLANNED, delay_ms=60_000)
    running = claimed_job()
    for end in (Event.COMPLETED, Event.FAILED, Event.CANCELLED):
        settle(claimed_job(), end)

    assert bulk.count(CANCEL, ALL) == Count(3, False)
    act(CANCEL)
    finish()

    assert count(journal_url, "cancelled") == 3
    assert history(journal_url, running.job_id)[-1] == "cancel_requested"


def test_only_failed_and_cancelled_jobs_are_retried_with_their_hints(journal_url: str) -> None:
    for end in (Event.COMPLETED, Event.FAILED, Event.CANCELLED):
        settle(claimed_job(), end)
    queued_job()

    action_id = act(RETRY)
    batch = bulk.do_next_batch()

    assert (batch.changed, len(batch.hints)) == (2, 2)
    finish()
    assert action(journal_url, action_id)["done"] == 2
    assert count(journal_url, "queued") == 3
    assert bulk.count(RETRY, JobFilter(statuses=(Status.COMPLETED,))) == Count(0, False)


def test_a_filter_that_no_such_job_can_fit_does_nothing(journal_url: str) -> None:
    settle(claimed_job())

    action_id = act(CANCEL, JobFilter(statuses=(Status.COMPLETED,)))
    finish()

    assert action(journal_url, action_id) == {
        "matched": 0, "done": 0, "changed": 0, "position": None, "finished": True, "error": None
    }  # fmt: skip
    assert count(journal_url, "completed") == 1


def test_a_large_action_goes_on_batch_by_batch_and_meets_each_job_once(journal_url: str) -> None:
    open_jobs(*(new_job(tags=["mine"] if n % 2 else []) for n in range(60)))
    action_id = act(CANCEL, JobFilter(tag="mine"))

    batch = bulk.do_next_batch(7)

    assert (batch.changed, action(journal_url, action_id)["finished"]) == (7, False)
    assert action(journal_url, action_id)["done"] == 7
    assert sum(finish(7)) == 23
    assert action(journal_url, action_id) == {
        "matched": 30, "done": 30, "changed": 30, "position": None, "finished": True, "error": None
    }  # fmt: skip


def test_jobs_that_come_after_the_action_are_none_of_it(journal_url: str) -> None:
    queued_job()
    act(CANCEL)
    later = queued_job()

    finish()

    assert status(journal_url, later) == "queued"
    assert count(journal_url, "cancelled") == 1


def test_a_group_of_failures_is_retried_and_no_other_job(journal_url: str) -> None:
    errors = [f'{{"kind":"error","type":"OSError","message":"{said}"}}' for said in ("at 1", "at 2", "elsewhere")]
    claims = [claimed_job() for _ in errors]
    for claim, error in zip(claims, errors, strict=True):
        settle(claim, Event.FAILED, error=error)
    which = JobFilter(statuses=(Status.FAILED,), failure=Likeness("error", "OSError", "at <n>"))

    action_id = act(RETRY, which, reason="it is back")
    finish(1)

    assert action(journal_url, action_id)["changed"] == 2
    retried = read(journal_url, "SELECT job_id::text FROM transitions WHERE event = 'resubmitted' ORDER BY id")
    assert retried == [(claim.job_id,) for claim in claims[:2]]


def test_a_job_that_fails_again_is_not_retried_by_the_same_action(journal_url: str) -> None:
    for _ in range(4):
        settle(claimed_job(), Event.FAILED)
    act(RETRY)

    bulk.do_next_batch(2)
    journal.commit([Cancel(job_id) for (job_id,) in read(journal_url, "SELECT id::text FROM jobs")])
    finish(2)

    assert read(journal_url, "SELECT count(*) FROM transitions WHERE event = 'resubmitted'") == [(4,)]


@pytest.mark.parametrize(
    "which",
    [
        JobFilter(statuses=(Status.QUEUED, Status.FAILED), types=("PROBE",), priority="high", tag="a"),
        JobFilter(search=Search("$.n=1"), created_after=datetime(2020, 1, 31, tzinfo=UTC)),
        JobFilter(created_before=datetime.now(UTC) - timedelta(days=1), search=Search('"ü')),
        JobFilter(failure=Likeness("error", "KeyError", "<text>"), finished_after=datetime(2020, 1, 31, tzinfo=UTC)),
    ],
)
def test_a_filter_is_kept_as_it_was_given(which: JobFilter) -> None:
    assert bulk._filter(bulk.filter_json(which)) == which


def test_who_dies_amid_a_batch_leaves_it_to_another_and_nothing_is_counted_twice(
    journal_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    open_jobs(*(new_job() for _ in range(10)))
    action_id = act(CANCEL)
    bulk.do_next_batch(4)

    def dies(*_: object) -> None:
        database.execute_sql("SELECT pg_terminate_backend(pg_backend_pid())")

    with monkeypatch.context() as patched:
        patched.setattr(actions, "note", dies)
        with pytest.raises(Exception, match="connection"):
            bulk.do_next_batch(4)
    database.close()
    assert count(journal_url, "cancelled") == 4

    finish(4)

    assert action(journal_url, action_id) == {
        "matched": 10, "done": 10, "changed": 10, "position": None, "finished": True, "error": None
    }  # fmt: skip
    assert read(journal_url, "SELECT count(*) FROM transitions WHERE event = 'cancelled'") == [(10,)]


def test_two_keepers_never_do_one_action_together(journal_url: str) -> None:
    open_jobs(*(new_job() for _ in range(4)))
    first, second = act(CANCEL, JobFilter(priority="default")), act(CANCEL, JobFilter(priority="high"))
    with closing(psycopg2.connect(journal_url)) as other, other.cursor() as cursor:
        cursor.execute("SELECT 1 FROM actions WHERE id = %s FOR UPDATE", [first])

        assert bulk.do_next_batch().more, "the other action"
        assert bulk.do_next_batch() == bulk.NOTHING

    assert action(journal_url, second)["finished"]
    assert not action(journal_url, first)["finished"]
    finish()
    assert count(journal_url, "cancelled") == 4


@pytest.mark.parametrize(
    ("spoil", "why"),
    [
        ({"filter": '{"status": ["odd"]}'}, "It cannot be done: 'odd' is not a valid Status"),
        ({"filter": '{"type": ["PROBE"], "color": "red"}'}, "It cannot be done: Object contains unknown field `color`"),
        ({"filter": '{"type": "PROBE"}'}, "It cannot be done: Expected `array`, got `str`"),
        ({"filter": '["PROBE"]'}, "It cannot be done: Expected `object`, got `array`"),
        ({"filter": '{"failure": "x"}'}, "It cannot be done: must be a failure as GET /failures names it"),
        ({"filter": '{"tag": "\\ud800"}'}, "It cannot be done: Input data was truncated"),
        ({"position": '["2020-01-01T00:00:00+00:00", "no uuid"]'}, "It cannot be done: invalid input syntax for type"),
    ],
    ids=["no status", "unknown word", "no list", "no object", "no failure", "no text", "no id"],
)
def test_an_action_that_cannot_be_done_ends_says_why_and_holds_nothing_up(
    journal_url: str, caplog: pytest.LogCaptureFixture, spoil: dict[str, str], why: str
) -> None:
    queued_job()
    spoilt = act(CANCEL, JobFilter(types=("PROBE",)))
    ((name, value),) = spoil.items()
    read(journal_url, f"UPDATE actions SET {name} = %s WHERE id = %s", [value, spoilt])
    sound = act(CANCEL)

    finish()

    ended = action(journal_url, spoilt)
    error = ended.pop("error")
    assert ended == {"matched": 1, "done": 0, "changed": 0, "position": None, "finished": True}
    assert error.startswith(why)
    assert "LINE" not in error
    assert action(journal_url, sound)["changed"] == 1
    assert "cannot be done" in caplog.text


def test_a_batch_that_takes_too_long_ends_its_action(journal_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    queued_job()
    action_id = act(CANCEL)

    def takes_long(*_: object) -> None:
        database.execute_sql("SET LOCAL statement_timeout = 10; SELECT pg_sleep(5)")

    monkeypatch.setattr(actions, "do_to", takes_long)
    finish()

    assert action(journal_url, action_id)["error"] == "A batch took longer than Postgres was given for it."


def test_p4_an_action_whose_answer_was_lost_is_on_record_once(journal_url: str) -> None:
    item = RecordAction(CANCEL, "{}", 0)

    assert journal.commit([item])[0] == journal.commit([item])[0]

    assert read(journal_url, "SELECT count(*) FROM actions") == [(1,)]


def test_a_count_is_given_up_where_very_many_fit(journal_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bulk, "MOST_COUNTED", 10)
    monkeypatch.setattr(bulk, "_PAGE", 5)
    open_jobs(*(new_job() for _ in range(12)))

    assert bulk.count(CANCEL, ALL) == Count(10, True)
    assert bulk.count(CANCEL, JobFilter(priority="high")) == Count(0, False)
    assert read(journal_url, "SELECT count(*) FROM actions") == [(0,)]


def test_of_jobs_with_one_unique_key_a_retry_brings_back_one(journal_url: str) -> None:
    for _ in range(3):
        journal.commit([Cancel(queued_job(unique_key="nightly"))])
    action_id = act(RETRY)

    finish()

    assert action(journal_url, action_id) == {
        "matched": 3, "done": 3, "changed": 1, "position": None, "finished": True, "error": None
    }  # fmt: skip
    assert (count(journal_url, "queued"), count(journal_url, "cancelled")) == (1, 2)


def test_a_batch_that_ends_a_deadlock_is_done_again(journal_url: str) -> None:
    """One holds the key and wants the row, the batch holds the row and wants the key."""
    rival = queued_job(unique_key="nightly")
    journal.commit([Cancel(rival)])
    job_id = queued_job(unique_key="nightly", tags=["mine"])
    journal.commit([Cancel(job_id)])
    action_id = act(RETRY, JobFilter(tag="mine"))
    with closing(psycopg2.connect(journal_url)) as other, other.cursor() as cursor:
        cursor.execute("SET deadlock_timeout = '1min'")  # so it is the batch that Postgres ends
        cursor.execute("UPDATE jobs SET status = 'queued', finished_at = NULL WHERE id = %s", [rival])

        def want_the_row() -> None:
            waits = "SELECT count(*) FROM pg_locks WHERE NOT granted AND locktype = 'transactionid'"
            eventually(lambda: read(journal_url, waits)[0][0], what="the batch waiting for the key")
            cursor.execute("SELECT 1 FROM jobs WHERE id = %s FOR UPDATE", [job_id])

        thread = threading.Thread(target=want_the_row)
        thread.start()
        batch = bulk.do_next_batch()
        thread.join()
        other.rollback()

    assert batch == bulk.Batch(0, True, [])
    finish()
    assert action(journal_url, action_id)["changed"] == 1
    assert (status(journal_url, rival), status(journal_url, job_id)) == ("cancelled", "queued")


def test_keepers_do_what_is_asked_for_beside_each_other(workshop: Workshop) -> None:
    url = workshop.settings.database_url
    open_jobs(*(new_job() for _ in range(1_200)))
    ids = [act(CANCEL, JobFilter(priority=priority)) for priority in ("default", "high")]
    keepers = [Keeper(workshop.settings) for _ in range(2)]

    def keep(keeper: Keeper) -> None:
        while not all(action(url, action_id)["finished"] for action_id in ids):
            keeper.tick()
        database.close()

    threads = [threading.Thread(target=keep, args=[keeper]) for keeper in keepers]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)

    assert count(url, "cancelled") == 1_200
    assert action(url, ids[0])["done"] == 1_200
