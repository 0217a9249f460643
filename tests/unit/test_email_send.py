"""What EMAIL_SEND accepts, and the message that it composes."""

import json
from email import message_from_bytes, policy
from email.header import decode_header, make_header
from email.headerregistry import AddressHeader
from email.message import EmailMessage
from email.utils import getaddresses
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from actors.email_send import email_send
from actors.mail import Undeliverable
from actors.mail.mailboxes import Mailbox
from actors.mail.message import compose
from jobplatform.errors import InvalidPayload

SENDER = Mailbox.parse("Jobs <jobs@example.org>")
ADA = Mailbox.parse("ada@example.org")


def composed(**parts: Any) -> EmailMessage:
    """The message as its reader sees it."""
    defaults: dict[str, Any] = {"job_id": "0193-7", "sender": SENDER, "to": [ADA], "subject": "Hello", "body": "Hi\n"}
    read = message_from_bytes(compose(**{**defaults, **parts}).as_bytes(), policy=policy.default)
    assert isinstance(read, EmailMessage)
    return read


def raw(**parts: Any) -> bytes:
    defaults: dict[str, Any] = {"job_id": "0193-7", "sender": SENDER, "to": [ADA], "subject": "Hello", "body": "Hi\n"}
    return compose(**{**defaults, **parts}).as_bytes()


def people(message: EmailMessage, header: str) -> list[tuple[str, str]]:
    value = message[header]
    assert isinstance(value, AddressHeader)
    return [(address.display_name, address.addr_spec) for address in value.addresses]


def refused(**payload: Any) -> list[str]:
    whole = {"to": "ada@example.org", "subject": "Hello", "body": "Hi", **payload}
    with pytest.raises(InvalidPayload) as caught:
        email_send.signature.check(json.dumps(whole))
    return [fault.pointer for fault in caught.value.faults]


@pytest.mark.parametrize(
    ("text", "mailbox"),
    [
        ("ada@example.org", ("", "ada@example.org")),
        ("jobs@localhost", ("", "jobs@localhost")),
        ("o'hara+tag!#$%&*/=?^_`{|}~-.x@mail-1.Example.org", ("", "o'hara+tag!#$%&*/=?^_`{|}~-.x@mail-1.Example.org")),
        ("<ada@example.org>", ("", "ada@example.org")),
        ("Ada Lovelace <ada@example.org>", ("Ada Lovelace", "ada@example.org")),
        ('"Lovelace, Ada" <ada@example.org>', ("Lovelace, Ada", "ada@example.org")),
        ("Lovelace, Ada <ada@example.org>", ("Lovelace, Ada", "ada@example.org")),
        (r'"A \"dot\" \\" <ada@example.org>', (r'A "dot" \ '.strip(), "ada@example.org")),
        ("ada@bücher.example", ("", "ada@xn--bcher-kva.example")),
        ("jörg@example.org", ("", "jörg@example.org")),
    ],
)
def test_mailboxes_are_read_with_or_without_a_name(text: str, mailbox: tuple[str, str]) -> None:
    email_send.signature.check(json.dumps({"to": text, "subject": "", "body": ""}))

    read = Mailbox.parse(text)

    assert (read.name, read.address) == mailbox


@pytest.mark.parametrize(
    "text",
    [
        "",
        "ada",
        "@example.org",
        "ada@",
        "a@b@c",
        "ada @example.org",
        "a@b.org, c@d.org",
        "a@b.org;c@d.org",
        "Ada <ada@example.org",
        "Ada ada@example.org",
        "Ada <a@b.org> <c@d.org>",
        "ada@example.org\n",
        "ada@example.org\r\nBcc: x@example.org",
        "Ada\r\nBcc: x@example.org <ada@example.org>",
    ],
)
def test_what_is_no_address_is_refused_at_submit_and_by_the_actor(text: str) -> None:
    for field in ("to", "cc", "bcc", "replyTo", "from"):
        assert refused(**{field: text}) == [f"/{field}"]
    for field in ("to", "cc", "bcc"):
        assert refused(**{field: ["ok@example.org", text]}) == [f"/{field}/1"]
    with pytest.raises(Undeliverable):
        Mailbox.parse(text)


@pytest.mark.parametrize(
    ("text", "why"),
    [
        (".ada@example.org", "what precedes the @"),
        ("a..b@example.org", "what precedes the @"),
        ('"ada"@example.org', "what precedes the @"),
        ("a(b)@example.org", "what precedes the @"),
        ("x" * 65 + "@example.org", "what precedes the @"),
        ("ada@-example.org", "what follows the @"),
        ("ada@example..org", "what follows the @"),
        ("ada@example.org.", "what follows the @"),
        ("ada@exa_mple.org", "what follows the @"),
        ("ada@[127.0.0.1]", "what follows the @"),
        ("ada@" + "x" * 64 + ".org", "what follows the @"),
        ("ada@" + "ü" * 64 + ".org", "what follows the @"),
        ("ada@" + "x." * 127 + "org", "what follows the @"),
        ("ada@straße.example", "beginning with xn--"),
        ("Ada\x0b <ada@example.org>", "without control characters"),
        ("Ada\u2028 <ada@example.org>", "without control characters"),
    ],
)
def test_what_only_looks_like_an_address_is_a_final_error_that_says_why(text: str, why: str) -> None:
    with pytest.raises(Undeliverable, match=why):
        Mailbox.parse(text)


