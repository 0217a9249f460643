"""Values as people read them."""

from datetime import UTC, datetime, timedelta, timezone

import pytest

from api.dashboard.wording import between, duration, exact, number, plural, short, size, time

AT = datetime(2026, 11, 30, 21, 5, 7, 123456, tzinfo=UTC)


@pytest.mark.parametrize(
    ("seconds", "said"),
    [
        (None, "—"),
        (0, "0 ms"),
        (0.0124, "12 ms"),
        (0.9996, "1.0 s"),
        (3.24, "3.2 s"),
        (9.96, "10 s"),
        (59.4, "59 s"),
        (59.9, "1 min 00 s"),
        (252, "4 min 12 s"),
        (3_600, "1 h 00 min"),
        (11_100, "3 h 05 min"),
        (187_200, "2 d 4 h"),
        (-2, "−2.0 s"),  # noqa: RUF001
    ],
)
def test_a_duration_has_two_units_at_most(seconds: float | None, said: str) -> None:
    assert duration(seconds) == said


@pytest.mark.parametrize(
    ("count", "said"),
    [(None, "—"), (0, "0 B"), (999, "999 B"), (1_000, "1 kB"), (1_234_567, "1.23 MB"), (5 * 10**12, "5 TB")],
)
def test_a_size_has_the_unit_that_fits(count: int | None, said: str) -> None:
    assert size(count) == said


def test_numbers_have_their_thousands_apart() -> None:
    shown = [number(value) for value in (None, 7, 1_234_567, 1234.56)]

    assert shown == ["—", "7", "1\u202f234\u202f567", "1\u202f234.6"]
    assert [plural(1, "job"), plural(2, "job"), plural(0, "entry", "entries")] == ["1 job", "2 jobs", "0 entries"]


def test_a_time_is_an_element_with_the_exact_one() -> None:
    shown = str(time(AT.astimezone(timezone(timedelta(hours=2)))))

    assert 'datetime="2026-11-30T21:05:07.123456Z"' in shown
    assert f'title="{exact(AT)}"' in shown
    assert exact(AT) == "2026-11-30 21:05:07.123 UTC"
    assert "<time" not in time(None)


def test_what_lies_between_is_not_below_zero() -> None:
    assert between(AT, AT + timedelta(seconds=2)) == 2
    assert between(AT, AT - timedelta(seconds=2)) == 0
    assert between(None, AT) is None


def test_of_an_id_its_end_is_shown() -> None:
    assert short("01a20be6-a107-75d2-ae50-7bc953d8e0b0") == "…53d8e0b0"
