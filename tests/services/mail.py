"""A mail server that records what it gets, and refuses whom it is told to."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from email import message_from_bytes, policy
from email.message import EmailMessage
from typing import Any

from aiosmtpd.controller import Controller

from jobplatform.local.ports import free_port


@dataclass(frozen=True)
class Mail:
    """One mail as it was delivered."""

    sender: str
    recipients: list[str]
    message: EmailMessage


@dataclass
class MailServer:
    """Set ``answers`` before the mail comes; read ``mails`` after."""

    port: int
    #: What each recipient's RCPT TO is answered, such as "550 no such user"; who is not named is accepted.
    answers: dict[str, str] = field(default_factory=dict)
    #: What each mail's DATA is answered, such as "451 later"; None: it is taken.
    refusal: str | None = None
    #: The mails taken, in order.
    mails: list[Mail] = field(default_factory=list)
    #: All recipients asked for, also those refused.
    asked: list[str] = field(default_factory=list)

    @property
    def url(self) -> str:
        return f"smtp://127.0.0.1:{self.port}"

    async def handle_RCPT(  # noqa: N802 - aiosmtpd's name
        self, _server: Any, _session: Any, envelope: Any, address: str, _options: list[str]
    ) -> str:
        self.asked.append(address)
        if answer := self.answers.get(address):
            return answer
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, _server: Any, _session: Any, envelope: Any) -> str:  # noqa: N802
        if self.refusal is not None:
            return self.refusal
        message = message_from_bytes(envelope.content, policy=policy.default)
        assert isinstance(message, EmailMessage)
        self.mails.append(Mail(envelope.mail_from, list(envelope.rcpt_tos), message))
        return "250 OK"


@contextmanager
def mail_server(**options: Any) -> Iterator[MailServer]:
    """A mail server on 127.0.0.1; ``options`` are those of aiosmtpd's `Controller`."""
    server = MailServer(free_port())
    controller = Controller(server, hostname="127.0.0.1", port=server.port, **options)
    controller.start()
    try:
        yield server
    finally:
        controller.stop()
