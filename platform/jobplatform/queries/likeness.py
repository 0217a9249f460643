"""What failures of one cause have in common: the kind, the exception's name, and what of the message stays the same."""

import re
from typing import Any, Final, NamedTuple, Self

#: So many characters of a message are looked at; and so many of what they have in common are kept.
LOOKED_AT: Final = 600
_KEPT: Final = 300

#: What differs from one failure to the next of the same cause, and what is shown in its place.
_VARIABLE: Final = (
    (re.compile(r"[0-9a-fA-F]{8}-(?:[0-9a-fA-F]{4}-){3}[0-9a-fA-F]{12}"), "<id>"),
    (re.compile(r'"[^"]*"|“[^”]*”|(?<!\w)\'[^\']*\'(?!\w)'), "<text>"),
    (re.compile(r"[\w.+-]+@[\w-]+\.[\w.-]+"), "<address>"),
    (re.compile(r"\b0x[0-9a-fA-F]+\b|\b(?=[0-9a-fA-F]*[0-9])(?=[0-9a-fA-F]*[a-fA-F])[0-9a-fA-F]{8,}\b"), "<hex>"),
    (re.compile(r"\d+(?:[.,:]\d+)*"), "<n>"),
)


class Likeness(NamedTuple):
    """What the errors of some jobs have in common. As a text: ``error:OSError:no answer from <n>``."""

    #: As in a job's ``error``; ``error`` is the exception's name, if it was one.
    kind: str | None
    error: str | None
    #: Without what differs from job to job.
    message: str

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read it from its text.

        Raises:
            ValueError: it has no such form; in words to follow the parameter's name.
        """
        kind, first, rest = text.partition(":")
        error, second, message = rest.partition(":")
        if not (first and second):
            raise ValueError("must be a failure as GET /failures names it, such as error:OSError:no answer from <n>")
        return cls(kind or None, error or None, message)

    def __str__(self) -> str:
        return f"{self.kind or ''}:{self.error or ''}:{self.message}"

    def condition(self) -> tuple[str, list[Any]]:
        """The SQL of what a row of ``jobs`` must be for its message to be worth a look, with its parameters' values."""
        return (
            "json_typeof(error) = 'object' AND coalesce(error->>'kind', '') = %s AND coalesce(error->>'type', '') = %s",
            [self.kind or "", self.error or ""],
        )

    def is_of(self, message: str | None) -> bool:
        """Whether a message, of which `LOOKED_AT` characters are given, is one of these."""
        return without_variables(message or "") == self.message


def without_variables(message: str) -> str:
    """A message's first line with placeholders for ids, quoted texts, addresses and numbers."""
    line = message.strip().partition("\n")[0]
    for pattern, placeholder in _VARIABLE:
        line = pattern.sub(placeholder, line)
    return line[:_KEPT]