def test_faulty_fields_are_refused_with_a_pointer() -> None:
    assert refused(to=[]) == ["/to"]
    assert refused(to=["a@b.org"] * 101) == ["/to"]
    assert refused(to=5, body=None) == ["/to", "/body"]
    assert refused(subject="x\ny") == ["/subject"]
    assert refused(subject="x\r") == ["/subject"]
    assert refused(subject="x" * 901) == ["/subject"]
    assert refused(from_="a@b.org") == ["/from_"]
    assert email_send.signature.schema()["required"] == ["to", "subject", "body"]


def test_final_errors_are_not_retried() -> None:
    assert email_send.options["throws"] is Undeliverable


def test_a_message_tells_who_when_and_by_which_job() -> None:
    message = composed(
        cc=[Mailbox.parse("Grace <grace@example.org>")], reply_to=Mailbox.parse("desk@example.org"), subject="A  b"
    )

    assert people(message, "From") == [("Jobs", "jobs@example.org")]
    assert people(message, "To") == [("", "ada@example.org")]
    assert people(message, "Cc") == [("Grace", "grace@example.org")]
    assert people(message, "Reply-To") == [("", "desk@example.org")]
    assert message["Subject"] == "A  b"
    assert message["Message-ID"] == "<0193-7@example.org>"
    assert message["Date"].datetime.tzinfo is not None
    assert message["Bcc"] is None
    assert message.get_content() == "Hi\r\n"


def test_an_html_part_stands_beside_the_text() -> None:
    message = composed(body="Grüße", html="<p>Grüße</p>")

    text, html = message.get_body(("plain",)), message.get_body(("html",))

    assert message.get_content_type() == "multipart/alternative"
    assert text is not None
    assert html is not None
    assert (text.get_content(), html.get_content()) == ("Grüße\r\n", "<p>Grüße</p>\r\n")


@pytest.mark.parametrize(
    "subject",
    [
        "",
        "Größe 😀",
        "x" * 900,
        "ü" * 900,
        "=?utf-8?q?a=0D=0ABcc:_x@example.org?=",
        "Bcc: x@example.org",
        "a\tb",
        "  a ",
    ],
)
def test_subjects_arrive_as_written_and_are_nothing_but_subjects(subject: str) -> None:
    message = composed(subject=subject)

    assert message["Subject"] == subject
    assert message.keys() == [
        "Date", "Message-ID", "From", "To", "Subject", "Content-Type", "Content-Transfer-Encoding", "MIME-Version"
    ]  # fmt: skip


@pytest.mark.parametrize("end", ["\r", "\n", "\r\n", "\x0b", "\x0c", "\x1c", "\x85", "\u2028", "\u2029", "\0"])
def test_no_header_can_be_slipped_into_a_subject_or_a_name(end: str) -> None:
    with pytest.raises(Undeliverable, match="must be one line"):
        raw(subject=f"Hello{end}Bcc: x@example.org")
    with pytest.raises(Undeliverable, match="must be one line"):
        Mailbox.parse(f"Ada{end}Bcc: x@example.org <ada@example.org>")


@given(
    st.lists(st.text(st.characters(exclude_categories=["Cs", "Cc", "Zl", "Zp"], exclude_characters="<>"), max_size=150))
)
def test_whatever_the_names_are_a_reader_sees_the_addresses_that_were_given_and_no_more(names: list[str]) -> None:
    mailboxes = [ADA, *(Mailbox.parse(f"{name} <p{number}@example.org>") for number, name in enumerate(names))]

    message = composed(to=mailboxes)

    assert [address for _, address in people(message, "To")] == [mailbox.address for mailbox in mailboxes]
    assert max(map(len, raw(to=mailboxes).partition(b"\r\n\r\n")[0].split(b"\r\n"))) < 200


@pytest.mark.parametrize(
    "name", ["Lovelace, Ada", 'A "b" \\c', "Größe, Ada", "x, evil@example.org, " * 8, "=?utf-8?q?a?="]
)
def test_names_arrive_as_written(name: str) -> None:
    name = name.strip()
    header = message_from_bytes(raw(to=[Mailbox(name, "ada", "example.org")]))["To"]
    ((phrase, address),) = getaddresses([header])

    # The newer parser of the standard library keeps the space between two encoded words.
    assert (str(make_header(decode_header(phrase))), address) == (name, "ada@example.org")


@given(st.text(st.characters(exclude_categories=["Cs"]) | st.sampled_from("\r\n.\0")))
def test_no_body_holds_a_bare_line_end_that_could_end_the_mail_early(body: str) -> None:
    content = raw(body=body, html=body).replace(b"\r\n", b"")

    assert b"\r" not in content
    assert b"\n" not in content


def test_a_local_part_beyond_ascii_makes_the_message_international() -> None:
    message = raw(to=[Mailbox.parse("Jörg <jörg@example.org>")])

    assert "<jörg@example.org>".encode() in message
