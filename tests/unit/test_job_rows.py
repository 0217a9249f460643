"""Jobs as rows of a table."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from api.dashboard.job_rows import Row, error_line, fields_of, rows
from jobplatform.queries.brief import Brief
from jobplatform.states import Status

AT = datetime(2026, 11, 30, 12, tzinfo=UTC)
BRIEF = Brief(
    "01a20be6-…", "ECHO", "queued", "default", 0, None, None, AT, AT, 0, None, None, None, [], False
)  # fmt: skip


def _at(seconds: float) -> datetime:
    return AT + timedelta(seconds=seconds)


def _row(**changes: Any) -> Row:
    (row,) = rows([BRIEF._replace(**changes)], ())
    return row


def test_a_queued_job_waits_since_it_got_into_its_queue() -> None:
    assert (_row().waits_since, _row().waited, _row().ran) == (AT, None, None)
    assert _row(attempts=1, dispatched_at=_at(9)).waits_since == _at(9)


def test_a_hint_that_was_sent_again_does_not_shorten_the_wait() -> None:
    assert _row(dispatched_at=_at(30), resends=1).waits_since == AT
    assert _row(dispatched_at=_at(90), resends=1, run_at=_at(60)).waits_since == _at(60)


def test_wait_and_run_are_told_apart() -> None:
    ended = _row(status="completed", attempts=1, started_at=_at(2), finished_at=_at(5))

    assert (ended.waited, ended.ran) == (2, 3)


def test_of_several_attempts_the_last_one_counts() -> None:
    ended = _row(status="failed", attempts=3, dispatched_at=_at(100), started_at=_at(101), finished_at=_at(103))

    assert (ended.waited, ended.ran) == (1, 2)


def test_a_job_that_was_cancelled_before_it_began_waited_until_then() -> None:
    cancelled = _row(status="cancelled", dispatched_at=None, finished_at=_at(7))

    assert (cancelled.waited, cancelled.ran) == (7, None)


def test_no_wait_is_less_than_none() -> None:
    assert _row(status="cancelled", dispatched_at=None, run_at=_at(60), finished_at=_at(7)).waited == 0


@pytest.mark.parametrize(
    ("error", "line"),
    [
        (None, ""),
        (
            '{"kind": "error", "type": "OSError", "message": "no answer\\nat all", "traceback": "…"}',
            "OSError: no answer",
        ),
        ('{"kind":"error","type":"OSError","message":""}', "OSError"),
        ('{"kind": "crashed", "type": null, "message": "died thrice"}', "died thrice"),
        ('{"kind": "error", "type": "E", "message": "cut off \\u00f', "E: cut off \\u00f"),
        ('{"kind": "error", "type": "E", "message": "say \\"hi\\""}', 'E: say "hi"'),
        ("7", ""),
    ],
)
def test_of_an_error_the_first_line_is_shown_even_if_it_was_cut_off(error: str | None, line: str) -> None:
    assert error_line(error) == line


@pytest.mark.parametrize(
    ("progress", "shown"),
    [
        ('{"done": 3, "total": 10}', (3, 10)),
        ("null", (None, None)),
        ('{"done": "x"}', (None, None)),
        ("[", (None, None)),
    ],
)
def test_progress_is_shown_where_it_is_numbers(progress: str, shown: tuple[Any, Any]) -> None:
    row = _row(status="running", attempts=1, started_at=_at(1), progress=progress)

    assert (row.done, row.total) == shown


def test_a_job_that_left_the_statuses_of_the_list_is_marked() -> None:
    assert [row.gone for row in rows([BRIEF], [Status.QUEUED])] == [False]
    assert [row.gone for row in rows([BRIEF], [Status.FAILED])] == [True]
    assert [row.gone for row in rows([BRIEF], [])] == [False]


def test_the_fields_of_payloads_come_once_each_if_they_can_be_written() -> None:
    assert list(fields_of([{"properties": {"to": {}, "a b": {}}}, {"properties": {"to": {}, "data": {}}}, {}])) == [
        "to",
        "data",
    ]
