"""A schema in words, for people: what each of its fields takes, row by row."""

from collections.abc import Iterator, Mapping
from typing import Any, Final, NamedTuple

import msgspec

from api.dashboard.payload_form.fields import alternatives, resolve

#: So deep are fields told apart: a schema may hold itself.
_DEEPEST: Final = 4
_KINDS: Final = {
    "string": "text",
    "integer": "whole number",
    "number": "number",
    "boolean": "yes or no",
    "object": "object",
    "null": "null",
}
_SEVERAL: Final = {
    "text": "texts",
    "whole number": "whole numbers",
    "number": "numbers",
    "object": "objects",
    "list": "lists",
}


class Row(NamedTuple):
    """A field. ``path`` begins with the fields it lies in: ``address.street``, ``rows[].n``."""

    path: str
    kind: str
    required: bool
    #: JSON text.
    default: str | None
    limits: list[str]
    description: str


def rows_of(schema: Mapping[str, Any]) -> list[Row]:
    """The fields of a schema, each followed by those within it."""
    return list(_rows(schema, schema.get("$defs", {}), "", _DEEPEST))


def _rows(schema: Mapping[str, Any], definitions: Mapping[str, Any], before: str, depth: int) -> Iterator[Row]:
    for name, of_one in schema.get("properties", {}).items():
        required = name in schema.get("required", ())
        options = alternatives(of_one, definitions)
        kinds = [_kind(option, definitions) for option in options if required or option.get("type") != "null"]
        said = (one.get("description", "") for one in (of_one, *options))
        yield Row(
            before + name,
            " or ".join(dict.fromkeys(kinds)),
            required,
            msgspec.json.encode(of_one["default"]).decode() if "default" in of_one else None,
            list(dict.fromkeys(limit for option in options for limit in _limits(option))),
            next(filter(None, said), ""),
        )
        if depth > 1:
            for option in options:
                inner = f"{before}{name}."
                while option.get("type") == "array" and isinstance(option.get("items"), dict):
                    option, inner = resolve(option["items"], definitions), f"{inner[:-1]}[]."
                yield from _rows(option, definitions, inner, depth - 1)


def _kind(schema: Mapping[str, Any], definitions: Mapping[str, Any]) -> str:
    if "enum" in schema or "const" in schema:
        return " or ".join(msgspec.json.encode(value).decode() for value in schema.get("enum", [schema.get("const")]))
    kind = schema.get("type")
    if kind == "array":
        items = schema.get("items")
        if not isinstance(items, dict) or not items:
            return "list"
        kinds = (_kind(option, definitions) for option in alternatives(items, definitions))
        return f"list of {' or '.join(_SEVERAL.get(kind, kind) for kind in kinds)}"
    if kind == "string" and "format" in schema:
        return f"text ({schema['format']})"
    return _KINDS.get(str(kind), "anything")


def _limits(schema: Mapping[str, Any]) -> Iterator[str]:
    yield from _span(schema.get("minLength"), schema.get("maxLength"), "character")
    yield from _span(schema.get("minItems"), schema.get("maxItems"), "item")
    for name, said in (
        ("minimum", "at least {}"),
        ("exclusiveMinimum", "more than {}"),
        ("maximum", "at most {}"),
        ("exclusiveMaximum", "less than {}"),
        ("multipleOf", "a multiple of {}"),
    ):
        if name in schema:
            yield said.format(msgspec.json.encode(schema[name]).decode())
    if schema.get("uniqueItems"):
        yield "no item twice"


def _span(least: int | None, most: int | None, of: str) -> Iterator[str]:
    if least is not None and most is not None:
        yield f"{least} {of}{'' if least == 1 else 's'}" if least == most else f"{least} to {most} {of}s"
    elif least is not None:
        yield f"at least {least} {of}{'' if least == 1 else 's'}"
    elif most is not None:
        yield f"at most {most} {of}{'' if most == 1 else 's'}"
