"""Histograms of durations: how many lie in each of the ranges that grow by a fifth, so that any length fits.

A histogram is a list of numbers. The first counts what took a millisecond or less, the next one what took up to 1.19
milliseconds, and so on: four ranges for each doubling. It ends with its last range that is not empty.
"""

from collections.abc import Mapping, Sequence
from math import ceil, log
from typing import Final

#: Ranges for each doubling of the duration.
_PER_DOUBLING: Final = 4
_PER_E: Final = _PER_DOUBLING / log(2)
#: The last range holds all that is longer, too: 139 years.
_LAST: Final = 42 * _PER_DOUBLING

#: Where a percentile is wrong, then by this factor at the most: its range's middle stands for all of the range.
ERROR: Final = 2 ** (1 / (2 * _PER_DOUBLING))


def range_of(milliseconds: float) -> int:
    """The number of the range in which a duration is counted."""
    return min(ceil(log(milliseconds) * _PER_E), _LAST) if milliseconds > 1 else 0


def range_in_sql(milliseconds: str) -> str:
    """The same for an expression of SQL; NULL for NULL."""
    return (
        f"CASE WHEN {milliseconds} > 1 THEN least(ceil(ln({milliseconds}) * {_PER_E!r}::float8), {_LAST})::integer"
        f" WHEN {milliseconds} IS NOT NULL THEN 0 END"
    )


def histogram(counted: Mapping[int, int]) -> list[int]:
    """The numbers of the ranges, as a list."""
    return [counted.get(place, 0) for place in range(max(counted) + 1)] if counted else []


def percentile(counts: Sequence[int], share: float) -> float | None:
    """How long, in seconds, the given share of the durations took at the most; within `ERROR`. None: there are none."""
    rank = share * sum(counts)
    passed = 0
    for place, number in enumerate(counts):
        passed += number
        if number and passed >= rank:
            return float(2 ** ((place - 0.5) / _PER_DOUBLING)) / 1_000
    return None
