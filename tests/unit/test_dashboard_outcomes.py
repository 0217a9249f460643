"""The overview's chart: what is drawn, what the table says, and where each part of the stack leads."""

from datetime import UTC, datetime, timedelta
from urllib.parse import parse_qs, urlsplit

from api.dashboard.outcomes import Outcomes
from api.dashboard.overview import View
from jobplatform.queries.tallies import RANGES, Sums, Window

NOW = datetime(2026, 11, 30, 12, 0, 30, tzinfo=UTC)


def outcomes(*steps: Sums, **narrowed: str) -> Outcomes:
    began = [NOW.replace(second=0) - timedelta(minutes=ago) for ago in reversed(range(len(steps)))]
    window = Window(RANGES["15m"], NOW, list(zip(began, steps, strict=True)), 0.0)
    return Outcomes(window, {"type": None, "priority": None, **narrowed})


def some() -> Sums:
    # Half of a second, four times; and once eight.
    return Sums(completed=3, failed=1, retry_planned=2, rescued=1, interrupted=1, waits=[5], runs=[0] * 36 + [4])


def test_each_part_of_the_stack_has_the_number_of_each_step() -> None:
    drawn = outcomes(Sums(), some()).drawn

    assert {part["name"]: part["numbers"] for part in drawn["ends"]} == {
        "completed": [0, 3],
        "retried": [0, 2],
        "taken back": [0, 2],
        "cancelled": [0, 0],
        "failed": [0, 1],
    }
    assert drawn["at"][1] - drawn["at"][0] == drawn["step"] == 60
    assert drawn["wait"]["p50"] == [None, 0.000917]
    assert drawn["run"]["p99"] == [None, 0.47]


def test_the_totals_are_those_of_the_window() -> None:
    chart = outcomes(some(), some())

    assert {outcome.name: outcome.total for outcome in chart.outcomes}["completed"] == 6
    assert chart.ended == 16
    assert chart.whole["run"]["p50"] == chart.whole["run"]["p99"]
    assert outcomes(Sums()).ended == 0
    assert outcomes(Sums()).whole["wait"] == {"p50": None, "p95": None, "p99": None}


def test_the_table_has_the_newest_first_and_no_empty_steps() -> None:
    table = outcomes(some(), Sums(), some()).table

    assert [at for at, _, _ in table] == [NOW.replace(second=0), NOW.replace(second=0) - timedelta(minutes=2)]
    assert table[0][1] == [3, 2, 2, 0, 1]
    assert len(table[0][2]) == 6


def test_each_part_leads_to_the_jobs_that_it_counts() -> None:
    chart = outcomes(some(), type="CSV_EXPORT", priority="high")
    words = {outcome.name: parse_qs(urlsplit(outcome.address).query) for outcome in chart.outcomes}

    assert words["failed"] == {
        "status": ["failed"],
        "type": ["CSV_EXPORT"],
        "priority": ["high"],
        "finishedAfter": ["2026-11-30T12:00:00Z"],
    }
    assert words["retried"] == {"status": ["retrying"], "type": ["CSV_EXPORT"], "priority": ["high"]}


def test_a_view_is_in_its_address() -> None:
    assert View().address() == "/"
    assert View("6h", "CSV_EXPORT", "high", True).address() == "/?window=6h&type=CSV_EXPORT&queue=high&table=true"
    assert View("6h").address(window="1h") == "/"
    assert View("6h", "A&B").address(table=True) == "/?window=6h&type=A%26B&table=true"
