"""A function's signature as its payload's schema."""

import json
from enum import StrEnum
from typing import Annotated, Any, Literal, NotRequired, TypedDict

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import Meta

from jobplatform.errors import Fault, InvalidPayload
from jobplatform.signature import Holds, Signature


class Colour(StrEnum):
    RED = "red"


class Address(TypedDict):
    street: str
    number: NotRequired[int]


class Row(msgspec.Struct):
    n: int


def take(
    name: Annotated[str, Meta(min_length=1)],
    count: Annotated[int, Meta(ge=1)] = 1,
    tags: list[str] = [],  # noqa: B006
    from_: str | None = None,
    *,
    to: str | list[str] = "you",
    colour: Colour = Colour.RED,
    size: Literal["small", "large"] | None = None,
    address: Address | None = None,
    more: dict[str, Any] | None = None,
) -> None: ...


SIGNATURE = Signature("TAKE", take)


def faults(payload: str | bytes) -> dict[str, str]:
    with pytest.raises(InvalidPayload) as raised:
        SIGNATURE.check(payload)
    assert all(isinstance(fault, Fault) and fault.detail for fault in raised.value.faults)
    return {fault.pointer: fault.detail for fault in raised.value.faults}


def test_what_fits_is_decoded_with_the_defaults_filled_in() -> None:
    payload = '{"name": "Ada", "from": "me"}'
    SIGNATURE.check(payload)

    decoded = SIGNATURE.decode(payload)

    assert (decoded["name"], decoded["count"], decoded["tags"], decoded["from_"]) == ("Ada", 1, [], "me")


def test_a_default_that_can_change_is_not_shared() -> None:
    SIGNATURE.decode('{"name": "Ada"}')["tags"].append("mine")

    assert SIGNATURE.decode('{"name": "Ada"}')["tags"] == []


def test_every_faulty_field_is_named_by_a_pointer() -> None:
    found = faults('{"name": "", "count": 0, "tags": ["a", 1], "volume": 11, "a/b~c": 1, "address": {"street": 5}}')

    assert set(found) == {"/name", "/count", "/tags/1", "/volume", "/a~1b~0c", "/address/street"}
    assert faults('{"count": 1}') == {"/name": "is required"}


def take_rows(rows: Annotated[msgspec.Raw, Holds(list[Row])]) -> None: ...


def test_undecoded_json_is_never_one_type_of_several_but_may_lie_in_one() -> None:
    def one_of_several(row: Annotated[msgspec.Raw, Holds(Row)] | None = None) -> None: ...

    def within_one(rows: list[Annotated[msgspec.Raw, Holds(int)]] | None = None) -> None: ...

    with pytest.raises(TypeError, match="one type of several"):
        Signature("ROW", one_of_several)
    assert Signature("ROWS", within_one).decode('{"rows": [1]}') == {"rows": [msgspec.Raw(b"1")]}
    assert Signature("ROWS", within_one).decode("{}") == {"rows": None}


def test_what_a_raw_parameter_holds_is_checked_described_and_handed_over_undecoded() -> None:
    signature = Signature("ROWS", take_rows)

    with pytest.raises(InvalidPayload) as raised:
        signature.check('{"rows": [{"n": 1}, {"n": "x"}]}')
    assert [fault.pointer for fault in raised.value.faults] == ["/rows/1/n"]
    assert bytes(signature.decode('{"rows": [{"n": 1}]}')["rows"]) == b'[{"n": 1}]'
    assert signature.schema()["properties"]["rows"] == {"type": "array", "items": {"$ref": "#/$defs/Row"}}


@pytest.mark.parametrize(
    "payload",
    ["", "no JSON", "[]", "null", '"text"', '{"name": NaN}', '{"name": "\\ud800"}', b'{"name": "\xff"}', "[" * 200_000,
     '{"name": "Ada", "more": ' + '{"a":' * 100_000, '{"name": "Ada"} {}', b"\xef\xbb\xbf{}"],
    ids=range(12),
)  # fmt: skip
def test_what_is_no_payload_at_all_is_a_fault_of_the_whole(payload: str | bytes) -> None:
    with pytest.raises(InvalidPayload) as raised:
        SIGNATURE.check(payload)

    assert raised.value.faults


@pytest.mark.parametrize(
    ("payload", "pointer"),
    [
        (r'{"name": "a\u0000b"}', "/name"),
        (r'{"name": "Ada", "tags": ["x", "\u0000"]}', "/tags/1"),
        (r'{"name": "Ada", "more": {"a": [{"b": "\u0000"}]}}', "/more/a/0/b"),
        (r'{"name": "Ada", "more": {"\u0000": 1}}', "/more"),
    ],
)
def test_a_nul_anywhere_is_refused_where_it_is(payload: str, pointer: str) -> None:
    assert set(faults(payload)) == set(faults(payload.encode())) == {pointer}


def test_an_escaped_backslash_before_u0000_is_no_nul() -> None:
    SIGNATURE.check(r'{"name": "\\u0000"}')


