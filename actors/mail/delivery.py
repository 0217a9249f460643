"""Hands a message to the mail server, and reads from its answers whether to try again."""

import smtplib
import socket
import ssl
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from email.message import EmailMessage
from email.policy import EmailPolicy
from functools import cache
from ipaddress import ip_address
from typing import Final, Self, TypedDict
from urllib.parse import unquote, urlsplit

from actors.mail import NotDelivered, Undeliverable

#: How long to wait for the connection and the greeting, and for each answer after that.
CONNECT_SECONDS: Final = 30.0
#: Generous: a mail whose last answer is not waited for is sent again.
ANSWER_SECONDS: Final = 120.0
_GOODBYE_SECONDS: Final = 5.0

#: Answers that speak of our login, not of the mail: once the setting is right, the same mail passes.
_LOGIN_CODES: Final = frozenset({530, 534, 535, 538})


class Refusal(TypedDict):
    """What the server said of one recipient."""

    code: int
    message: str


@dataclass(frozen=True)
class Delivery:
    """Who gets the mail, and who does not."""

    accepted: list[str]
    refused: dict[str, Refusal]


@dataclass(frozen=True)
class MailServer:
    """Where mail is handed over."""

    host: str
    port: int
    #: TLS from the first byte; else STARTTLS, if the server offers it.
    tls: bool
    user: str | None
    password: str

    @classmethod
    def at(cls, url: str) -> Self:
        """Read ``smtp://[user:password@]host[:port]`` (port 25) or ``smtps://…`` (465)."""
        parts = urlsplit(url)
        tls = parts.scheme == "smtps"
        user = unquote(parts.username) if parts.username else None
        return cls(
            parts.hostname or "localhost", parts.port or (465 if tls else 25), tls, user, unquote(parts.password or "")
        )

    def __str__(self) -> str:
        """Without the password."""
        return f"{self.host}:{self.port}"


def deliver(
    message: EmailMessage,
    sender: str,
    recipients: Sequence[str],
    server: MailServer,
    *,
    connect_seconds: float = CONNECT_SECONDS,
    answer_seconds: float = ANSWER_SECONDS,
) -> Delivery:
    """Send a message once for all recipients; the server may take it for some and refuse others.

    Raises:
        Undeliverable: the server refuses the mail for good.
        NotDelivered: nobody has got it, and a later attempt may succeed.
    """
    recipients = list(dict.fromkeys(recipients))
    with _errors_told(server), closing(_connect(server, connect_seconds)) as smtp:
        _socket(smtp).settimeout(answer_seconds)
        _secure(smtp, server)
        refused = smtp.sendmail(sender, recipients, message.as_bytes(), _options(message, smtp, [sender, *recipients]))
        _say_goodbye(smtp)
    return Delivery([address for address in recipients if address not in refused], _refusals(refused))


def _connect(server: MailServer, seconds: float) -> smtplib.SMTP:
    if server.tls:
        return smtplib.SMTP_SSL(server.host, server.port, _own_name(), timeout=seconds, context=_trust())
    return smtplib.SMTP(server.host, server.port, _own_name(), timeout=seconds)


def _secure(smtp: smtplib.SMTP, server: MailServer) -> None:
    smtp.ehlo_or_helo_if_needed()
    encrypted = server.tls
    if not encrypted and smtp.has_extn("starttls"):
        smtp.starttls(context=_trust())
        smtp.ehlo()
        encrypted = True
    if server.user is not None:
        if not encrypted and not ip_address(_socket(smtp).getpeername()[0]).is_loopback:
            raise NotDelivered(f"The mail server {server} offers no encryption: the password is not sent.")
        smtp.login(server.user, server.password)


def _options(message: EmailMessage, smtp: smtplib.SMTP, addresses: Sequence[str]) -> Sequence[str]:
    if all(map(str.isascii, addresses)) and not (isinstance(message.policy, EmailPolicy) and message.policy.utf8):
        return ()
    if not smtp.has_extn("smtputf8"):
        raise Undeliverable("An address goes beyond ASCII before its @, which the mail server does not support.")
    return "SMTPUTF8", "BODY=8BITMIME"


def _say_goodbye(smtp: smtplib.SMTP) -> None:
    """The mail is delivered: whatever happens now must not send it again."""
    with suppress(smtplib.SMTPException, OSError):
        _socket(smtp).settimeout(_GOODBYE_SECONDS)
        smtp.quit()


@contextmanager
def _errors_told(server: MailServer) -> Iterator[None]:
    try:
        yield
    except smtplib.SMTPRecipientsRefused as error:
        raise _verdict("every recipient", error.recipients) from error
    except smtplib.SMTPSenderRefused as error:
        raise _verdict("the sender", {error.sender: (error.smtp_code, error.smtp_error)}) from error
    except smtplib.SMTPDataError as error:
        raise _verdict("the message", {"": (error.smtp_code, error.smtp_error)}) from error
    except smtplib.SMTPResponseException as error:
        said = _told("", error.smtp_code, error.smtp_error)
        raise NotDelivered(f"The mail server {server} does not serve us: {said}") from error
    except (smtplib.SMTPException, OSError) as error:
        raise NotDelivered(f"The mail server {server} cannot be used: {error}") from error


def _verdict(what: str, answers: Mapping[str, tuple[int, bytes | str]]) -> Undeliverable | NotDelivered:
    said = "; ".join(_told(about, *answer) for about, answer in answers.items())
    if all(500 <= code < 600 and code not in _LOGIN_CODES for code, _ in answers.values()):
        return Undeliverable(f"The mail server refuses {what}: {said}")
    return NotDelivered(f"The mail server does not accept {what} now: {said}")


def _told(about: str, code: int, said: bytes | str) -> str:
    return f"{about and about + ': '}{code} {_text(said)}"


def _refusals(refused: Mapping[str, tuple[int, bytes]]) -> dict[str, Refusal]:
    return {address: {"code": code, "message": _text(said)} for address, (code, said) in refused.items()}


def _text(said: bytes | str) -> str:
    return said.decode("utf-8", "replace") if isinstance(said, bytes) else said


def _socket(smtp: smtplib.SMTP) -> socket.socket:
    if smtp.sock is None:
        raise smtplib.SMTPServerDisconnected("the connection is closed")
    return smtp.sock


@cache
def _trust() -> ssl.SSLContext:
    """Whom to trust: the system's authorities, or those that SSL_CERT_FILE names. Reading them takes milliseconds."""
    return ssl.create_default_context()


@cache
def _own_name() -> str:
    """This machine's name, asked for once: a slow resolver would cost each mail seconds."""
    name = socket.getfqdn()
    return name if "." in name and name.isascii() else "[127.0.0.1]"
