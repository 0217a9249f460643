"""Jobs in brief, in pages, and how many came since."""

from datetime import UTC, datetime

import pytest

from jobplatform.queries.brief import brief_page, in_brief, newer
from jobplatform.queries.filter import JobFilter
from jobplatform.queries.walk import Position
from jobplatform.states import Event, Status
from tests.services.journal import claimed_job, queued_job, settle

pytestmark = pytest.mark.usefixtures("journal_url")


def test_a_page_has_the_jobs_in_order_and_where_the_next_one_begins() -> None:
    jobs = [queued_job() for _ in range(5)]

    first = brief_page(JobFilter(), True, None, 3)
    second = brief_page(JobFilter(), True, first.next, 3)

    assert [job.id for job in (*first.jobs, *second.jobs)] == jobs[::-1]
    assert second.next is None
    assert first.jobs[0].status == "queued"
    assert first.jobs[0].created_at < datetime.now(UTC)


def test_of_an_error_only_the_beginning_is_read() -> None:
    claimed = claimed_job()
    settle(claimed, Event.FAILED, error=f'{{"kind": "error", "type": "E", "message": "{"x" * 5_000}"}}')

    (job,) = in_brief([claimed.job_id])

    assert job.error is not None
    assert job.error.startswith('{"kind": "error", "type": "E"')
    assert len(job.error) == 2_000


def test_those_asked_for_by_their_ids_come_in_that_order_without_those_that_are_not_there() -> None:
    one, two = queued_job(), queued_job()

    found = in_brief([two, "01a20be6-a107-75d2-ae50-7bc953d8e0b0", one])

    assert [job.id for job in found] == [two, one]


def test_newer_ones_are_counted_up_to_a_limit() -> None:
    jobs = [queued_job() for _ in range(4)]
    (first,) = in_brief(jobs[:1])
    than = Position(first.created_at, first.id)

    assert newer(JobFilter(), than, 10) == (3, False)
    assert newer(JobFilter(), than, 2) == (2, True)
    assert newer(JobFilter(statuses=(Status.FAILED,)), than, 10) == (0, False)
