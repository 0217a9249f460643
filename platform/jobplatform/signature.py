"""A function's signature as the schema of its payload: it checks, decodes, encodes and describes.

Two structs are made of the parameters. One checks payloads and gives the schema; the other decodes them for the
function. They differ only below `Holds`.
"""

import copy
import ctypes
import inspect
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from itertools import islice
from types import UnionType
from typing import Annotated, Any, Final, Union, get_args, get_origin, get_type_hints

import msgspec

from jobplatform.errors import Fault, InvalidPayload

#: So many faults of one payload are named: one more than anybody is shown. A small payload can have 100,000.
MOST_FAULTS: Final = 101


@dataclass(frozen=True)
class Holds:
    """Says what a ``msgspec.Raw`` parameter holds: ``Annotated[msgspec.Raw, Holds(dict[str, int])]``.

    It is checked as that type when a job is submitted, and handed to the function undecoded: a long list can be
    decoded item by item.
    """

    type: Any


class Signature:
    """What an actor takes. A parameter's trailing underscore is not part of its public name (``from_``)."""

    def __init__(self, name: str, function: Callable[..., Any]) -> None:
        """Read it off a function.

        Raises:
            TypeError: a parameter is not taken by name, or has a type that JSON Schema cannot describe.
        """
        parameters = inspect.signature(function).parameters.values()
        if odd := [p.name for p in parameters if p.kind not in (p.POSITIONAL_OR_KEYWORD, p.KEYWORD_ONLY)]:
            raise TypeError(f"{name}: an actor takes parameters by name only, not {', '.join(odd)}")
        hints = get_type_hints(function, include_extras=True)
        self._names = {p.name: _public(p.name) for p in parameters}
        self._checked = _struct(name, parameters, {n: _what_it_holds(hint) for n, hint in hints.items()})
        self._given = _struct(name, parameters, hints)
        self._check = _decoder(self._checked)
        self._decode = _decoder(self._given)
        self._schema = _schema(self._checked)
        self._meanings = _meanings(self._schema)
        self._fields = {f.encode_name: (f, _decoder(f.type)) for f in msgspec.structs.fields(self._checked)}
        self._known = ", ".join(self._fields) or "none"
        self._unique = [n for n in self._fields if _is_unique(self._schema["properties"][n])]

    def check(self, payload: bytes | str) -> None:
        """Accept a payload, a JSON text.

        Raises:
            InvalidPayload: with a fault for each faulty field, `MOST_FAULTS` at most.
        """
        try:
            given = self._check.decode(payload)
        except msgspec.ValidationError as error:
            faults = tuple(islice(self._faults(payload), MOST_FAULTS))
            raise InvalidPayload(faults or (self._fault("", error),)) from None
        except (msgspec.DecodeError, UnicodeError, RecursionError) as error:
            raise InvalidPayload((self._fault("", error),)) from None
        if self._unique and next(self._repeated(given), None) is not None:
            raise InvalidPayload(tuple(islice(self._repeated(given), MOST_FAULTS)))
        mark: Any = b"\\u0000" if isinstance(payload, bytes) else "\\u0000"
        # An escaped backslash before "u0000" is no NUL, so look at what the text means.
        if mark in payload and (faults := _nuls_of(payload)):
            raise InvalidPayload(faults)

    def decode(self, payload: str) -> dict[str, Any]:
        """Turn a payload into the function's keyword arguments, defaults filled in.

        Raises:
            InvalidPayload: it no longer fits, for instance because the function has changed since.
        """
        try:
            given = self._decode.decode(payload)
        except (msgspec.MsgspecError, UnicodeError, RecursionError) as error:
            raise InvalidPayload((self._fault("", error),)) from None
        return {name: getattr(given, name) for name in self._names}

    def encode(self, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> str:
        """Turn a call's arguments into a payload, and check it. What was not given is left to the default.

        Raises:
            InvalidPayload: they do not fit the signature, or cannot be told in JSON.
        """
        if len(args) > len(self._names):
            raise InvalidPayload((Fault("", f"takes {len(self._names)} arguments, not {len(args)}"),))
        given = dict(zip(self._names, args, strict=False))
        if twice := given.keys() & kwargs.keys():
            raise InvalidPayload(tuple(Fault(f"/{_public(name)}", "is given twice") for name in sorted(twice)))
        named = {self._names.get(name, name): value for name, value in {**given, **kwargs}.items()}
        try:
            payload = msgspec.json.encode(named)
        except (TypeError, ValueError, UnicodeError, RecursionError, OverflowError) as error:
            raise InvalidPayload((Fault("", f"cannot be told in JSON: {error}"),)) from None
        self.check(payload)
        return payload.decode()

    def schema(self) -> dict[str, Any]:
        """The payload's JSON Schema (draft 2020-12), complete in itself."""
        return self._schema

    def _faults(self, payload: bytes | str) -> Iterator[Fault]:
        """Look at each field by itself: the decoder stops at the first fault. Nothing, if the whole is no object."""
        try:
            values = msgspec.json.decode(payload, type=dict[str, msgspec.Raw])
        except (msgspec.MsgspecError, UnicodeError, RecursionError):
            return
        for name, value in values.items():
            if name not in self._fields:
                yield Fault(f"/{_escape(name)}", f"is not a field of this type, which has {self._known}")
                continue
            try:
                self._fields[name][1].decode(value)
            except (msgspec.MsgspecError, UnicodeError, RecursionError) as error:
                yield self._fault(f"/{_escape(name)}", error)
        for name, (field, _) in self._fields.items():
            if field.required and name not in values:
                yield Fault(f"/{_escape(name)}", "is required")

    def _fault(self, base: str, error: Exception) -> Fault:
        fault = _fault(base, error)
        return Fault(fault.pointer, self._meanings.get(fault.detail, fault.detail))

    def _repeated(self, given: msgspec.Struct) -> Iterator[Fault]:
        """The items that must not come twice, and do: msgspec describes ``uniqueItems``, but does not check it."""
        for name in self._unique:
            seen: set[bytes] = set()
            for place, item in enumerate(getattr(given, self._fields[name][0].name) or ()):
                if (text := msgspec.json.encode(item, order="deterministic")) in seen:
                    yield Fault(f"/{_escape(name)}/{place}", "is the same as an item before it")
                seen.add(text)


def _public(parameter: str) -> str:
    return parameter.removesuffix("_")


def _decoder(of: Any) -> msgspec.json.Decoder[Any]:
    """A decoder that is never freed, not even at exit.

    msgspec 0.22.0 corrupts memory when it frees a union of a ``str`` that has a pattern with a list, set or dict.
    """
    decoder = msgspec.json.Decoder(of)
    ctypes.pythonapi.Py_IncRef(ctypes.py_object(decoder))
    return decoder


def _struct(name: str, parameters: Any, hints: Mapping[str, Any]) -> type[msgspec.Struct]:
    return msgspec.defstruct(
        name,
        [_field(parameter, hints.get(parameter.name, Any)) for parameter in parameters],
        kw_only=True,
        forbid_unknown_fields=True,
        rename=_public,
    )


def _schema(struct: type[msgspec.Struct]) -> dict[str, Any]:
    _, components = msgspec.json.schema_components([struct], ref_template="#/$defs/{name}")
    schema: dict[str, Any] = components.pop(struct.__name__)
    return {**schema, "$defs": components} if components else schema


def _meanings(schema: Any) -> dict[str, str]:
    """What to say where a pattern is missed, by what msgspec says: the description beside it, if there is just one."""
    found: dict[str, set[str]] = {}
    for pattern, description in _patterns(schema):
        found.setdefault(pattern, set()).add(description)
    return {
        f"Expected `str` matching regex {pattern!r}": f"Expected: {description}"
        for pattern, (description, *others) in found.items()
        if description and not others
    }


def _patterns(schema: Any) -> Iterator[tuple[str, str]]:
    if isinstance(schema, dict):
        if isinstance(pattern := schema.get("pattern"), str):
            yield pattern, str(schema.get("description", ""))
        schema = list(schema.values())
    if isinstance(schema, list):
        for within in schema:
            yield from _patterns(within)


def _is_unique(schema: Mapping[str, Any]) -> bool:
    return any(one.get("uniqueItems") for one in (schema, *schema.get("anyOf", ())))


def _field(parameter: inspect.Parameter, hint: Any) -> tuple[str, Any] | tuple[str, Any, Any]:
    if parameter.default is parameter.empty:
        return parameter.name, hint
    if isinstance(parameter.default, list | dict | set | bytearray):
        default = parameter.default
        return parameter.name, hint, msgspec.field(default_factory=lambda: copy.deepcopy(default))
    return parameter.name, hint, parameter.default


def _what_it_holds(hint: Any) -> Any:
    """The same type hint with each `Holds` replaced by the type that it names."""
    if get_origin(hint) is Annotated:
        inner, *extras = get_args(hint)
        for extra in extras:
            if isinstance(extra, Holds):
                rest = tuple(e for e in extras if e is not extra)
                return Annotated[(extra.type, *rest)] if rest else extra.type
        return Annotated[(_what_it_holds(inner), *extras)]
    arguments = get_args(hint)
    replaced = tuple(_what_it_holds(argument) for argument in arguments)
    if replaced == arguments:
        return hint
    if get_origin(hint) in (Union, UnionType):
        if any(isinstance(extra, Holds) for argument in arguments for extra in getattr(argument, "__metadata__", ())):
            # The decoder would take the JSON of all the others for this one.
            raise TypeError("what Holds annotates cannot be one type of several")
        return Union[replaced]  # noqa: UP007  # of a tuple
    return get_origin(hint)[replaced] if hint.__module__ != "typing" else hint.copy_with(replaced)


_PATH: Final = re.compile(r"^(?P<detail>.*?)(?: - at `(?:key` in `)?\$(?P<path>.*)`)?$", re.DOTALL)
_STEP: Final = re.compile(r"\.(?P<name>[^.\[\]]+)|\[(?P<index>\d+)\]|\[\.\.\.\]")


def _fault(base: str, error: Exception) -> Fault:
    if isinstance(error, RecursionError):
        return Fault(base, "is nested too deeply")
    if isinstance(error, UnicodeError):
        return Fault(base, "is not valid UTF-8")
    found = _PATH.match(str(error))
    detail, path = (found["detail"], found["path"] or "") if found else (str(error), "")
    return Fault(base + _pointer(path), detail)


def _pointer(path: str) -> str:
    """``.to[0]`` as ``/to/0``. Where msgspec does not tell a dictionary's key, the pointer ends at the dictionary."""
    pointer = ""
    for step in _STEP.finditer(path):
        if step[0] == "[...]":
            break
        pointer += "/" + _escape(step["name"] or step["index"])
    return pointer


def _escape(name: str) -> str:
    return name.replace("~", "~0").replace("/", "~1")


def _nuls_of(payload: bytes | str) -> tuple[Fault, ...]:
    try:
        return tuple(islice(_nuls(msgspec.json.decode(payload)), MOST_FAULTS))
    except RecursionError as error:  # msgspec goes a little deeper than we can
        return (_fault("", error),)


def _nuls(value: Any, pointer: str = "") -> Iterator[Fault]:
    if isinstance(value, str):
        if "\0" in value:
            yield Fault(pointer, "holds a NUL character, which Postgres cannot store")
    elif isinstance(value, list):
        for index, item in enumerate(value):
            yield from _nuls(item, f"{pointer}/{index}")
    elif isinstance(value, dict):
        for name, item in value.items():
            if "\0" in name:
                yield Fault(pointer, "holds a NUL character in a name, which Postgres cannot store")
            yield from _nuls(item, f"{pointer}/{_escape(name)}")
