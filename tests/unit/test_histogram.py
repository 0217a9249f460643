"""Durations in ranges: any length has one, and a percentile is off by less than a tenth."""

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobplatform.histogram import ERROR, histogram, percentile, range_of

MILLISECONDS = st.floats(0, 1e11, allow_nan=False)


@given(st.lists(st.floats(1.2, 1e11), min_size=1, max_size=50), st.sampled_from([0.5, 0.95, 0.99, 1.0]))
def test_a_percentile_is_right_but_for_the_error(durations: list[float], share: float) -> None:
    counts = histogram(Counter(map(range_of, durations)))
    exact = next(
        duration for place, duration in enumerate(sorted(durations), 1) if place >= share * len(durations) - 1e-9
    )

    found = percentile(counts, share)

    assert found is not None
    assert exact / ERROR * 0.999 <= found * 1_000 <= exact * ERROR * 1.001


@given(MILLISECONDS, MILLISECONDS)
def test_a_longer_duration_has_no_earlier_range(one: float, other: float) -> None:
    assert (range_of(one) <= range_of(other)) or one > other


def test_the_error_is_less_than_a_tenth() -> None:
    assert 1 < ERROR < 1.1


@pytest.mark.parametrize(
    ("milliseconds", "expected"), [(0, 0), (-5, 0), (1, 0), (1.01, 1), (2, 4), (1_000, 40), (1e300, 168)]
)
def test_ranges_double_with_every_fourth(milliseconds: float, expected: int) -> None:
    assert range_of(milliseconds) == expected


def test_what_is_empty_has_no_percentile() -> None:
    assert histogram({}) == []
    assert percentile([], 0.5) is None
    assert percentile([0, 0], 0.5) is None
