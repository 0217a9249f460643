"""EMAIL_SEND: one mail to one or many, handed to the mail server of SMTP_URL."""

from typing import Annotated, TypedDict
from uuid import uuid4

from msgspec import Meta

from actors.mail import Undeliverable
from actors.mail.delivery import MailServer, Refusal, deliver
from actors.mail.mailboxes import Line, Mailbox, MailboxText
from actors.mail.message import compose
from jobplatform import actor, current_job
from jobplatform.settings import settings

Mailboxes = MailboxText | Annotated[list[MailboxText], Meta(min_length=1, max_length=100)]
# What is said of a field stands beside its types, not in them: what stands beside a pattern is said where it is missed.
To = Annotated[Mailboxes, Meta(description="Who gets it: one address, or a list of up to 100.")]
Cc = Annotated[Mailboxes | None, Meta(description="Who else gets it, for all to see.")]
Bcc = Annotated[Mailboxes | None, Meta(description="Who else gets it, named in no header.")]
ReplyTo = Annotated[MailboxText | None, Meta(description="Where answers go. Without it: to the sender.")]
From = Annotated[MailboxText | None, Meta(description="The sender. Without it: `EMAIL_FROM` of the platform.")]
Body = Annotated[str, Meta(description="The mail as plain text.")]
Html = Annotated[str | None, Meta(description="The same as HTML, shown instead of the plain text where that can be.")]


class Sent(TypedDict):
    """The result."""

    messageId: str
    accepted: list[str]
    refused: dict[str, Refusal]


@actor("EMAIL_SEND", throws=Undeliverable)
def email_send(
    to: To,
    subject: Line,
    body: Body,
    html: Html = None,
    cc: Cc = None,
    bcc: Bcc = None,
    replyTo: ReplyTo = None,  # noqa: N803 - the payload's name
    from_: From = None,
) -> Sent:
    """Send an e-mail."""
    sender = Mailbox.parse(from_ or settings().email_from)
    shown, copied, hidden = _mailboxes(to), _mailboxes(cc), _mailboxes(bcc)
    message = compose(
        job_id=current_job().id or str(uuid4()),
        sender=sender,
        to=shown,
        cc=copied,
        reply_to=Mailbox.parse(replyTo) if replyTo is not None else None,
        subject=subject,
        body=body,
        html=html,
    )
    recipients = [mailbox.address for mailbox in (*shown, *copied, *hidden)]
    delivery = deliver(message, sender.address, recipients, MailServer.at(settings().smtp_url))
    return {"messageId": str(message["Message-ID"]), "accepted": delivery.accepted, "refused": delivery.refused}


def _mailboxes(given: str | list[str] | None) -> list[Mailbox]:
    return [Mailbox.parse(text) for text in ([given] if isinstance(given, str) else given or [])]
