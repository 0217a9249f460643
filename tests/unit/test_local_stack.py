"""What ``make run`` says when all is up."""

import shlex

import pytest

from jobplatform.api_key import new_key
from jobplatform.local.stack import welcome
from jobplatform.settings import Settings

API = {"api": "http://127.0.0.1:3000"}


def test_the_dashboard_is_told_first() -> None:
    first = next(line for line in welcome(API, Settings()).splitlines() if "http" in line)

    assert first.split() == ["Dashboard", "http://127.0.0.1:3000/"]


def test_the_first_job_needs_no_key_where_none_is_asked_for() -> None:
    said = welcome(API, Settings())

    assert "Authorization" not in said


@pytest.mark.parametrize("scopes", ["submit", "read+submit"])
def test_the_first_job_is_submitted_with_a_key_where_one_is_asked_for(scopes: str) -> None:
    key, entry = new_key("ada", scopes)

    said = welcome(API, Settings(api_keys=(entry,), api_key=key))

    words = shlex.split(said.splitlines()[-1])
    assert words[:3] == ["curl", "-s", "http://127.0.0.1:3000/jobs"]
    assert words[3:5] == ["-H", "Authorization: Bearer $API_KEY"]
    assert '"Authorization: Bearer $API_KEY"' in said  # in quotes which the shell looks into
    assert key not in said
