"""Filters of actions in words, and the lists of jobs that they lead to."""

from typing import Any

import pytest

from api.dashboard.filter_words import filter_words
from api.dashboard.jobs_address import jobs_address


@pytest.mark.parametrize(
    ("filter", "words"),
    [
        ({}, "all jobs"),
        ({"queue": "high"}, "the queue high"),
        ({"status": ["failed", "cancelled"], "type": ["A", "B"]}, "failed or cancelled A or B jobs"),
        ({"tag": "eu", "priority": "high"}, "all jobs, of priority high, tagged eu"),
        (
            {"status": ["failed"], "type": ["A"], "failure": "error:OSError:no answer from <n>"},
            "failed A jobs that failed with OSError: no answer from <n>",
        ),
        ({"tag": "eu", "color": "red"}, "all jobs, tagged eu, color red"),
        ({"failure": "crashed::"}, "all jobs that failed with crashed: no message"),
        (
            {"q": "$.to=ann", "createdAfter": "2030-01-31T08:00:00.5+00:00"},
            "all jobs, with “$.to=ann” in the payload, accepted after 2030-01-31 08:00:00 UTC",
        ),
    ],
)
def test_a_filter_is_told_in_words(filter: dict[str, Any], words: str) -> None:  # noqa: A002
    assert filter_words(filter) == words


def test_a_list_is_addressed_by_what_is_given() -> None:
    assert jobs_address() == "/ui/jobs"
    assert jobs_address(status=["failed", "cancelled"], type="A&B", tag=None, q="") == (
        "/ui/jobs?q=status%3Afailed%2Ccancelled+type%3AA%26B"
    )
