"""The language of the search box."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from api.dashboard.query_text import LONGEST, QueryText, read, text_of, written
from jobplatform.queries.filter import JobFilter
from jobplatform.queries.likeness import Likeness
from jobplatform.queries.search import Search
from jobplatform.states import Status

NOW = datetime(2026, 11, 30, 12, 0, tzinfo=UTC)


def _read(text: str) -> QueryText:
    return read(text, NOW, ("CSV_EXPORT", "EMAIL_SEND"))


def _filter(text: str) -> JobFilter:
    found = _read(text)
    assert found.faults == ()
    return found.filter


@pytest.mark.parametrize(
    ("text", "filter"),
    [
        ("", JobFilter()),
        ("   ", JobFilter()),
        ("status:failed", JobFilter(statuses=(Status.FAILED,))),
        ("STATUS:Failed,queued status:queued", JobFilter(statuses=(Status.FAILED, Status.QUEUED))),
        ("type:csv_export", JobFilter(types=("CSV_EXPORT",))),
        ("type:GONE,EMAIL_SEND", JobFilter(types=("GONE", "EMAIL_SEND"))),
        ("priority:high tag:nightly", JobFilter(priority="high", tag="nightly")),
        ('tag:"two words"', JobFilter(tag="two words")),
        ("tag:a:b", JobFilter(tag="a:b")),
        ("since:1h", JobFilter(created_after=NOW - timedelta(hours=1))),
        ("before:2w", JobFilter(created_before=NOW - timedelta(weeks=2))),
        ("since:2026-11-30", JobFilter(created_after=datetime(2026, 11, 30, tzinfo=UTC))),
        ("before:2026-11-30T10:00+02:00", JobFilter(created_before=datetime(2026, 11, 30, 8, tzinfo=UTC))),
        ("finished:15m", JobFilter(finished_after=NOW - timedelta(minutes=15))),
        ("payload.to:ann@example.org", JobFilter(search=Search("$.to=ann@example.org"))),
        ('payload.data.0.name:"Ada L."', JobFilter(search=Search("$.data.0.name=Ada L."))),
        ("annual report", JobFilter(search=Search("annual report"))),
        ('"status:failed"', JobFilter(search=Search("status:failed"))),
        ('say "\\"hi\\""', JobFilter(search=Search('say "hi"'))),
        ("https://example.org/a", JobFilter(search=Search("https://example.org/a"))),
        ("12:30", JobFilter(search=Search("12:30"))),
        ('failure:"error:OSError:no <n>"', JobFilter(failure=Likeness("error", "OSError", "no <n>"))),
    ],
)  # fmt: skip
def test_a_text_is_a_filter(text: str, filter: JobFilter) -> None:  # noqa: A002
    assert _filter(text) == filter


@pytest.mark.parametrize(
    ("text", "word", "what"),
    [
        ("status:faild", "status:faild", "perhaps status:failed?"),
        ("status:", "status:", "needs a value, such as status:failed"),
        ("status:,", "status:,", "names none; leave it out for all"),
        ('type:" , "', 'type:" , "', "names none; leave it out for all"),
        ("stats:failed", "stats:failed", "is no qualifier (perhaps status:?)"),
        ("is:open", "is:open", 'put it in quotes: "is:open"'),
        ("priority:urgent", "priority:urgent", "high or default"),
        ("priority:high priority:high", "priority:high", "is a second priority"),
        ("since:yesterday", "since:yesterday", "is no time"),
        ("since:999999999w", "since:999999999w", "lies before all times"),
        ("since:0001-01-01T00:00+23:00", "since:0001-01-01T00:00+23:00", "is no time"),
        ('tag:"open', 'tag:"open', "does not end"),
        ('"open end', '"open', "does not end"),
        ("payload.a:1 payload.b:2", "payload.b:2", "a second value of the payload"),
        ("payload.a:1 word", "word", "only one of them"),
        ("payload.a=b:1", "payload.a=b:1", "equals sign"),
        ("failure:nothing", "failure:nothing", "GET /failures"),
        ("x" * (LONGEST + 1), "x" * 30, "longer"),
    ],
)
def test_what_cannot_be_meant_is_said_of_the_word(text: str, word: str, what: str) -> None:
    (fault,) = _read(text).faults

    assert fault.word == word
    assert what in fault.what


def test_all_faults_are_told_at_once() -> None:
    assert len(_read("status:x type:Y since:z is:q").faults) == 3


def test_spelled_out_a_text_means_the_same_later() -> None:
    text = 'status:failed type:EMAIL_SEND since:1h tag:"two words" payload.to:ann@example.org'

    fixed = _read(text).fixed
    later = read(fixed, NOW + timedelta(hours=3))

    assert later.faults == ()
    assert later.filter == _filter(text)


def test_the_words_of_get_jobs_are_a_text() -> None:
    given = {
        "status": ["failed"],
        "type": "EMAIL_SEND",
        "q": "$.to=ann",
        "failure": "error:E:no <n>",
        "tag": None,
    }

    assert text_of(given) == 'status:failed type:EMAIL_SEND payload.to:ann failure:"error:E:no <n>"'


_texts = st.text(st.characters(codec="utf-8", exclude_characters="\0"), min_size=1, max_size=40)


@given(
    st.builds(
        JobFilter,
        statuses=st.lists(st.sampled_from(Status), unique=True).map(tuple),
        priority=st.sampled_from([None, "high", "default"]),
        tag=st.none() | _texts,
        created_after=st.none() | st.datetimes(datetime(2000, 1, 1), datetime(2100, 1, 1), timezones=st.just(UTC)),  # noqa: DTZ001
        search=st.none() | _texts.map(Search),
    )
)
def test_every_filter_can_be_written_and_read_again(which: JobFilter) -> None:
    again = read(written(which), NOW)

    assert again.faults == ()
    assert again.filter == which


@given(st.text(max_size=200))
def test_no_text_makes_it_fail(text: str) -> None:
    found = _read(text)

    assert bool(found.faults) or read(found.fixed, NOW).filter == found.filter
