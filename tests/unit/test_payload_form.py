"""The form of a type: which field asks for what, and the payload that a filled one makes."""

from datetime import date
from enum import StrEnum
from typing import Annotated, Any, Literal, NotRequired, TypedDict

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import Meta

from actors.csv_export import csv_export
from actors.email_send import email_send
from api.dashboard.payload_form import Field, PayloadForm
from api.dashboard.payload_form.words import rows_of
from jobplatform.errors import Fault, InvalidPayload
from jobplatform.signature import Signature


class Colour(StrEnum):
    RED = "red"
    BLUE = "blue"


class Address(TypedDict):
    street: str
    more: NotRequired[list["Address"]]


def take(
    name: Annotated[str, Meta(min_length=1, max_length=50, pattern="^[a-z-]+$", description="Who.")],
    note: str,
    count: Annotated[int, Meta(ge=1, lt=10)],
    maybe: str | None,
    lines: list[str],
    share: Annotated[float, Meta(gt=0, le=1)] = 0.5,
    sure: bool = True,
    unsure: bool | None = None,
    colour: Colour = Colour.BLUE,
    size: Literal[1, 2] | None = None,
    tags: Annotated[list[str], Meta(description="Words.")] | None = None,
    to: str | list[str] | None = None,
    address: Address | None = None,
    day: date | None = None,
    more: Any = None,
) -> None: ...


SIGNATURE = Signature("TAKE", take)
FORM = PayloadForm(SIGNATURE.schema())


def field(name: str, form: PayloadForm = FORM) -> Field:
    return next(one for one in form.fields if one.name == name)


def read(**texts: str) -> Any:
    """The payload of a form of which only these fields were changed."""
    posted = FORM.read({**FORM.empty(), **{f"payload.{name}": text for name, text in texts.items()}})
    assert posted.faults == ()
    return msgspec.json.decode(posted.payload)


@pytest.mark.parametrize(
    ("name", "element", "attributes"),
    [
        ("name", "input", {"type": "text", "minlength": "1", "maxlength": "50", "required": ""}),
        ("note", "textarea", {"rows": "3"}),
        ("count", "input", {"type": "number", "step": "1", "min": "1", "max": "9", "required": ""}),
        ("maybe", "textarea", {"rows": "3"}),
        ("lines", "textarea", {"rows": "3"}),
        ("share", "input", {"type": "number", "step": "any", "max": "1"}),
        ("sure", "checkbox", {}),
        ("unsure", "select", {}),
        ("colour", "select", {}),
        ("tags", "textarea", {"rows": "3"}),
        ("to", "textarea", {"rows": "2"}),
        ("address", "textarea", {"rows": "4"}),
        ("day", "input", {"type": "date"}),
    ],
)
def test_each_kind_of_value_has_its_control(name: str, element: str, attributes: dict[str, str]) -> None:
    control = field(name).control

    assert (control.element, {**control.attributes, "pattern": ""}) == (element, {**attributes, "pattern": ""})


def test_a_field_tells_what_the_schema_says_of_it() -> None:
    assert (field("name").help, field("tags").help, field("note").help) == ("Who.", "Words.", "")
    assert field("fileName", PayloadForm(csv_export.signature.schema())).help.startswith("A name")
    assert [one.name for one in FORM.fields if one.required] == ["name", "note", "count", "maybe", "lines"]


def test_the_defaults_stand_in_the_fields() -> None:
    shown = {name.removeprefix("payload."): text for name, text in FORM.empty().items() if text}

    assert shown == {"share": "0.5", "sure": "on", "colour": '"blue"'}


def test_a_default_that_lines_cannot_show_is_asked_for_as_json() -> None:
    lists = {"type": "array", "items": {"type": "string"}}
    form = PayloadForm(
        {"properties": {"plain": {**lists, "default": ["a", "b"]}, "odd": {**lists, "default": [" spaced "]}}}
    )

    assert form.empty() == {"payload.plain": "a\nb", "payload.odd": '[\n  " spaced "\n]'}
    assert form.read(form.empty()).payload == '{"plain":["a","b"],"odd":[\n  " spaced "\n]}'


def test_what_a_form_shows_is_what_it_means_and_empty_optional_fields_are_left_out() -> None:
    payload = read(name="ada", count="3")

    assert payload == {
        "name": "ada", "note": "", "count": 3, "maybe": None, "lines": [], "share": 0.5, "sure": True,
        "colour": "blue",
    }  # fmt: skip
    SIGNATURE.check(msgspec.json.encode(payload))


def test_every_field_can_be_filled() -> None:
    payload = read(
        name="ada", note="a\r\nb", count="3", maybe="x", lines=" one \r\n\r\ntwo", share="", sure="", unsure="false",
        colour='"red"', size="2", tags="", to="ada@example.org", address='{"street": "Main"}', day="2030-01-31",
        more="[1.50]",
    )  # fmt: skip

    assert payload == {
        "name": "ada", "note": "a\nb", "count": 3, "maybe": "x", "lines": ["one", "two"], "sure": False,
        "unsure": False, "colour": "red", "size": 2, "to": "ada@example.org", "address": {"street": "Main"},
        "day": "2030-01-31", "more": [1.5],
    }  # fmt: skip
    assert read(name="ada", count="3", to="ada@example.org\nbob@example.org")["to"] == [
        "ada@example.org",
        "bob@example.org",
    ]
    SIGNATURE.check(msgspec.json.encode(payload))


