"""EMAIL_SEND from the payload to the mailbox, run by a real worker."""

from collections.abc import Iterator

import pytest

from jobplatform.local.postgres import Postgres
from jobplatform.local.valkey import Valkey
from tests.services.actor_worker import ActorWorker, actor_worker
from tests.services.mail import MailServer, mail_server
from tests.services.patience import eventually

ADA, GRACE, KATHERINE = "ada@example.org", "grace@example.org", "katherine@example.org"


@pytest.fixture(scope="module")
def server() -> Iterator[MailServer]:
    with mail_server() as running:
        yield running


@pytest.fixture
def smtp_server(server: MailServer) -> MailServer:
    """The worker's mail server, as if it were new."""
    server.answers, server.mails, server.asked = {}, [], []
    return server


@pytest.fixture(scope="module")
def worker(
    server: MailServer, postgres_server: Postgres, redis_server: Valkey, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[ActorWorker]:
    variables = {"SMTP_URL": server.url, "EMAIL_FROM": "Jobs <jobs@example.org>"}
    with actor_worker(postgres_server, redis_server, tmp_path_factory.mktemp("email"), **variables) as running:
        yield running


def test_a_mail_arrives_with_all_that_was_asked_for_and_hides_whom_it_must(
    worker: ActorWorker, smtp_server: MailServer
) -> None:
    job_id = worker.submit(
        "EMAIL_SEND",
        {
            "to": [ADA, "Grace <grace@example.org>"],
            "cc": "cc@example.org",
            "bcc": ["hidden@example.org"],
            "from": "Desk <desk@example.com>",
            "replyTo": "reply@example.com",
            "subject": "Grüße",
            "body": "Text",
            "html": "<p>Text</p>",
        },
    )
    job = worker.end_of(job_id)

    (mail,) = smtp_server.mails
    recipients = [ADA, GRACE, "cc@example.org", "hidden@example.org"]
    assert job["status"] == "completed", job
    assert job["result"] == {"messageId": f"<{job_id}@example.com>", "accepted": recipients, "refused": {}}
    assert (mail.sender, mail.recipients) == ("desk@example.com", recipients)
    headers = dict(mail.message.items())
    assert headers["From"] == "Desk <desk@example.com>"
    assert headers["To"] == "ada@example.org, Grace <grace@example.org>"
    assert headers["Cc"] == "cc@example.org"
    assert headers["Reply-To"] == "reply@example.com"
    assert headers["Subject"] == "Grüße"
    assert headers["Message-ID"] == job["result"]["messageId"]
    assert "hidden" not in mail.message.as_string()


def test_some_refused_recipients_do_not_fail_the_job(worker: ActorWorker, smtp_server: MailServer) -> None:
    smtp_server.answers = {GRACE: "550 no such user", KATHERINE: "451 later"}

    job_id = worker.submit("EMAIL_SEND", {"to": [ADA, GRACE, KATHERINE], "subject": "", "body": ""})
    job = worker.end_of(job_id)

    assert (job["status"], job["attempts"]) == ("completed", 1)
    assert job["result"]["accepted"] == [ADA]
    assert job["result"]["refused"][GRACE] == {"code": 550, "message": "no such user"}
    assert job["result"]["refused"][KATHERINE] == {"code": 451, "message": "later"}
    assert len(smtp_server.mails) == 1
    assert smtp_server.mails[0].message["From"] == "Jobs <jobs@example.org>"


def test_a_put_off_mail_is_tried_again_under_the_same_message_id(worker: ActorWorker, smtp_server: MailServer) -> None:
    smtp_server.answers = {ADA: "451 greylisted"}
    job_id = worker.submit("EMAIL_SEND", {"to": ADA, "subject": "Hello", "body": "Hi"})
    eventually(lambda: smtp_server.asked, what="the first attempt")
    smtp_server.answers = {}

    job = worker.end_of(job_id)

    events = worker.events_of(job_id)
    assert job["status"] == "completed"
    assert job["attempts"] >= 2
    assert events[:5] == ["enqueued", "started", "retry_planned", "released", "started"]
    assert events[-1] == "completed"
    assert "451 greylisted" in str(worker.details_of(job_id, "retry_planned")[0])
    assert [mail.message["Message-ID"] for mail in smtp_server.mails] == [f"<{job_id}@example.org>"]


def test_a_mail_that_is_refused_for_good_fails_at_once(worker: ActorWorker, smtp_server: MailServer) -> None:
    smtp_server.answers = {ADA: "550 no such user"}

    job_id = worker.submit("EMAIL_SEND", {"to": ADA, "subject": "Hello", "body": "Hi"})
    job = worker.end_of(job_id)

    assert (job["status"], job["attempts"], job["error"]["type"]) == ("failed", 1, "Undeliverable")
    assert job["error"]["message"] == "The mail server refuses every recipient: ada@example.org: 550 no such user"
    assert worker.events_of(job_id) == ["enqueued", "started", "failed"]


def test_a_mail_that_is_put_off_again_and_again_fails_when_its_retries_are_used_up(
    worker: ActorWorker, smtp_server: MailServer
) -> None:
    smtp_server.answers = {ADA: "451 later"}

    job_id = worker.submit("EMAIL_SEND", {"to": ADA, "subject": "Hello", "body": "Hi"}, max_retries=1)
    job = worker.end_of(job_id)

    assert (job["status"], job["attempts"], job["error"]["type"]) == ("failed", 2, "NotDelivered")
    assert worker.events_of(job_id) == ["enqueued", "started", "retry_planned", "released", "started", "failed"]
    assert smtp_server.asked == [ADA, ADA]
