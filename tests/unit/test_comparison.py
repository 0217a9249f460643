"""The difference between versions of a payload."""

import json

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


def test_long_payloads_are_not_compared() -> None:
    assert comparison(json.dumps(list(range(MOST_COMPARED))), "[]") is None


def test_what_is_no_json_is_left_as_it_is() -> None:
    assert laid_out("{nonsense") == "{nonsense"