def test_a_call_becomes_a_payload_without_the_defaults() -> None:
    assert json.loads(SIGNATURE.encode(("Ada",), {"from_": "me", "to": ["you"]})) == {
        "name": "Ada",
        "from": "me",
        "to": ["you"],
    }


@pytest.mark.parametrize(
    ("args", "kwargs", "pointer"),
    [
        (("Ada",), {"name": "Bob"}, "/name"),
        ((1,), {}, "/name"),
        (("Ada",), {"volume": 11}, "/volume"),
        (tuple("abcdefghijklmn"), {}, ""),
        (("Ada",), {"more": object()}, ""),
        (("Ada",), {"tags": ["\ud800"]}, ""),
    ],
    ids=range(6),
)
def test_a_call_that_does_not_fit_is_refused(args: tuple[Any, ...], kwargs: dict[str, Any], pointer: str) -> None:
    with pytest.raises(InvalidPayload) as raised:
        SIGNATURE.encode(args, kwargs)

    assert [fault.pointer for fault in raised.value.faults] == [pointer]


def test_the_schema_is_complete_in_itself() -> None:
    schema = SIGNATURE.schema()

    assert schema["required"] == ["name"]
    assert schema["additionalProperties"] is False
    assert " ".join(schema["properties"]) == "name count tags from to colour size address more"
    assert schema["properties"]["name"] == {"type": "string", "minLength": 1}
    references = {part.split('"')[0] for part in json.dumps(schema).split("#/$defs/")[1:]}
    assert references == set(schema["$defs"])


def test_a_function_without_parameters_takes_an_empty_object() -> None:
    nothing = Signature("NOTHING", lambda: None)

    nothing.check("{}")
    assert nothing.decode("{}") == {}
    with pytest.raises(InvalidPayload):
        nothing.check('{"n": 1}')


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)
_NAMES = st.sampled_from(["name", "count", "tags", "from", "to", "colour", "address", "more", "other"])


def refusal(payload: str | bytes) -> tuple[Fault, ...]:
    """The faults, none where it fits."""
    try:
        SIGNATURE.check(payload)
    except InvalidPayload as error:
        return error.faults
    return ()


@given(st.dictionaries(_NAMES, _JSON))
def test_whatever_comes_either_fits_and_decodes_or_is_refused_with_pointers(payload: dict[str, Any]) -> None:
    text = json.dumps(payload)

    refused = refusal(text)

    assert all(fault.pointer == "" or fault.pointer.startswith("/") for fault in refused)
    if not refused:
        assert set(SIGNATURE.decode(text)) == set(SIGNATURE._names)


@given(st.binary(max_size=40))
def test_no_bytes_are_worse_than_an_invalid_payload(payload: bytes) -> None:
    assert refusal(payload)


Word = Annotated[str, Meta(pattern=r"^\w+$", description="One word.")]


class Person(msgspec.Struct):
    nick: Word


def take_patterns(
    word: Word | list[Word],
    who: Person | None = None,
    b: Annotated[str, Meta(pattern="^b")] = "b",
    first: Annotated[str, Meta(pattern="^a", description="What is tried first.")] = "a",
    second: Annotated[str, Meta(pattern="^a", description="What is tried then.")] = "a",
) -> None: ...


def test_a_pattern_that_is_missed_is_told_by_the_description_beside_it() -> None:
    signature = Signature("TAKE", take_patterns)

    def details(payload: str) -> list[str]:
        with pytest.raises(InvalidPayload) as refused:
            signature.check(payload)
        return [fault.detail for fault in refused.value.faults]

    assert details('{"word": "a b"}') == details('{"word": ["c", "a b"]}') == ["Expected: One word."]
    assert details('{"word": "c", "who": {"nick": ""}}') == ["Expected: One word."]
    assert details('{"word": "c", "b": "c"}') == ["Expected `str` matching regex '^b'"], "nothing is said of it"
    assert details('{"word": "c", "first": "c"}') == ["Expected `str` matching regex '^a'"], "two things are said of it"


def test_a_field_that_is_unknown_is_told_which_are_known() -> None:
    assert faults('{"name": "Ada", "form": 1}') == {
        "/form": "is not a field of this type, which has name, count, tags, from, to, colour, size, address, more"
    }


def test_what_must_be_unique_is_checked_by_value() -> None:
    def take(points: Annotated[list[dict[str, int]] | None, Meta(extra_json_schema={"uniqueItems": True})]) -> None: ...

    signature = Signature("TAKE", take)

    signature.check('{"points": [{"x": 1, "y": 2}, {"x": 2, "y": 1}]}')
    signature.check('{"points": null}')
    with pytest.raises(InvalidPayload) as refused:
        signature.check('{"points": [{"x": 1, "y": 2}, {"y": 2, "x": 1}]}')
    assert refused.value.faults == (Fault("/points/1", "is the same as an item before it"),)
