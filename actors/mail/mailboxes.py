"""A mailbox: an e-mail address, with or without the name of whom it belongs to."""

import re
from dataclasses import dataclass
from email.header import Header
from typing import Annotated, Final, Self

from msgspec import Meta

from actors.mail import Undeliverable

_ADDRESS: Final = r"[^\s@<>,;]+@[^\s@<>,;]+"
#: The end of the text, and nothing else, in Python and in JSON Schema: `$` lets a last line break pass.
_END: Final = r"(?![\s\S])"

#: How a mailbox is written in a payload. The pattern sees the outline; `Mailbox.parse` sees the rest.
MailboxText = Annotated[
    str,
    Meta(
        min_length=3,
        max_length=400,
        pattern=rf"^({_ADDRESS}|[^<>\r\n]*<{_ADDRESS}>){_END}",
        description="An e-mail address, or a name with the address in angle brackets.",
        examples=["ada@example.org", "Ada Lovelace <ada@example.org>"],
    ),
]

#: Text that no header can be slipped into, such as a subject.
Line = Annotated[str, Meta(max_length=900, pattern=rf"^[^\r\n]*{_END}", description="One line of text.")]

_WRITTEN: Final = re.compile(rf"(?P<name>[^<>]*)<(?P<named>{_ADDRESS})>|(?P<plain>{_ADDRESS})")
_CONTROL: Final = re.compile(r"[\x00-\x08\x0a-\x1f\x7f-\x9f\u2028\u2029]")
_LOCAL_PART: Final = re.compile(
    r"[\w!#$%&'*+/=?^`{|}~\u0080-\U0010ffff-]+(?:\.[\w!#$%&'*+/=?^`{|}~\u0080-\U0010ffff-]+)*"
)
_WORDS: Final = re.compile(r"[\w!#$%&'*+/=?^`{|}~-]+(?: [\w!#$%&'*+/=?^`{|}~-]+)*", re.ASCII)
_LABEL: Final = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?", re.IGNORECASE | re.ASCII)
#: What Python's IDNA (2003) turns into another domain than today's (2008) does: never guess at whose mail it is.
_AMBIGUOUS: Final = re.compile("[ß\N{GREEK SMALL LETTER FINAL SIGMA}\N{ZERO WIDTH NON-JOINER}\N{ZERO WIDTH JOINER}]")
#: Longer names, and those outside ASCII, go into encoded words: a header's line must not break inside a quoted name.
_SHORT: Final = 60


@dataclass(frozen=True)
class Mailbox:
    """A mailbox whose domain is in ASCII; its local part may need SMTPUTF8."""

    name: str
    local_part: str
    domain: str

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read ``ada@example.org`` or ``Ada <ada@example.org>``.

        Raises:
            Undeliverable: no mail can go there; says why.
        """
        written = _WRITTEN.fullmatch(one_line(text, "An e-mail address"))
        if written is None:
            raise Undeliverable(f"{text!r} is not an e-mail address.")
        local_part, _, domain = (written["named"] or written["plain"]).partition("@")
        if not _LOCAL_PART.fullmatch(local_part) or len(local_part.encode()) > 64:
            raise Undeliverable(f"{text!r} is not an e-mail address: what precedes the @ is not valid.")
        return cls(_unquoted((written["name"] or "").strip()), local_part, _ascii(domain, text))

    @property
    def address(self) -> str:
        return f"{self.local_part}@{self.domain}"

    @property
    def is_ascii(self) -> bool:
        """Whether any mail server can deliver to it."""
        return self.local_part.isascii()

    def __str__(self) -> str:
        """As it stands in a header; folded where the name is long."""
        if not self.name:
            return self.address
        space = "\r\n " if len(self.name) > _SHORT else " "
        return f"{_phrase(self.name)}{space}<{self.address}>"


def one_line(text: str, what: str) -> str:
    """The text, if it is one line without control characters.

    Raises:
        Undeliverable: it is not.
    """
    if _CONTROL.search(text):
        raise Undeliverable(f"{what} must be one line of text, without control characters: {text!r}.")
    return text


def encoded_words(text: str, header: str | None = None) -> str:
    """The text as RFC 2047 encoded words, folded; ``header`` is the name that stands before it on its first line."""
    return Header(text, "utf-8", header_name=header).encode(linesep="\r\n")


def _phrase(name: str) -> str:
    if not name.isascii() or len(name) > _SHORT or "=?" in name:
        return encoded_words(name)
    if _WORDS.fullmatch(name):
        return name
    return '"' + re.sub(r'(["\\])', r"\\\1", name) + '"'


def _unquoted(name: str) -> str:
    if len(name) >= 2 and name[0] == name[-1] == '"':
        return re.sub(r"\\(.)", r"\1", name[1:-1])
    return name


def _ascii(domain: str, text: str) -> str:
    if _AMBIGUOUS.search(domain):
        raise Undeliverable(f"{text!r}: write this domain as its registry does, beginning with xn--.")
    try:
        plain = domain if domain.isascii() else domain.encode("idna").decode()
    except UnicodeError:
        plain = ""
    if len(plain) > 253 or not all(_LABEL.fullmatch(label) for label in plain.split(".")):
        raise Undeliverable(f"{text!r} is not an e-mail address: what follows the @ is not a domain.")
    return plain
