"""How a value is asked for in a form: what stands in the control for it, and what is meant by what came back.

Values are JSON texts on both sides, so that a number keeps each of its digits.
"""

import re
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import ClassVar, Final

import msgspec

#: What browsers let pass as a number, apart: JSON has no leading zeros, and none left out.
_NUMBER: Final = re.compile(r"(?P<sign>-?)0*(?P<whole>[0-9]*)(?P<fraction>\.[0-9]+)?(?P<exponent>[eE][+-]?[0-9]+)?")

_string: Final = msgspec.json.Decoder(str)
_strings: Final = msgspec.json.Decoder(list[str])


class NoJson(ValueError):
    """What was typed is no JSON."""


@dataclass(frozen=True, slots=True)
class Control(ABC):
    """One way to ask. ``attributes`` are those of the HTML element."""

    attributes: Mapping[str, str] = field(default_factory=dict)
    #: What nothing means; None: that nothing was said.
    empty: str | None = None
    #: Which element the template draws, how what is typed is to be understood, and whether it is code.
    element: ClassVar[str]
    asks: ClassVar[str] = ""
    is_code: ClassVar[bool] = False

    @abstractmethod
    def shown(self, value: str) -> str | None:
        """What stands in the control for a value; None where the control cannot show it."""

    @abstractmethod
    def meant(self, text: str) -> str | None:
        """The value that is meant by a text, a JSON text; None: nothing was said.

        Raises:
            NoJson: it should be JSON, and is none.
        """

    def at(self, place: str) -> str:
        """A place within the value, such as ``/0``, in words."""
        return f"at {place}: "


@dataclass(frozen=True, slots=True)
class Line(Control):
    """Text of one line; or a paragraph, where ``element`` says so."""

    element: ClassVar[str] = "input"

    def shown(self, value: str) -> str | None:
        return _text_of(value)

    def meant(self, text: str) -> str | None:
        return _json(text.replace("\r\n", "\n")) if text else self.empty


@dataclass(frozen=True, slots=True)
class Paragraph(Line):
    """Text of any number of lines."""

    element: ClassVar[str] = "textarea"


@dataclass(frozen=True, slots=True)
class Number(Control):
    """A number, to the last digit as it was typed."""

    element: ClassVar[str] = "input"

    def shown(self, value: str) -> str | None:
        return value if _is_number(value) else None

    def meant(self, text: str) -> str | None:
        text = text.strip()
        if not text:
            return self.empty
        found = _NUMBER.fullmatch(text)
        if found is None or not (found["whole"] or found["fraction"] or "0" in text):
            return _json(text)  # the check says what is wrong with it
        return f"{found['sign']}{found['whole'] or '0'}{found['fraction'] or ''}{found['exponent'] or ''}"


@dataclass(frozen=True, slots=True)
class Check(Control):
    """Yes or no."""

    element: ClassVar[str] = "checkbox"

    def shown(self, value: str) -> str | None:
        return {"true": "on", "false": ""}.get(value)

    def meant(self, text: str) -> str | None:
        return "true" if text else "false"


@dataclass(frozen=True, slots=True)
class Choice(Control):
    """One of some values, each with how it is called."""

    element: ClassVar[str] = "select"
    choices: Sequence[tuple[str, str]] = ()

    def shown(self, value: str) -> str | None:
        return value if any(value == choice for choice, _ in self.choices) else None

    def meant(self, text: str) -> str | None:
        if not text:
            return self.empty
        return text if self.shown(text) else _json(text)


@dataclass(frozen=True, slots=True)
class Lines(Control):
    """Texts, one a line. ``alone``: a single one may also stand by itself, in no list."""

    element: ClassVar[str] = "textarea"
    asks: ClassVar[str] = "One a line."
    alone: bool = False

    def shown(self, value: str) -> str | None:
        if self.alone and (text := _text_of(value)) is not None:
            return None if "\n" in text else text
        try:
            texts = _strings.decode(value)
        except msgspec.MsgspecError:
            return None
        # A list of one is not the same as that one.
        odd = any("\n" in text or text != text.strip() or not text for text in texts)
        return None if odd or (self.alone and len(texts) == 1) else "\n".join(texts)

    def meant(self, text: str) -> str | None:
        texts = [line.strip() for line in text.splitlines() if line.strip()]
        if not texts:
            return self.empty
        return _json(texts[0]) if self.alone and len(texts) == 1 else _json(texts)

    def at(self, place: str) -> str:
        first, _, rest = place.removeprefix("/").partition("/")
        return f"line {int(first) + 1}: " if first.isdecimal() and not rest else f"at {place}: "


@dataclass(frozen=True, slots=True)
class Json(Control):
    """Anything else, as JSON."""

    element: ClassVar[str] = "textarea"
    asks: ClassVar[str] = "JSON."
    is_code: ClassVar[bool] = True

    def shown(self, value: str) -> str | None:
        return msgspec.json.format(value, indent=2)

    def meant(self, text: str) -> str | None:
        if not text.strip():
            return self.empty
        try:
            msgspec.json.decode(text, type=msgspec.Raw)
        except msgspec.DecodeError as error:
            raise NoJson(f"is not JSON: {str(error).removeprefix('JSON is malformed: ')}") from None
        except RecursionError:
            raise NoJson("is nested too deeply") from None
        return text.strip()


def _json(value: str | list[str]) -> str:
    return msgspec.json.encode(value).decode()


def _text_of(value: str) -> str | None:
    try:
        return _string.decode(value)
    except msgspec.MsgspecError:
        return None


def _is_number(value: str) -> bool:
    return value[:1] in "-0123456789"
