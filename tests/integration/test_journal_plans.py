"""What statements and looks cost: they find jobs by their ids, or in order, whatever Postgres believes of them."""

from collections.abc import Callable, Iterator
from uuid import uuid4

import pytest

from jobplatform import journal
from jobplatform.journal import Accepted, Cancel, Claim, Claimed, OpenOnce, Present, Resubmit, Settle
from jobplatform.journal.notes import Progress
from jobplatform.models import database
from jobplatform.queries.glance import glance
from jobplatform.queries.queues import queues
from jobplatform.states import Event
from tests.services.journal import SUSPECT_FROM, new_job, open_jobs, read
from tests.services.waiting_jobs import Analyzed, fill

#: So many wait, and as many run.
MANY = 20_000

#: The worker of these tests: `fill` puts it on record.
ALIVE = 7

_READ = """
    SELECT (SELECT sum(idx_tup_read) FROM pg_stat_user_indexes WHERE relname = 'jobs')
         + (SELECT seq_tup_read FROM pg_stat_user_tables WHERE relname = 'jobs')
"""
_STATUSES = "SELECT status, count(*) FROM jobs WHERE id = ANY(%s::uuid[]) GROUP BY status"
_CALL_OFF = """
    UPDATE jobs SET status = 'cancelled', finished_at = now() WHERE id IN (
        SELECT id FROM jobs WHERE status = 'queued' LIMIT 5000)
"""


@pytest.fixture(autouse=True)
def _emptied(journal_url: str) -> Iterator[None]:
    """Jobs that were written straight into the table have no history, as others must have."""
    yield
    read(journal_url, "TRUNCATE jobs, transitions, workers, job_logs")


@pytest.fixture
def rows_read(journal_url: str) -> Callable[[], int]:
    """How many rows of jobs, and entries of their indexes, all sessions have gone through."""

    def so_far() -> int:
        # What this thread's connection has done counts as soon as it says so.
        database.execute_sql("SELECT pg_stat_force_next_flush()")
        ((rows,),) = read(journal_url, _READ)
        return int(rows)

    return so_far


def claim(job_id: str) -> Claim:
    return Claim(job_id, "PROBE", str(uuid4()), ALIVE, SUSPECT_FROM)


@pytest.mark.parametrize("together", [1, 100])
def test_no_statement_goes_through_the_jobs_that_wait(
    journal_url: str, rows_read: Callable[[], int], together: int
) -> None:
    """As few, which are prepared, and as many, which are planned each time."""
    fill(journal_url, MANY, Analyzed.WHEN_NONE_WAITED, running=MANY)
    read(journal_url, _CALL_OFF)
    jobs = [opened.id for opened in open_jobs(*[new_job() for _ in range(2 * together)])]
    some, others = jobs[:together], jobs[together:]
    claims = [claim(job_id) for job_id in some]
    before = rows_read()

    claimed, _ = journal.commit(claims)
    after_claim = rows_read()
    assert all(isinstance(answer, Claimed) for answer in claimed)
    journal.commit([Progress(one.job_id, 1, one.token, "{}") for one in claims])
    after_progress = rows_read()
    journal.commit([Settle(c.job_id, "PROBE", "default", 1, c.token, ALIVE, Event.COMPLETED, "{}") for c in claims])
    after_settle = rows_read()
    journal.commit([Cancel(job_id) for job_id in others])
    after_cancel = rows_read()
    journal.commit([Resubmit(job_id) for job_id in others])
    after_resubmit = rows_read()

    costs = {
        "claim": after_claim - before,
        "progress": after_progress - after_claim,
        "settle": after_settle - after_progress,
        "cancel": after_cancel - after_settle,
        "resubmit": after_resubmit - after_cancel,
    }
    assert dict(read(journal_url, _STATUSES, [jobs])) == {"completed": together, "queued": together}
    assert {name: cost for name, cost in costs.items() if cost > 500 + 10 * together} == {}


def test_no_unique_key_is_looked_for_among_the_jobs_that_wait(journal_url: str, rows_read: Callable[[], int]) -> None:
    fill(journal_url, MANY, Analyzed.WHEN_NONE_WAITED)
    held = [new_job(unique_key=f"key-{number}") for number in range(100)]
    journal.commit([OpenOnce([job]) for job in held])
    before = rows_read()

    answers, _ = journal.commit([OpenOnce([new_job(unique_key=job.unique_key, on_conflict="return")]) for job in held])
    after_return = rows_read()
    journal.commit([OpenOnce([new_job(unique_key=job.unique_key, on_conflict="replace")]) for job in held])
    after_replace = rows_read()

    assert answers == [Accepted([Present(job.id)]) for job in held]
    assert after_return - before < 2_000
    assert after_replace - after_return < 5_000


def test_a_suspect_job_is_not_compared_with_those_that_wait(journal_url: str, rows_read: Callable[[], int]) -> None:
    fill(journal_url, MANY, Analyzed.WHEN_NONE_WAITED)
    (suspect,) = open_jobs(new_job())
    read(
        journal_url,
        "UPDATE jobs SET attempts = 2, crashes = 2, started_at = now() WHERE id = %s;"
        "UPDATE jobs SET worker = 8 WHERE worker = %s",
        [suspect.id, ALIVE],
    )
    before = rows_read()

    claimed, _ = journal.commit([claim(suspect.id)])

    assert isinstance(claimed[0], Claimed)
    assert claimed[0].suspect
    assert rows_read() - before < 500


def test_no_look_at_the_platform_goes_through_the_jobs_that_wait(
    journal_url: str, rows_read: Callable[[], int]
) -> None:
    fill(journal_url, MANY, Analyzed.WHEN_NONE_WAITED)
    before = rows_read()

    queues()
    after_queues = rows_read()
    glance()
    after_glance = rows_read()

    assert after_queues - before < MANY / 10
    assert after_glance - after_queues < MANY / 10
