"""Searching in payloads: a text anywhere in it, or a value at a path. Whatever is asked for, no row makes it fail."""

import json
import re
from dataclasses import dataclass
from typing import Any, Final

#: In JSON that no Unicode text can hold, though a `json` column can: Postgres fails to take such strings apart.
#: (Pairs of backslashes are put out of the way first.)
_UNREADABLE: Final = (
    r"\\u0000"
    r"|\\u[dD][89abAB][0-9a-fA-F]{2}(?!\\u[dD][c-fC-F])"
    r"|(?<!\\u[dD][89abAB][0-9a-fA-F]{2})\\u[dD][c-fC-F]"
)
_PATH: Final = re.compile(r"\$\.([^=]+?)\s*={1,2}\s*(.*)", re.DOTALL)

#: The longest search, in characters.
MAX_SEARCH: Final = 1_000


@dataclass(frozen=True, slots=True)
class Search:
    """A search as a person writes it: ``report`` or ``$.to=ann@example.com``.

    - ``$.a.b=value``: what stands at this path, names and places in lists divided by dots, is this string, or is
      spelled so (``7``, ``true``, ``null``). In double quotes the value is a JSON string, and equals only strings.
    - Anything else: this text, small or capital letters alike, occurs in the payload's JSON.

    Raises:
        ValueError: it is empty, too long, or holds a NUL; in words to follow the parameter's name.
    """

    text: str

    def __post_init__(self) -> None:
        if not self.text or len(self.text) > MAX_SEARCH:
            raise ValueError(f"must be a text of 1 to {MAX_SEARCH} characters")
        if "\0" in self.text:
            raise ValueError("must not hold a NUL character")

    def condition(self) -> tuple[str, list[Any]]:
        """Its SQL over the ``payload`` of a row, with the values of its parameters."""
        if path := _PATH.fullmatch(self.text):
            return _at_path(path[1].split("."), path[2])
        spellings = _spellings(self.text)
        places = ["position(lower(%s) IN lower(payload::text)) > 0"] * len(spellings)
        return f"({' OR '.join(places)})", spellings


def _spellings(text: str) -> list[str]:
    """The text as it may stand in JSON: as it is, with its special characters escaped, or with all but ASCII."""
    cases = (text, text.lower(), text.upper())  # an escape hides what is the capital of what
    escaped = [json.dumps(case, ensure_ascii=ascii_only)[1:-1] for ascii_only in (False, True) for case in cases]
    return list({spelling.lower(): spelling for spelling in (text, *escaped)}.values())


def _at_path(path: list[str], value: str) -> tuple[str, list[Any]]:
    equal, values = "payload #>> %s::text[] = %s", [path, value]
    if value == "null":
        equal, values = f"({equal} OR json_typeof(payload #> %s::text[]) = 'null')", [*values, path]
    elif (string := _json_string(value)) is not None:
        equal, values = f"({equal} AND json_typeof(payload #> %s::text[]) = 'string')", [path, string, path]
    readable = f"CASE WHEN replace(payload::text, E'\\\\\\\\', '~~') ~ %s THEN false ELSE {equal} END"
    return (
        f"CASE WHEN position(E'\\\\u' IN payload::text) = 0 THEN {equal} ELSE {readable} END",
        [*values, _UNREADABLE, *values],
    )


def _json_string(value: str) -> str | None:
    try:
        decoded = json.loads(value)
        if not isinstance(decoded, str) or "\0" in decoded:
            return None
        decoded.encode()  # a lone surrogate has no form in Postgres
    except (ValueError, RecursionError):
        return None
    return decoded
