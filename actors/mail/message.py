"""Composes the message that travels: headers that nothing can be slipped into, and safe line ends."""

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from email.message import EmailMessage
from email.policy import SMTP, SMTPUTF8, EmailPolicy
from typing import Final, Self

from actors.mail.mailboxes import Mailbox, encoded_words, one_line

#: Seven-bit bodies pass every server. They are encoded where they hold more, or long lines.
_PLAIN: Final = SMTP.clone(cte_type="7bit")
_INTERNATIONAL: Final = SMTPUTF8.clone(cte_type="7bit")


def compose(
    *,
    job_id: str,
    sender: Mailbox,
    to: Sequence[Mailbox],
    subject: str,
    body: str,
    html: str | None = None,
    cc: Sequence[Mailbox] = (),
    reply_to: Mailbox | None = None,
) -> EmailMessage:
    """Build a message whose ``Message-ID`` is the job's id at the sender's domain: a repetition is recognisable.

    Raises:
        Undeliverable: the subject is more than one line.
    """
    mailboxes = [sender, *to, *cc, *([reply_to] if reply_to else [])]
    message = EmailMessage(_PLAIN if all(mailbox.is_ascii for mailbox in mailboxes) else _INTERNATIONAL)
    message["Date"] = datetime.now(UTC)
    message["Message-ID"] = f"<{job_id}@{sender.domain}>"
    message["From"] = _Written.mailboxes("From", [sender])
    message["To"] = _Written.mailboxes("To", to)
    if cc:
        message["Cc"] = _Written.mailboxes("Cc", cc)
    if reply_to:
        message["Reply-To"] = _Written.mailboxes("Reply-To", [reply_to])
    message["Subject"] = _Written.text("Subject", subject)
    message.set_content(body)
    if html is not None:
        message.add_alternative(html, subtype="html")
    return message


class _Written(str):
    """A header's value that is written as it is.

    The standard library would decode encoded words in it, and drop the quotes of a name that it must break.
    """

    __slots__ = ("name",)
    name: str

    @classmethod
    def mailboxes(cls, name: str, mailboxes: Iterable[Mailbox]) -> Self:
        """One mailbox a line."""
        return cls._named(name, ",\r\n ".join(map(str, mailboxes)))

    @classmethod
    def text(cls, name: str, text: str) -> Self:
        """One line of text, encoded where it is long or holds more than ASCII.

        Raises:
            Undeliverable: it is more than one line.
        """
        one_line(text, f"The {name.lower()}")
        plain = text.isascii() and "=?" not in text and text == text.strip() and len(text) < 60
        return cls._named(name, text if plain else encoded_words(text, name))

    @classmethod
    def _named(cls, name: str, value: str) -> Self:
        header = cls(value)
        header.name = name
        return header

    def fold(self, *, policy: EmailPolicy) -> str:
        """The whole header, as it travels."""
        return f"{self.name}: {self}{policy.linesep}"
