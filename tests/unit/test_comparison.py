"""The difference between versions of a payload."""

import json

from hypothesis import given
from hypothesis import strategies as st

from api.dashboard.comparison import MOST_COMPARED, comparison, laid_out


def changes(before: str, after: str) -> list[tuple[str, str]]:
    return [(line.sign, line.text.strip()) for line in comparison(before, after) or [] if line.sign in "+-"]


def test_a_changed_value_is_shown_as_it_was_and_as_it_is() -> None:
    assert changes('{"to":"ann","n":1}', '{"to":"bob","n":1}') == [("-", '"to": "ann",'), ("+", '"to": "bob",')]


def test_numbers_keep_their_digits_and_keys_their_order() -> None:
    text = '{"z":12345678901234567890123,"a":1.10e400,"z2":0.1000}'

    assert laid_out(text).split("\n")[1:4] == ['  "z": 12345678901234567890123,', '  "a": 1.10e400,', '  "z2": 0.1000']


def test_versions_that_are_the_same_differ_in_nothing() -> None:
    assert comparison('{"a": 1}', '{"a":1}') == []


def test_what_stayed_is_left_out_and_counted() -> None:
    before, after = list(range(100)), list(range(100))
    after[50] = -1

    found = comparison(json.dumps(before), json.dumps(after)) or []

    assert [line.text for line in found if line.sign == "…"] == ["48 lines that stayed", "47 lines that stayed"]
    assert len(found) == 2 + 6 + 2


def test_a_small_change_of_a_long_payload_is_found() -> None:
    before, after = list(range(50_000)), list(range(50_000))
    after[40_000] = -1

    assert changes(json.dumps(before), json.dumps(after)) == [("-", "40000,"), ("+", "-1,")]


def test_payloads_that_differ_over_many_lines_are_not_compared() -> None:
    before, after = list(range(MOST_COMPARED + 2)), list(range(1, MOST_COMPARED + 3))

    assert comparison(json.dumps(before), json.dumps(after[::-1])) is None


def test_what_is_no_json_is_left_as_it_is() -> None:
    assert laid_out("{nonsense") == "{nonsense"


@given(st.lists(st.integers(0, 3), max_size=40), st.lists(st.integers(0, 3), max_size=40))
def test_a_comparison_tells_all_that_was_and_all_that_is(before: list[int], after: list[int]) -> None:
    old, new = laid_out(json.dumps(before)).split("\n"), laid_out(json.dumps(after)).split("\n")
    found = comparison(json.dumps(before), json.dumps(after)) or []

    stayed = sum(int(line.text.split()[0]) for line in found if line.sign == "…")
    assert len([line for line in found if line.sign in " -"]) + stayed == (len(old) if found else 0)
    assert [line.text for line in found if line.sign in " -"] == [] or old != new
    assert len([line for line in found if line.sign in " +"]) + stayed == (len(new) if found else 0)
