"""The form of a type: its fields, what stands in them, what they mean, and which fault belongs to which."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

import msgspec

from api.dashboard.payload_form.controls import Control, Json, NoJson
from api.dashboard.payload_form.fields import alternatives, control_of
from jobplatform.errors import Fault

_members: Final = msgspec.json.Decoder(dict[str, msgspec.Raw])


@dataclass(frozen=True, slots=True)
class Field:
    """One property of the payload."""

    name: str
    control: Control
    required: bool
    #: What the schema says of it.
    help: str
    #: The JSON text of what holds where it is left out.
    default: str | None

    @property
    def posted_as(self) -> str:
        """Its name in the form, where it stands beside fields of other things."""
        return f"payload.{self.name}"


class Posted(NamedTuple):
    """What a form meant: the payload's JSON text, and what cannot be part of it."""

    payload: str
    faults: tuple[Fault, ...]


class PayloadForm:
    """A form with a field for each property of a schema.

    What a field shows is what it means. An optional one that is empty is left out of the payload.
    """

    def __init__(self, schema: Mapping[str, Any]) -> None:
        definitions = schema.get("$defs", {})
        required = schema.get("required", ())
        self.fields = [
            _field(name, of_one, definitions, required=name in required)
            for name, of_one in schema.get("properties", {}).items()
        ]

    def empty(self) -> dict[str, str]:
        """What stands in the fields at first, by the names under which they are posted: the defaults."""
        return {field.posted_as: _first(field) for field in self.fields}

    def filled(self, payload: str) -> dict[str, str] | None:
        """What stands in the fields for a payload; None where they cannot show all of it."""
        try:
            given = _members.decode(payload)
        except msgspec.MsgspecError:
            return None
        texts = dict.fromkeys((field.posted_as for field in self.fields), "")
        known = {field.name: field for field in self.fields}
        for name, value in given.items():
            if name not in known:
                return None
            text = "" if bytes(value) == b"null" else known[name].control.shown(bytes(value).decode())
            if text is None:
                return None
            texts[known[name].posted_as] = text
        return texts

    def read(self, posted: Mapping[str, str]) -> Posted:
        """What these fields mean."""
        members: dict[str, msgspec.Raw] = {}
        faults: list[Fault] = []
        for field in self.fields:
            try:
                value = field.control.meant(posted.get(field.posted_as, ""))
            except NoJson as error:
                faults.append(Fault(_pointer(field.name), str(error)))
                continue
            if value is not None:
                members[field.name] = msgspec.Raw(value)
        return Posted(msgspec.json.encode(members).decode(), tuple(faults))

    def beside(self, faults: Iterable[Fault]) -> dict[str, list[str]]:
        """What to say beside which field, by its posted name; under no name, what is about none of them.

        The pointers start at the payload. Of one field all that its own text cannot be is said, and nothing that
        follows from leaving it out.
        """
        said: dict[str, list[str]] = {}
        at = {_pointer(field.name): field for field in self.fields}
        for fault in faults:
            first, place = _first_step(fault.pointer)
            field = at.get(first)
            if field is None:
                said.setdefault("", []).append(f"{fault.pointer or 'The payload'} {fault.detail}".strip())
                continue
            texts = said.setdefault(field.posted_as, [])
            if not (texts and fault.detail == "is required"):
                texts.append(f"{field.control.at(place) if place else ''}{fault.detail}")
        return said


def _field(name: str, schema: Mapping[str, Any], definitions: Mapping[str, Any], *, required: bool) -> Field:
    control = control_of(schema, definitions, required=required)
    default = msgspec.json.encode(schema["default"]).decode() if "default" in schema else None
    if default not in (None, "null") and control.shown(default) is None:
        control = Json(attributes={"rows": "4"})
    said = (one.get("description", "") for one in (schema, *alternatives(schema, definitions)))
    return Field(name, control, required, next(filter(None, said), ""), default)


def _first(field: Field) -> str:
    if field.default in (None, "null"):
        return ""
    return field.control.shown(field.default) or ""


def _first_step(pointer: str) -> tuple[str, str]:
    step, slash, rest = pointer.removeprefix("/").partition("/")
    return f"/{step}", slash + rest


def _pointer(name: str) -> str:
    return "/" + name.replace("~", "~0").replace("/", "~1")
