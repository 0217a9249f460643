"""Forms that pages send: ``application/x-www-form-urlencoded``, read whole or not at all."""

from typing import Final
from urllib.parse import parse_qs

from api.problems import INVALID_BODY, INVALID_REQUEST, Problem
from api.request import Request

#: A form's fields beside a payload, and the most fields that one may have.
FORM_BYTES: Final = 65_536
_MOST_FIELDS: Final = 1_000

#: The longest reason, in characters.
MAX_REASON: Final = 1_000


class Form:
    """The fields of a form. A text area's lines end with ``\\n``, however the browser sent them."""

    def __init__(self, fields: dict[str, list[str]]) -> None:
        self._fields = fields

    def __contains__(self, name: str) -> bool:
        return name in self._fields

    def text(self, name: str) -> str:
        """The first value of a field, as it was typed; empty where there is none."""
        return self._fields.get(name, [""])[0]

    def all(self, name: str) -> list[str]:
        """All values of a field, such as those of ticked boxes."""
        return self._fields.get(name, [])

    def reason(self) -> str | None:
        """What stands in the field ``reason``; None where nothing does.

        Raises:
            Problem: it is too long (422).
        """
        reason = self.text("reason").strip()
        if len(reason) > MAX_REASON:
            raise Problem(INVALID_BODY, f"A reason may be {MAX_REASON} characters long at most.")
        return reason or None


async def read_form(req: Request, limit: int = FORM_BYTES) -> Form:
    """Read the form of a request, of at most ``limit`` bytes.

    Raises:
        Problem: it is none (400, 415), too long (413), or did not arrive whole (400).
    """
    body = await req.form_body(limit)
    try:
        given = parse_qs(body.decode("ascii"), keep_blank_values=True, errors="strict", max_num_fields=_MOST_FIELDS)
    except ValueError:
        raise Problem(INVALID_REQUEST, "The body is no form.") from None
    if any("\0" in text for name, texts in given.items() for text in (name, *texts)):
        raise Problem(INVALID_REQUEST, "A form may hold no NUL character.")
    return Form({name: [text.replace("\r\n", "\n") for text in texts] for name, texts in given.items()})
