"""Outcomes as JSON texts that always fit the database."""

import json
from datetime import datetime, tzinfo
from typing import NoReturn

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobplatform.outcome import MESSAGE_LIMIT, TRACEBACK_LIMIT, Unstorable, failure, failure_of, result_text

_ANY_TEXT = st.text(st.characters(codec=None))


@given(_ANY_TEXT, _ANY_TEXT)
def test_every_text_becomes_an_error_that_fits(message: str, trace: str) -> None:
    kept = failure("error", message, type="Trouble", trace=trace)

    decoded = json.loads(kept)
    assert kept.encode().decode() == kept
    assert "\0" not in decoded["message"] + (decoded["traceback"] or "")
    assert len(decoded["message"]) <= MESSAGE_LIMIT


def test_a_message_keeps_its_beginning_and_a_traceback_its_end() -> None:
    kept = json.loads(failure("error", "begin" + "x" * MESSAGE_LIMIT, trace="x" * TRACEBACK_LIMIT + "end"))

    assert kept["message"].startswith("begin")
    assert kept["traceback"].endswith("end")
    assert (len(kept["message"]), len(kept["traceback"])) == (MESSAGE_LIMIT, TRACEBACK_LIMIT)


def test_an_error_tells_its_type_its_place_and_its_cause() -> None:
    def fail() -> None:
        try:
            raise KeyError("inner")
        except KeyError as inner:
            raise ValueError("outer") from inner

    with pytest.raises(ValueError, match="outer") as raised:
        fail()
    kept = json.loads(failure_of(raised.value))

    assert (kept["kind"], kept["type"], kept["message"]) == ("error", "ValueError", "outer")
    assert "KeyError: 'inner'" in kept["traceback"]
    assert "in fail" in kept["traceback"]


def test_an_error_whose_notes_cannot_be_read_is_kept_without_its_trace() -> None:
    def refuse(_: object) -> NoReturn:
        raise RuntimeError

    hostile = type("Hostile", (ValueError,), {"__notes__": property(refuse)})

    kept = json.loads(failure_of(hostile("known")))

    assert (kept["message"], kept["traceback"]) == ("known", None)


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**63) | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
)  # fmt: skip


@given(_JSON)
def test_every_json_value_is_kept_as_it_is(value: object) -> None:
    text = result_text(value)

    assert (None if text is None else json.loads(text)) == value


class Odd(tzinfo):
    """What an actor's own object may do when it is read."""

    def utcoffset(self, _: datetime | None) -> NoReturn:
        raise MemoryError("no room")

    dst = tzname = utcoffset


@pytest.mark.parametrize(
    "value",
    [object(), "\ud800", [lambda: None], {(1, 2): 3}, 10**5000, datetime(2030, 1, 1, tzinfo=Odd())],
    ids=range(6),
)
def test_what_json_cannot_hold_is_refused_with_the_reason(value: object) -> None:
    with pytest.raises(Unstorable, match=r"\w+Error: "):
        result_text(value)
