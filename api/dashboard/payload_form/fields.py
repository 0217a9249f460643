"""Which control a property of a schema gets, and what is said beside it."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, Final

import msgspec

from api.dashboard.payload_form.controls import Check, Choice, Control, Json, Line, Lines, Number, Paragraph
from api.dashboard.payload_form.pattern import html_pattern

#: A text that may be longer than this is asked for in an area, not in a line.
_LONG: Final = 1_000

_WITHOUT: Final = ("", "—")


def control_of(schema: Mapping[str, Any], definitions: Mapping[str, Any], *, required: bool) -> Control:
    """The control that asks for a value of this schema."""
    options = alternatives(schema, definitions)
    real = [option for option in options if option.get("type") != "null"]
    nullable = len(real) < len(options)
    control = _control(real, definitions, required=required and not nullable, nullable=nullable)
    return replace(control, empty="null") if required and nullable else control


def alternatives(schema: Mapping[str, Any], definitions: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """The schemas of which one must fit: one, where there is no choice. References are followed."""
    resolved = resolve(schema, definitions)
    found: list[Mapping[str, Any]] = []
    for option in resolved.get("anyOf", (resolved,)):
        option = resolve(option, definitions)
        if None in option.get("enum", ()):
            found += [{**option, "enum": [value for value in option["enum"] if value is not None]}, {"type": "null"}]
        else:
            found.append(option)
    return found


def resolve(schema: Mapping[str, Any], definitions: Mapping[str, Any]) -> Mapping[str, Any]:
    """The schema that a reference means, with what stands beside the reference."""
    reference = schema.get("$ref", "")
    if not reference.startswith("#/$defs/"):
        return schema
    beside = {name: value for name, value in schema.items() if name != "$ref"}
    return {**definitions.get(reference.removeprefix("#/$defs/"), {}), **beside}


def _control(
    options: Sequence[Mapping[str, Any]], definitions: Mapping[str, Any], *, required: bool, nullable: bool
) -> Control:
    if _are_one_or_several(options, definitions):
        return Lines({"rows": "2", **_needed(required)}, alone=True)
    if len(options) != 1:
        return Json({"rows": "4", **_needed(required)})
    (schema,) = options
    kind = schema.get("type")
    if "enum" in schema or "const" in schema:
        values = schema.get("enum", [schema.get("const")])
        return _choice([(_json(value), str(value)) for value in values], required=required)
    if kind == "boolean":
        return _choice([("true", "yes"), ("false", "no")], required=required) if nullable else Check()
    if kind in ("integer", "number"):
        return Number({"type": "number", **_bounds(schema, kind), **_needed(required)})
    if kind == "string":
        return _text(schema, required=required)
    if kind == "array" and _is_plain_text(schema.get("items"), definitions):
        needed = required and bool(schema.get("minItems"))
        return Lines({"rows": "3", **_needed(needed)}, empty="[]" if required and not needed else None)
    return Json({"rows": "4", **_needed(required)})


def _choice(choices: Sequence[tuple[str, str]], *, required: bool) -> Choice:
    first = () if required and len(choices) == 1 else (("", "Choose…") if required else _WITHOUT,)
    return Choice(_needed(required), choices=(*first, *choices))


def _text(schema: Mapping[str, Any], *, required: bool) -> Line:
    lengths = {bound.lower(): str(schema[bound]) for bound in ("minLength", "maxLength") if bound in schema}
    may_be_empty = not schema.get("minLength") and not schema.get("format")
    empty = '""' if required and may_be_empty else None
    # What has a shape, a format or examples is one line.
    shaped = schema.keys() & {"pattern", "format", "examples", "minLength"}
    if not shaped and schema.get("maxLength", _LONG + 1) > _LONG:
        return Paragraph({"rows": "3", **lengths}, empty=empty)
    attributes = {"type": "date" if schema.get("format") == "date" else "text", **lengths}
    if "pattern" in schema and (pattern := html_pattern(schema["pattern"])) is not None:
        attributes["pattern"] = pattern
    if examples := schema.get("examples"):
        attributes["placeholder"] = str(examples[0])
    return Line({**attributes, **_needed(required and not may_be_empty)}, empty=empty)


def _bounds(schema: Mapping[str, Any], kind: str) -> dict[str, str]:
    whole = kind == "integer"
    bounds = {"step": "1" if whole else "any"}
    for attribute, at_the_bound, beside_it, inwards in (
        ("min", "minimum", "exclusiveMinimum", 1),
        ("max", "maximum", "exclusiveMaximum", -1),
    ):
        if at_the_bound in schema:
            bounds[attribute] = _json(schema[at_the_bound])
        elif whole and isinstance(schema.get(beside_it), int):
            bounds[attribute] = str(schema[beside_it] + inwards)
    if "multipleOf" in schema and "min" not in bounds:  # a step counts from the minimum
        bounds["step"] = _json(schema["multipleOf"])
    return bounds


def _are_one_or_several(options: Sequence[Mapping[str, Any]], definitions: Mapping[str, Any]) -> bool:
    """Whether a text is wanted, or a list of such."""
    by_kind = {option.get("type"): option for option in options}
    if len(options) != 2 or by_kind.keys() != {"string", "array"} or "enum" in by_kind["string"]:
        return False
    return _is_plain_text(by_kind["array"].get("items"), definitions)


def _is_plain_text(items: object, definitions: Mapping[str, Any]) -> bool:
    if not isinstance(items, dict):
        return False
    return resolve(items, definitions).get("type") == "string"


def _needed(required: bool) -> dict[str, str]:
    return {"required": ""} if required else {}


def _json(value: Any) -> str:
    return msgspec.json.encode(value).decode()
