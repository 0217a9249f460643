"""Pages of jobs: which jobs, in which order, and what a page costs."""

from secrets import token_hex
from typing import Any

import pytest

from jobplatform.queries import walk as walking
from jobplatform.queries.filter import JobFilter
from jobplatform.queries.listing import Page, page
from jobplatform.queries.search import Search
from jobplatform.queries.secret import secret
from jobplatform.queries.walk import Position, Walk, walk
from jobplatform.states import Event, Status
from tests.services.journal import claimed_job, queued_job, read, settle

pytestmark = pytest.mark.usefixtures("journal_url")

#: As a client might spell it: with letters of its own, and with escapes.
PAYLOAD = (
    '{"to": "Ann@example.com", "subject": "He did say \\"hi\\": 50% off_\\\\ and back\\\\slash 🎉",'
    ' "data": [{"id": 7, "ok": true, "none": null, "text": "null", "empty": "", "huge": 1e999999}],'
    ' "escaped": "Gr\\u00f6\\u00dfe"}'
)


def ids(which: JobFilter, newest_first: bool = True, limit: int = 500) -> list[str]:
    """All that fit, from as many pages as it takes."""
    found: list[str] = []
    after: Position | None = None
    while True:
        answer = page(which, newest_first, after, limit)
        found += [job.id for job in answer.jobs]
        after = answer.next
        if after is None:
            return found


def searched(text: str) -> list[str]:
    return ids(JobFilter(search=Search(text)))


def test_all_jobs_come_newest_first_or_oldest_first_in_pages_of_any_size() -> None:
    jobs = [queued_job() for _ in range(7)]

    for limit in (1, 2, 3, 7, 8):
        assert ids(JobFilter(), newest_first=False, limit=limit) == jobs
        assert ids(JobFilter(), newest_first=True, limit=limit) == jobs[::-1]


def test_jobs_accepted_at_the_same_moment_come_once_each(journal_url: str) -> None:
    for _ in range(9):
        queued_job()
    read(journal_url, "UPDATE jobs SET created_at = '2030-01-01', updated_at = '2030-01-01'")
    read(journal_url, "UPDATE transitions SET at = '2030-01-01'")

    found = ids(JobFilter(), limit=2)

    assert len(found) == len(set(found)) == 9
    assert found == sorted(found, reverse=True)


def test_a_walk_shows_no_job_twice_and_skips_none_while_others_are_accepted() -> None:
    before = [queued_job() for _ in range(10)]
    found: list[str] = []
    after: Position | None = None
    while True:
        answer = page(JobFilter(), True, after, 3)
        found += [job.id for job in answer.jobs]
        queued_job()
        after = answer.next
        if after is None:
            break

    assert found == before[::-1]


def test_each_filter_picks_its_jobs(journal_url: str) -> None:
    plain, high, other = queued_job(), queued_job(queue="high"), queued_job(type="OTHER")
    done, failed = claimed_job(), claimed_job()
    settle(done)
    settle(failed, Event.FAILED)
    ((middle,),) = read(journal_url, "SELECT created_at FROM jobs WHERE id = %s", [other])

    def found(**given: Any) -> set[str]:
        return set(ids(JobFilter(**given)))

    assert found(statuses=(Status.QUEUED,)) == {plain, high, other}
    assert found(statuses=(Status.COMPLETED, Status.FAILED)) == {done.job_id, failed.job_id}
    assert found(statuses=(Status.FAILED, Status.FAILED)) == {failed.job_id}
    assert found(statuses=tuple(Status)) == {plain, high, other, done.job_id, failed.job_id}
    assert found(types=("OTHER",)) == {other}
    assert found(types=("OTHER", "PROBE"), statuses=(Status.QUEUED,)) == {plain, high, other}
    assert found(types=("NOTHING",)) == set()
    assert found(priority="high") == {high}
    assert found(created_after=middle) == {done.job_id, failed.job_id}
    assert found(created_before=middle) == {plain, high}
    assert found(created_before=middle, statuses=(Status.QUEUED,), priority="default") == {plain}


def test_a_tag_picks_its_jobs_with_and_without_other_filters() -> None:
    tagged = [queued_job(tags=["nightly", "eu"]) for _ in range(3)]
    queued_job(tags=["us"])
    queued_job()

    assert ids(JobFilter(tag="nightly"), limit=2) == tagged[::-1]
    assert ids(JobFilter(tag="nightly"), newest_first=False, limit=2) == tagged
    assert ids(JobFilter(tag="eu", statuses=(Status.QUEUED,), types=("PROBE",))) == tagged[::-1]
    assert ids(JobFilter(tag="eu", statuses=(Status.RUNNING,))) == []
    assert ids(JobFilter(tag="NIGHTLY")) == []


def test_a_walk_by_tag_goes_on_past_jobs_that_were_deleted_by_hand(journal_url: str) -> None:
    jobs = [queued_job(tags=["nightly"]) for _ in range(7)]
    gone = [jobs[0], jobs[2], jobs[3], jobs[6]]
    for table, column in (("jobs", "id"), ("transitions", "job_id")):
        read(journal_url, f"DELETE FROM {table} WHERE {column} = ANY(%s::uuid[])", [gone])
    left = [job for job in jobs if job not in gone]

    for limit in (1, 2, 7):
        assert ids(JobFilter(tag="nightly"), newest_first=False, limit=limit) == left
        assert ids(JobFilter(tag="nightly", search=Search('"n"')), limit=limit) == left[::-1]
    assert ids(JobFilter(tag="nightly", statuses=(Status.QUEUED,))) == left[::-1]


