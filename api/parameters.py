"""Query parameters, read with words about what is wrong with one. An empty one counts as left out."""

import re
from collections.abc import Collection, Iterable, Mapping
from datetime import UTC, datetime
from typing import Annotated, Final

import msgspec
from msgspec import Meta

from api.problems import INVALID_PARAMETER, Problem

#: How many items a list shows unless it is asked for another number, and at the most.
DEFAULT_LIMIT: Final = 50
MOST_LIMIT: Final = 500

_LONGEST: Final = 1_000
#: A plus sign that was not escaped arrives as a space.
_LOST_PLUS: Final = re.compile(r" (?=[0-9]{2}:[0-9]{2}$)")


class Parameters:
    """The parameters of a request; or the fields of a filter, which are read in the same way."""

    def __init__(self, given: Mapping[str, str | list[str]]) -> None:
        self._given = given

    def text(self, name: str, longest: int = _LONGEST) -> str | None:
        """A text without NUL; None where it is left out.

        Raises (as do all below):
            Problem: it is not what it must be (400).
        """
        given = self._given.get(name)
        if isinstance(given, list):
            raise faulty(name, "must come once")
        if not given:
            return None
        if "\0" in given or len(given) > longest:
            raise faulty(name, f"must be a text of at most {longest} characters, without NUL")
        return given

    def words(self, name: str, most: int = 50) -> tuple[str, ...]:
        """Words divided by commas, each once and sorted; the parameter may also come several times."""
        given = self._given.get(name) or ()
        words = {word.strip() for text in ([given] if isinstance(given, str) else given) for word in text.split(",")}
        words.discard("")
        if len(words) > most or any("\0" in word or len(word) > _LONGEST for word in words):
            raise faulty(name, f"must be at most {most} words of at most {_LONGEST} characters, without NUL")
        return tuple(sorted(words))

    def choice(self, name: str, choices: Collection[str]) -> str | None:
        """One of these words; None where it is left out."""
        given = self.text(name)
        if given is not None and given not in choices:
            raise faulty(name, f"must be one of {', '.join(choices)}")
        return given

    def time(self, name: str) -> datetime | None:
        """An RFC 3339 time with its zone; None where it is left out."""
        given = self.text(name)
        if given is None:
            return None
        try:
            at: datetime = msgspec.convert(_LOST_PLUS.sub("+", given), Annotated[datetime, Meta(tz=True)])
            return at.astimezone(UTC)  # Postgres knows no zone that is farther away than 16 hours
        except (msgspec.ValidationError, OverflowError):
            what = (
                "must be an RFC 3339 time with its zone, such as 2030-01-31T08:00:00Z, within the years 1 to 9999 UTC"
            )
            raise faulty(name, what) from None

    def whole(self, name: str, most: int) -> int | None:
        """A whole number from 1 on, larger ones brought down to ``most``; None where it is left out."""
        given = self.text(name)
        if given is None:
            return None
        if not (given.isascii() and given.isdecimal() and given.strip("0")):
            raise faulty(name, "must be a whole number from 1 on")
        return most if len(given.lstrip("0")) > len(str(most)) else min(int(given), most)

    def limit(self) -> int:
        """How many items to show."""
        return self.whole("limit", MOST_LIMIT) or DEFAULT_LIMIT

    def yes(self, name: str) -> bool:
        """Whether it is given as true."""
        return self.choice(name, ("true", "false")) == "true"


def refuse_unknown(given: Iterable[str], *known: str) -> None:
    """Refuse what is not known: where something is changed, a slip must not do what was only to be tried.

    Raises:
        Problem: one is not known (400).
    """
    for name in given:
        if name not in known:
            raise faulty(name, f"is not known to this call, which takes {' and '.join(known) or 'no query parameters'}")


def faulty(name: str, what: str) -> Problem:
    """The problem of a parameter that is not what it must be."""
    return Problem(INVALID_PARAMETER, f"{name} {what}.")