@pytest.mark.parametrize(
    ("typed", "meant"),
    [
        ("12345678901234567890", "12345678901234567890"),
        ("-0.10", "-0.10"),
        (" 007 ", "7"),
        (".5", "0.5"),
        ("1E+5", "1E+5"),
        ("0", "0"),
        ("000", "0"),
        ("", None),
        ("many", '"many"'),
        ("-", '"-"'),
        ("1.", '"1."'),
    ],
)
def test_numbers_are_exact(typed: str, meant: str | None) -> None:
    assert field("share").control.meant(typed) == meant


def test_json_that_is_none_is_said_beside_its_field_alone() -> None:
    posted = FORM.read({**FORM.empty(), "payload.name": "ada", "payload.count": "many", "payload.address": "{street"})

    with pytest.raises(InvalidPayload) as raised:
        SIGNATURE.check(posted.payload)
    said = FORM.beside([*posted.faults, *raised.value.faults])

    assert set(said) == {"payload.address", "payload.count"}
    (of_address,) = said["payload.address"]
    assert of_address.startswith("is not JSON: ")
    assert said["payload.count"] == ["Expected `int`, got `str`"]


def test_faults_stand_beside_their_fields_and_name_the_line() -> None:
    faults = [
        Fault("/tags/1", "is bad"),
        Fault("/address/street", "is worse"),
        Fault("/a~1b", "is unknown"),
        Fault("", "is nested too deeply"),
    ]

    assert FORM.beside(faults) == {
        "payload.tags": ["line 2: is bad"],
        "payload.address": ["at /street: is worse"],
        "": ["/a~1b is unknown", "The payload is nested too deeply"],
    }


def test_a_payload_that_is_left_out_is_missed_once() -> None:
    posted = FORM.read({**FORM.empty(), "payload.name": "ada", "payload.count": "1"})
    form = PayloadForm(csv_export.signature.schema())
    unread = form.read({"payload.data": "[1,"})

    assert posted.faults == ()
    assert form.beside([*unread.faults, Fault("/data", "is required")]).keys() == {"payload.data"}
    assert len(form.beside([*unread.faults, Fault("/data", "is required")])["payload.data"]) == 1


def test_a_form_shows_the_payload_of_a_job() -> None:
    payload = '{"name":"ada","count":12345678901234567890,"maybe":null,"tags":["x"],"sure":false,"to":["a","b"]}'

    shown = FORM.filled(payload)

    assert shown is not None
    assert {name: text for name, text in shown.items() if text} == {
        "payload.name": "ada",
        "payload.count": "12345678901234567890",
        "payload.tags": "x",
        "payload.to": "a\nb",
    }


@pytest.mark.parametrize(
    "payload",
    ['{"unknown": 1}', '{"to": ["alone"]}', '{"tags": ["a\\nb"]}', '{"tags": [" a"]}', "[]", '{"count": "x"}'],
)
def test_a_payload_that_the_fields_cannot_show_is_not_shown_in_them(payload: str) -> None:
    assert FORM.filled(payload) is None


def test_emails_are_typed_as_lines() -> None:
    signature = email_send.signature
    form = PayloadForm(signature.schema())
    typed = {"payload.to": "ada@example.org", "payload.subject": "Hi", "payload.body": "Hello"}

    posted = form.read({**form.empty(), **typed})

    assert posted.payload == '{"to":"ada@example.org","subject":"Hi","body":"Hello"}'
    signature.check(posted.payload)


@given(
    st.fixed_dictionaries(
        {"name": st.text("abc-", min_size=1), "note": st.text(st.characters(exclude_characters="\r\0", codec="utf-8"))},
        optional={
            "count": st.integers(1, 9),
            "unsure": st.booleans(),
            "colour": st.sampled_from(["red", "blue"]),
            "size": st.sampled_from([1, 2]),
            "tags": st.lists(st.text("xyz ", min_size=1)),
            "to": st.text("xyz\n") | st.lists(st.text("xyz", min_size=1)),
            "address": st.builds(lambda street: {"street": street}, st.text("abc\n")),
        },
    )
)
def test_what_fields_show_of_a_payload_means_that_payload(payload: dict[str, Any]) -> None:
    shown = FORM.filled(msgspec.json.encode(payload).decode())

    if shown is not None:
        meant = msgspec.json.decode(FORM.read(shown).payload)
        left_out = {name for name, value in payload.items() if value in ("", [])}
        expected: dict[str, Any] = {"sure": False, "maybe": None, "lines": [], "note": ""}
        assert meant == {**expected, **{name: value for name, value in payload.items() if name not in left_out}}


def test_a_schema_is_told_in_rows() -> None:
    rows = {row.path: row for row in rows_of(SIGNATURE.schema())}

    assert rows["name"] == (
        "name", "text", True, None, ["1 to 50 characters"], "Who."
    )  # fmt: skip
    assert (rows["count"].kind, rows["count"].limits) == ("whole number", ["at least 1", "less than 10"])
    assert (rows["maybe"].kind, rows["unsure"].kind) == ("text or null", "yes or no")
    assert (rows["colour"].kind, rows["colour"].default) == ('"blue" or "red"', '"blue"')
    assert (rows["to"].kind, rows["tags"].kind) == ("text or list of texts", "list of texts")
    assert (rows["day"].kind, rows["more"].kind) == ("text (date)", "anything")
    assert rows["address.street"].required
    assert rows["address.more[].street"].kind == "text"