#: What is searched for → whether it is in the payload.
SEARCHES = {
    "ann@example.com": True,
    "ANN@Example": True,
    '"to": "Ann': True,
    "bob@": False,
    "größe": True,
    "GRÖSSE": False,
    "GRÖẞE": True,
    "Größe": True,
    'say "hi"': True,
    "50% off_\\": True,
    "back\\slash": True,
    "🎉": True,
    "%": True,
    "_": True,
    "'; DROP TABLE jobs; --": False,
    "$.to=Ann@example.com": True,
    "$.to==Ann@example.com": True,
    "$.to = Ann@example.com": True,
    '$.to="Ann@example.com"': True,
    "$.to=ann@example.com": False,
    "$.data.0.id=7": True,
    '$.data.0.id="7"': False,
    "$.data.1.id=7": False,
    "$.data.0.ok=true": True,
    "$.data.0.none=null": True,
    "$.data.0.missing=null": False,
    "$.data.0.huge=1e999999": True,
    "$.data.0.text=null": True,
    '$.data.0.text="null"': True,
    '$.data.0.none="null"': False,
    "$.data.0.empty=": True,
    "$.escaped=Größe": True,
    "$.data.x.y=1": False,
    "$.data.99999999999999999999.y=1": False,
    "$.=1": False,
    "$.a..b=1": False,
    "$..=1": False,
    '$.to="\\ud800"': False,
    '$.to="\\u0000"': False,
    "$." + "a." * 400 + "b=1": False,
}


def test_a_payload_is_searched() -> None:
    job_id = queued_job(payload=PAYLOAD)
    queued_job(payload="{}")

    assert {text: searched(text) for text in SEARCHES} == {text: [job_id] * found for text, found in SEARCHES.items()}


#: As they stand in JSON: NUL, halves of characters, and these behind backslashes.
UNREADABLE = (
    "\\u0000",
    "\\ud800",
    "\\udc00",
    "\\ud800\\ud800",
    "\\ud83d\\\\\\ude00",
    "\\\\\\ud83d",
    "\\\\ud83d\\ude00",
)


def test_what_postgres_cannot_read_is_found_as_text_and_fails_no_search() -> None:
    odd = [queued_job(payload=f'{{"a": "{string}", "n": 1}}') for string in UNREADABLE]
    job_id = queued_job(payload='{"a": "\\ud83d\\ude00 \\\\u0000", "n": 1}')

    assert searched("$.n=1") == [job_id]
    assert searched("$.a=😀 \\u0000") == [job_id]
    assert searched('"n"') == [job_id, *reversed(odd)]


@pytest.mark.parametrize("text", ["", "a\0b", "x" * 1_001])
def test_what_cannot_be_searched_for_is_said(text: str) -> None:
    with pytest.raises(ValueError, match="must "):
        Search(text)


def test_a_page_ends_when_time_is_up_and_the_next_one_goes_on_there() -> None:
    rare = queued_job(type="RARE")
    for _ in range(20):
        queued_job()
    which = JobFilter(search=Search('"n"'), types=("RARE", "PROBE"), priority="high")

    pages: list[Walk] = [walk(which, newest_first=True, after=None, limit=5, patience=0, most_passed=4)]
    while pages[-1].next is not None:
        pages.append(walk(which, newest_first=True, after=pages[-1].next, limit=5, patience=0, most_passed=4))

    assert len(pages) == 11  # two types share the four
    assert all(walked.found == [] for walked in pages)
    which = JobFilter(types=("RARE", "PROBE"), search=Search("$.n=1"))
    walked = walk(which, newest_first=False, after=None, limit=1, patience=0, most_passed=1)
    assert [found.at.id for found in walked.found] == [rare]


def test_a_small_page_does_not_make_the_way_long() -> None:
    for n in range(50):
        queued_job(payload=f'{{"n": {n}}}', type="RARE" if n == 7 else "PROBE")

    for which, fits in (
        (JobFilter(search=Search("no such text")), 0),
        (JobFilter(search=Search("$.n=3")), 1),
        (JobFilter(types=("RARE",), statuses=(Status.RUNNING,)), 0),
        (JobFilter(types=("RARE", "PROBE"), search=Search("$.n=7")), 1),
        (JobFilter(priority="high"), 0),
    ):
        for limit in (1, 2):
            answer = page(which, True, None, limit)
            assert (len(answer.jobs), answer.next) == (fits, None), which


def test_a_search_looks_into_a_bounded_number_of_bytes_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(walking, "MOST_SEARCHED", 50)
    jobs = [queued_job(payload=f'{{"text": "{"x" * 60}", "n": {n}}}') for n in range(5)]
    which = JobFilter(search=Search("$.n=0"))

    walked = walk(which, newest_first=True, after=None, limit=5, patience=0)

    assert walked.found == []
    assert walked.next is not None
    assert walked.next.id == jobs[-1]
    assert ids(which) == jobs[:1]


def test_a_page_is_bounded_in_its_text(monkeypatch: pytest.MonkeyPatch) -> None:
    jobs = [queued_job(payload=f'{{"text": "{token_hex(2_500)}"}}') for _ in range(6)]
    monkeypatch.setattr("jobplatform.queries.listing.MOST_TEXT", 10_000)

    answer: Page = page(JobFilter(), False, None, 6)

    assert 1 <= len(answer.jobs) < 6
    assert answer.next is not None
    assert answer.next.id == answer.jobs[-1].id
    assert ids(JobFilter(), newest_first=False) == jobs


def test_a_secret_is_made_once_and_is_the_same_for_all(journal_url: str) -> None:
    assert len(secret("one")) == 32
    assert secret("one") == secret("one") != secret("other")
    read(journal_url, "DELETE FROM secrets")
