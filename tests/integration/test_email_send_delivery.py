"""How mail is handed to real servers, and to servers that misbehave."""

import socket
import ssl
import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pytest
from aiosmtpd.smtp import AuthResult, LoginPassword

from actors.mail import NotDelivered, Undeliverable, delivery
from actors.mail.delivery import Delivery, MailServer, deliver
from actors.mail.mailboxes import Mailbox
from actors.mail.message import compose
from tests.services import mail
from tests.services.mail import mail_server

#: A certificate for 127.0.0.1 that signed itself, with its key. It protects nothing.
CERTIFICATE = Path(mail.__file__).with_name("localhost.pem")

ADA, GRACE, KATHERINE = "ada@example.org", "grace@example.org", "katherine@example.org"


def send(url: str, *recipients: str, body: str = "Hi", sender: str = "jobs@example.org", **seconds: float) -> Delivery:
    to = [Mailbox.parse(recipient) for recipient in recipients or (ADA,)]
    message = compose(job_id="0193-7", sender=Mailbox.parse(sender), to=to, subject="Hello", body=body)
    return deliver(message, sender, [mailbox.address for mailbox in to], MailServer.at(url), **seconds)


@pytest.fixture
def own_authority(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("SSL_CERT_FILE", str(CERTIFICATE))
    delivery._trust.cache_clear()
    yield
    delivery._trust.cache_clear()


def server_context() -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(CERTIFICATE)
    return context


def ada_only(_server: Any, _session: Any, _envelope: Any, _mechanism: str, data: Any) -> AuthResult:
    known = isinstance(data, LoginPassword) and (data.login, data.password) == (b"ada", b"p@ss:w/rd")
    return AuthResult(success=known, handled=False)


@contextmanager
def script(*answers: str | None) -> Iterator[str]:
    """The address of a server that says these in turn, each after a line from the client; None hangs up."""
    with closing(socket.create_server(("127.0.0.1", 0))) as listener:
        thread = threading.Thread(target=_play, args=(listener, answers))
        thread.start()
        try:
            yield f"smtp://127.0.0.1:{listener.getsockname()[1]}"
        finally:
            thread.join(10)
            assert not thread.is_alive()


def _play(listener: socket.socket, answers: tuple[str | None, ...]) -> None:
    connection, _ = listener.accept()
    with connection, connection.makefile("rwb", buffering=0) as stream:
        for number, answer in enumerate(answers):
            if number and not stream.readline():
                return
            if answer is None:
                return
            if number and answers[number - 1] == "354":
                while stream.readline() not in (b".\r\n", b""):
                    pass
            stream.write(f"{answer} said\r\n".encode())
        while stream.readline():  # and now says nothing more
            pass


def test_a_mail_reaches_all_its_recipients_once(smtp_server: mail.MailServer) -> None:
    delivered = send(smtp_server.url, ADA, GRACE, ADA, body=".dot\n..\n.\nend")

    assert delivered == Delivery([ADA, GRACE], {})
    assert [sent.recipients for sent in smtp_server.mails] == [[ADA, GRACE]]
    assert smtp_server.mails[0].sender == "jobs@example.org"
    assert smtp_server.mails[0].message.get_content() == ".dot\r\n..\r\n.\r\nend\r\n"


def test_those_who_are_refused_are_told_and_the_others_get_it(smtp_server: mail.MailServer) -> None:
    smtp_server.answers = {GRACE: "550 no such user", KATHERINE: "451 try later"}

    delivered = send(smtp_server.url, ADA, GRACE, KATHERINE)

    assert delivered.accepted == [ADA]
    assert delivered.refused == {
        GRACE: {"code": 550, "message": "no such user"},
        KATHERINE: {"code": 451, "message": "try later"},
    }
    assert [sent.recipients for sent in smtp_server.mails] == [[ADA]]


@pytest.mark.parametrize(
    ("answers", "final"),
    [
        (("550 no", "553 no"), True),
        (("550 no", "451 later"), False),
        (("450 later", "452 later"), False),
        (("550 no", "530 login first"), False),
    ],
)
def test_if_nobody_is_accepted_the_codes_say_whether_it_is_final(
    smtp_server: mail.MailServer, answers: tuple[str, str], final: bool
) -> None:
    smtp_server.answers = dict(zip((ADA, GRACE), answers, strict=True))

    with pytest.raises(Undeliverable if final else NotDelivered, match=f"ada@example.org: {answers[0]}"):
        send(smtp_server.url, ADA, GRACE)

    assert smtp_server.mails == []


@pytest.mark.parametrize(("refusal", "final"), [("554 spam", True), ("552 too big", True), ("451 later", False)])
def test_a_refused_content_is_final_if_it_is_5xx(smtp_server: mail.MailServer, refusal: str, final: bool) -> None:
    smtp_server.refusal = refusal

    with pytest.raises(Undeliverable if final else NotDelivered, match=f"the message.*{refusal}"):
        send(smtp_server.url)


@pytest.mark.usefixtures("own_authority")
def test_starttls_is_used_when_it_is_offered_and_the_authority_is_known() -> None:
    with mail_server(tls_context=server_context(), require_starttls=True) as server:
        assert send(server.url).accepted == [ADA]

    assert len(server.mails) == 1


@pytest.mark.parametrize("options", [{"tls_context": server_context()}, {"ssl_context": server_context()}])
def test_an_unknown_authority_gets_no_mail_and_the_job_another_try(options: dict[str, Any]) -> None:
    with mail_server(**options) as server:
        url = server.url if "tls_context" in options else server.url.replace("smtp:", "smtps:")
        with pytest.raises(NotDelivered, match="certificate verify failed"):
            send(url)

    assert server.mails == []


@pytest.mark.filterwarnings("ignore:Requiring AUTH while not requiring TLS")  # it does not see the outer TLS
@pytest.mark.usefixtures("own_authority")
def test_smtps_and_a_login_with_percent_encoded_characters() -> None:
    with mail_server(
        ssl_context=server_context(), authenticator=ada_only, auth_required=True, auth_require_tls=False
    ) as server:
        address = f"127.0.0.1:{server.port}"

        assert send(f"smtps://ada:p%40ss%3Aw%2Frd@{address}").accepted == [ADA]
        with pytest.raises(NotDelivered, match=f"{address} does not serve us: 535"):
            send(f"smtps://ada:wrong@{address}")
        with pytest.raises(NotDelivered, match="530"):
            send(f"smtps://{address}")

    assert len(server.mails) == 1


@pytest.mark.usefixtures("own_authority")
def test_a_login_after_starttls() -> None:
    with mail_server(tls_context=server_context(), authenticator=ada_only, auth_required=True) as server:
        assert send(f"smtp://ada:p%40ss%3Aw%2Frd@127.0.0.1:{server.port}").accepted == [ADA]


def test_a_server_that_knows_no_login_is_no_reason_to_give_the_mail_up(smtp_server: mail.MailServer) -> None:
    with pytest.raises(NotDelivered, match="AUTH"):
        send(smtp_server.url.replace("smtp://", "smtp://ada:secret@"))


def test_a_password_is_not_sent_in_the_clear_to_another_machine(
    smtp_server: mail.MailServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Far(socket.socket):
        def getpeername(self) -> tuple[str, int]:
            return "192.0.2.1", 25

    def connect(address: tuple[str, int], timeout: float, _source: Any) -> socket.socket:
        near = socket.create_connection(address, timeout)
        far = Far(near.family, near.type, fileno=near.detach())
        far.settimeout(timeout)
        return far

    monkeypatch.setattr(
        "smtplib.SMTP._get_socket", lambda _self, host, port, timeout: connect((host, port), timeout, None)
    )

    with pytest.raises(NotDelivered, match="the password is not sent") as caught:
        send(smtp_server.url.replace("smtp://", "smtp://ada:secret@"))

    assert "secret" not in str(caught.value)
    assert send(smtp_server.url).accepted == [ADA]


def test_an_international_address_needs_a_server_that_supports_it(smtp_server: mail.MailServer) -> None:
    assert send(smtp_server.url, "jörg@example.org").accepted == ["jörg@example.org"]
    assert smtp_server.mails[0].recipients == ["jörg@example.org"]
    assert smtp_server.mails[0].message["To"] == "jörg@example.org"

    with mail_server(enable_SMTPUTF8=False) as old, pytest.raises(Undeliverable, match="beyond ASCII"):
        send(old.url, ADA, "jörg@example.org")

    assert old.asked == []


@pytest.mark.parametrize(
    ("answers", "error", "why"),
    [
        (("421",), NotDelivered, "421 said"),
        (("554",), NotDelivered, "554 said"),
        ((None,), NotDelivered, "cannot be used"),
        (("220", "500", "500"), NotDelivered, "500 said"),
        (("220", "250", "450"), NotDelivered, "the sender now: jobs@example.org: 450 said"),
        (("220", "250", "550"), Undeliverable, "the sender: jobs@example.org: 550 said"),
        (("220", "250", "530"), NotDelivered, "the sender"),
        (("220", "250", None), NotDelivered, "cannot be used"),
        (("220", "250", "250", "421"), NotDelivered, "421 said"),
        (("220", "250", "250", "250", None), NotDelivered, "cannot be used"),
        (("220", "250", "250", "250", "451"), NotDelivered, "the message now: 451 said"),
        (("220", "250", "250", "250", "354", None), NotDelivered, "cannot be used"),
        (("220", "250", "250", "250", "354", "554"), Undeliverable, "the message: 554 said"),
    ],
)
def test_wherever_a_conversation_breaks_only_a_verdict_on_the_mail_is_final(
    answers: tuple[str | None, ...], error: type[Exception], why: str
) -> None:
    with script(*answers) as url, pytest.raises(error, match=why):
        send(url, answer_seconds=0.5)


@pytest.mark.parametrize("goodbye", [(), (None,), ("421",), ("500",)])
def test_after_the_mail_is_taken_nothing_can_make_it_be_sent_again(
    goodbye: tuple[str | None, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(delivery, "_GOODBYE_SECONDS", 0.2)

    with script("220", "250", "250", "250", "354", "250", *goodbye) as url:
        assert send(url) == Delivery([ADA], {})


@pytest.mark.parametrize("answers", [("220",), ("220", "250"), ("220", "250", "250", "250", "354")])
def test_a_server_that_falls_silent_is_waited_for_only_so_long(answers: tuple[str, ...]) -> None:
    began = time.monotonic()

    with script(*answers) as url, pytest.raises(NotDelivered, match="timed out"):
        send(url, connect_seconds=5, answer_seconds=0.3)

    assert time.monotonic() - began < 4


def test_a_server_that_never_greets_is_waited_for_only_so_long() -> None:
    with closing(socket.create_server(("127.0.0.1", 0))) as silent, pytest.raises(NotDelivered, match="timed out"):
        send(f"smtp://127.0.0.1:{silent.getsockname()[1]}", connect_seconds=0.3)


def test_a_server_that_is_not_there_is_tried_again(free_port: int) -> None:
    with pytest.raises(NotDelivered, match=f"127.0.0.1:{free_port} cannot be used.*refused"):
        send(f"smtp://127.0.0.1:{free_port}")


@pytest.mark.parametrize(
    ("url", "server"),
    [
        ("smtp://localhost:1025", MailServer("localhost", 1025, False, None, "")),
        ("smtp://mail.example.org", MailServer("mail.example.org", 25, False, None, "")),
        ("smtps://a%40b:c%2Fd%25@mail.example.org", MailServer("mail.example.org", 465, True, "a@b", "c/d%")),
        ("smtp://ada@[::1]:25", MailServer("::1", 25, False, "ada", "")),
    ],
)
def test_the_server_is_read_from_its_address(url: str, server: MailServer) -> None:
    assert MailServer.at(url) == server
