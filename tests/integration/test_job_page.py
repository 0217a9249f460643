"""The page of one job as HTML, over the real database: what needs no browser to be seen."""

import json
import re
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlencode
from uuid import uuid4

import pytest
from falcon import testing

from api.app import create_app
from jobplatform import journal, queries
from jobplatform.broker import JobBroker
from jobplatform.inquiries import Inquiries
from jobplatform.journal import Cancel, Resubmit
from jobplatform.settings import Settings
from jobplatform.states import Event
from tests.services.journal import claimed_job, queued_job, settle
from tests.services.reading import BriefReader

FORM = {"Content-Type": "application/x-www-form-urlencoded", "Sec-Fetch-Site": "same-origin", "Origin": "http://here"}


class Pages:
    """A browser without eyes."""

    def __init__(self, url: str, redis_url: str) -> None:
        settings = Settings(database_url=url, redis_url=redis_url)
        self._broker = JobBroker(settings)
        self._broker.actor("PROBE")(_probe)
        self._reader, self._inquiries = BriefReader(), Inquiries()
        self._client = testing.TestClient(create_app(self._broker, self._reader, self._inquiries, settings))

    def get(self, path: str) -> testing.Result:
        return self._client.simulate_get(path)

    def post(self, job_id: str, act: str, **fields: str) -> testing.Result:
        """Send the form of the job's page."""
        token = re.search(r'name="csrf" value="([^"]+)"', self.get(f"/ui/jobs/{job_id}").text)
        body = urlencode({"csrf": token[1] if token else "", **fields})
        return self._client.simulate_post(f"/ui/jobs/{job_id}/{act}", body=body, headers=FORM)

    def close(self) -> None:
        self._broker.recorder.close(10)
        self._reader.close()
        self._inquiries.close()


def _probe(n: int = 0, text: str = "") -> None:
    """Does nothing."""


@pytest.fixture
def pages(journal_url: str, redis_url: str) -> Iterator[Pages]:
    pages = Pages(journal_url, redis_url)
    yield pages
    pages.close()


def failed_job() -> str:
    claim = claimed_job()
    error = {"kind": "error", "type": "OSError", "message": "no answer from 10.0.0.7", "traceback": None}
    settle(claim, Event.FAILED, error=json.dumps(error))
    return claim.job_id


def cancelled_job(**given: Any) -> str:
    job_id = queued_job(**given)
    journal.commit([Cancel(job_id, "ann")])
    return job_id


def events_of(job_id: str) -> list[str]:
    return [event.event for event in queries.events([job_id])[job_id]]


def test_a_page_holds_its_own_policy_and_is_not_kept(pages: Pages) -> None:
    answer = pages.get(f"/ui/jobs/{queued_job()}")

    assert answer.status_code == 200
    assert "script-src 'self'" in answer.headers["content-security-policy"]
    assert answer.headers["cache-control"] == "no-store"
    assert " style=" not in answer.text
    assert 'data-live="1000"' in answer.text


def test_what_is_no_job_is_not_found(pages: Pages) -> None:
    for name in (str(uuid4()), "nonsense"):
        answer = pages.get(f"/ui/jobs/{name}")
        assert (answer.status_code, answer.headers["content-type"]) == (404, "text/html; charset=utf-8")


def test_a_final_job_cannot_be_cancelled_and_the_page_says_so(pages: Pages) -> None:
    job_id = cancelled_job()

    answer = pages.post(job_id, "cancel", reason="too late")

    assert (answer.status_code, answer.headers["location"]) == (303, f"/ui/jobs/{job_id}")
    assert "nothing%20to%20cancel" in answer.headers["set-cookie"]
    assert events_of(job_id) == ["enqueued", "cancelled"]


def test_a_payload_that_is_sent_back_as_it_was_makes_no_version(pages: Pages) -> None:
    job_id = cancelled_job()
    shown = "{}"

    answer = pages.post(job_id, "retry", payload=f"{shown}\r\n", was=shown, reason="again")

    assert answer.status_code == 303
    assert events_of(job_id)[-1] == "resubmitted"
    assert "was replaced" not in pages.get(f"/ui/jobs/{job_id}").text


def test_long_payloads_are_cut_and_not_edited_here(pages: Pages) -> None:
    page = pages.get(f"/ui/jobs/{cancelled_job(payload=json.dumps({'text': 'x' * 300_000}))}").text

    assert "This is the beginning of it" in page
    assert "too long to be changed here" in page
    assert len(page) < 200_000


def test_a_failed_job_leads_to_all_that_failed_like_it(pages: Pages) -> None:
    page = pages.get(f"/ui/jobs/{failed_job()}").text

    assert "q=status%3Afailed%20type%3APROBE%20failure%3A%22error%3AOSError%3Ano%20answer%20from%20%3Cn%3E%22" in page


def test_versions_of_a_payload_are_compared(pages: Pages) -> None:
    job_id = queued_job()
    for n in range(3):
        journal.commit([Cancel(job_id, "ann")])
        journal.commit([Resubmit(job_id, "ann", payload=f'{{"n":{n}}}')])

    page = pages.get(f"/ui/jobs/{job_id}").text

    assert page.count('class="came"') == 3
    assert "Version 3" in page


def test_markup_in_what_jobs_hold_is_shown_and_not_obeyed(pages: Pages) -> None:
    evil = '<script>alert("x")</script>'
    job_id = queued_job(payload=json.dumps({"text": evil}), tags=[evil])
    journal.commit([Cancel(job_id, evil, evil, evil)])

    page = pages.get(f"/ui/jobs/{job_id}").text

    assert "<script>alert" not in page
    assert "&lt;script&gt;alert" in page


def test_forms_of_other_pages_do_nothing(pages: Pages) -> None:
    job_id = queued_job()

    answer = pages.post(job_id, "cancel", csrf="forged")

    assert answer.status_code == 403
    assert events_of(job_id) == ["enqueued"]
