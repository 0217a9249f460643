"""Acting over HTTP, over the real database: cancel, retry, actions on many jobs, and pauses."""

import asyncio
import json
from collections.abc import Iterator
from contextlib import closing
from typing import Any
from uuid import uuid4

import psycopg2
import pytest
from falcon import testing

from api.app import create_app
from jobplatform import bulk, journal
from jobplatform.broker import JobBroker
from jobplatform.errors import DatabaseUnavailable
from jobplatform.inquiries import Inquiries
from jobplatform.journal import Cancel
from jobplatform.settings import Settings
from jobplatform.states import Event
from tests.services.journal import claimed_job, history, queued_job, read, settle, status
from tests.services.patience import eventually
from tests.services.reading import BriefReader

JSON = {"Content-Type": "application/json", "X-Request-Id": "r-1"}
ONCE = {**JSON, "Idempotency-Key": "once"}
UNKNOWN = "01890a5d-ac96-774b-bcce-b302099a8057"
#: Whoever waits for a row.
WAITING = "SELECT 1 FROM pg_stat_activity WHERE wait_event = 'transactionid' AND datname = current_database()"


class Acting:
    """A client of an API that reads and writes."""

    def __init__(self, url: str, redis_url: str) -> None:
        settings = Settings(database_url=url, redis_url=redis_url, max_payload_bytes=1_000)
        self.broker = JobBroker(settings)
        self.broker.actor("PROBE")(_probe)
        self.reader, self.inquiries = BriefReader(), Inquiries()
        self.app = create_app(self.broker, self.reader, self.inquiries, settings)
        self.client = testing.TestClient(self.app)

    def post(self, path: str, body: Any = None) -> testing.Result:
        """With a body, or none at all."""
        if body is None:
            return self.client.simulate_post(path)
        return self.client.simulate_post(path, body=json.dumps(body).encode(), headers=JSON)

    def get(self, path: str, **given: Any) -> Any:
        return self.client.simulate_get(path, **given).json

    def close(self) -> None:
        self.broker.recorder.close(10)
        self.reader.close()
        self.inquiries.close()


def _probe(n: int = 0, name: str = "") -> None:
    """Does nothing."""


@pytest.fixture
def acting(journal_url: str, redis_url: str) -> Iterator[Acting]:
    made = Acting(journal_url, redis_url)
    yield made
    made.close()


def kind_of(answer: testing.Result) -> tuple[int, str]:
    return answer.status_code, answer.json["type"].removeprefix("/problems/")


def faults_of(answer: testing.Result) -> list[str]:
    assert kind_of(answer) == (422, "invalid-body")
    return [fault["pointer"] for fault in answer.json["errors"]]


def failed_job(**given: Any) -> str:
    settle(claim := claimed_job(**given), Event.FAILED)
    return claim.job_id


# Cancel


def test_a_job_that_waits_is_cancelled_at_once(acting: Acting, journal_url: str) -> None:
    job_id = queued_job()

    answer = acting.post(f"/jobs/{job_id}/cancel", {"reason": "no longer needed"})

    assert (answer.status_code, answer.json["status"]) == (200, "cancelled")
    assert answer.headers["Cache-Control"] == "no-store"
    assert read(journal_url, "SELECT who, request_id, detail FROM transitions WHERE event = 'cancelled'") == [
        ("anonymous", "r-1", {"reason": "no longer needed"})
    ]


def test_a_running_job_is_asked_and_asked_again_with_the_same_answer(acting: Acting) -> None:
    claim = claimed_job()

    for _ in range(2):
        answer = acting.post(f"/jobs/{claim.job_id}/cancel")
        assert (answer.status_code, answer.json["status"], answer.json["cancelRequested"]) == (202, "running", True)


@pytest.mark.parametrize("end", [Event.COMPLETED, Event.FAILED, Event.CANCELLED])
def test_a_final_job_cannot_be_cancelled(acting: Acting, end: Event) -> None:
    settle(claim := claimed_job(), end)

    answer = acting.post(f"/jobs/{claim.job_id}/cancel")

    assert kind_of(answer) == (409, "job-finished")
    assert ("retry" in answer.json["detail"]) == (end is not Event.COMPLETED)


# Retry


def test_a_failed_job_is_queued_again(acting: Acting, journal_url: str) -> None:
    job_id = failed_job()

    answer = acting.post(f"/jobs/{job_id}/retry", {"reason": "it is back"})

    assert answer.status_code == 200
    assert (answer.json["status"], answer.json["attempts"], answer.json["error"]) == ("queued", 1, None)
    assert history(journal_url, job_id)[-1] == "resubmitted"
    assert kind_of(acting.post(f"/jobs/{job_id}/retry")) == (409, "job-not-finished")


def test_a_changed_payload_is_checked_and_both_can_be_read(acting: Acting) -> None:
    job_id = failed_job()

    assert faults_of(acting.post(f"/jobs/{job_id}/retry", {"payload": {"n": "x", "b": 1}})) == [
        "/payload/n",
        "/payload/b",
    ]
    assert faults_of(acting.post(f"/jobs/{job_id}/retry", {"payload": {"name": "a\0b"}})) == ["/payload/name"]
    assert faults_of(acting.post(f"/jobs/{job_id}/retry", {"payload": 5})) == ["/payload"]
    assert acting.post(f"/jobs/{job_id}/retry", {"payload": {"n": 2}}).json["payload"] == {"n": 2}

    versions = acting.get(f"/jobs/{job_id}/payloads")["items"]
    assert [(version["version"], version["payload"]) for version in versions] == [(1, {"n": 1}), (2, {"n": 2})]


def test_a_payload_that_is_null_is_none(acting: Acting) -> None:
    assert acting.post(f"/jobs/{failed_job()}/retry", {"payload": None, "reason": None}).json["payload"] == {"n": 1}


def test_a_payload_of_an_unknown_type_cannot_be_changed_but_the_job_be_retried(acting: Acting) -> None:
    job_id = queued_job(type="GONE")
    journal.commit([Cancel(job_id)])

    assert faults_of(acting.post(f"/jobs/{job_id}/retry", {"payload": {}})) == ["/payload"]
    assert acting.post(f"/jobs/{job_id}/retry").status_code == 200


def test_too_long_a_payload_is_refused(acting: Acting) -> None:
    answer = acting.post(f"/jobs/{failed_job()}/retry", {"payload": {"name": "x" * 1_000}})

    assert kind_of(answer) == (413, "too-large")


def test_a_unique_key_that_is_another_s_now_is_named(acting: Acting, journal_url: str) -> None:
    job_id = failed_job(unique_key="nightly")
    holder = queued_job(unique_key="nightly")

    answer = acting.post(f"/jobs/{job_id}/retry")

    assert kind_of(answer) == (409, "unique-key-taken")
    assert answer.json["jobId"] == holder
    assert status(journal_url, job_id) == "failed"


@pytest.mark.parametrize("act", ["cancel", "retry"])
def test_what_is_said_to_a_job_is_read_strictly(acting: Acting, act: str) -> None:
    path = f"/jobs/{queued_job()}/{act}"

    assert faults_of(acting.post(path, {"why": "x", "a/b": 1})) == ["/why", "/a~1b"]
    assert faults_of(acting.post(path, {"reason": 5})) == ["/reason"]
    assert faults_of(acting.post(path, {"reason": "x" * 1_001})) == ["/reason"]
    assert faults_of(acting.post(path, {"reason": "a\0b"})) == ["/reason"]
    assert faults_of(acting.post(path, [])) == [""]
    assert kind_of(acting.client.simulate_post(path, body=b"{", headers=JSON)) == (400, "malformed-json")
    assert kind_of(acting.client.simulate_post(path, body=b"a=1")) == (415, "unsupported-media-type")
    assert kind_of(acting.client.simulate_post(path, body=b"x" * 70_000, headers=JSON)) == (413, "too-large")
    assert kind_of(unknown := acting.post(f"{path}?force=true")) == (400, "invalid-parameter")
    assert unknown.json["detail"] == "force is not known to this call, which takes no query parameters."
    assert kind_of(acting.post(f"/jobs/{UNKNOWN}/{act}")) == (404, "job-not-found")
    assert kind_of(acting.post(f"/jobs/7/{act}")) == (404, "job-not-found")
    assert acting.client.simulate_get(path).status_code == 405


@pytest.mark.parametrize("act", ["cancel", "retry"])
def test_an_unknown_end_is_told_as_one(acting: Acting, monkeypatch: pytest.MonkeyPatch, act: str) -> None:
    job_id = failed_job()

    def fails(_: Any) -> Any:
        raise DatabaseUnavailable

    monkeypatch.setattr(acting.broker.recorder.acts_writer, "_commit", fails)
    monkeypatch.setattr("api.acts.JobActs._deadline", 0.0)

    answer = acting.post(f"/jobs/{job_id}/{act}")

    assert kind_of(answer) == (503, "unavailable")
    assert "not known" in answer.json["detail"]
    assert job_id in answer.json["detail"]
    assert answer.headers["Retry-After"]


def test_who_acts_on_a_job_that_somebody_holds_keeps_no_submit_waiting(acting: Acting, journal_url: str) -> None:
    job_id, submit = queued_job(), {"type": "PROBE", "payload": {}}

    answers: list[int] = []

    async def cancel_and_submit() -> None:
        async with testing.ASGIConductor(acting.app) as client:
            with closing(psycopg2.connect(journal_url)) as holder, holder.cursor() as cursor:
                cursor.execute("SELECT 1 FROM jobs WHERE id = %s FOR UPDATE", [job_id])
                cancel = asyncio.create_task(client.simulate_post(f"/jobs/{job_id}/cancel"))
                await asyncio.to_thread(eventually, lambda: read(journal_url, WAITING))
                for headers in (JSON, ONCE):
                    answer = await client.simulate_post("/jobs", body=json.dumps(submit), headers=headers)
                    answers.append(answer.status_code)
                holder.rollback()
                answers.append((await cancel).status_code)

    asyncio.run(cancel_and_submit())
    assert answers == [201, 201, 200]


# Many jobs


def test_a_dry_run_counts_and_leaves_no_trace(acting: Acting, journal_url: str) -> None:
    queued_job(), queued_job(queue="high")
    settle(claimed_job())

    answer = acting.post("/actions", {"kind": "cancel", "filter": {"priority": "default"}, "dryRun": True})

    assert (answer.status_code, answer.json) == (200, {"matched": 1, "bounded": False})
    assert read(journal_url, "SELECT count(*) FROM actions") == [(0,)]


def test_an_action_is_recorded_shown_and_done(acting: Acting, journal_url: str) -> None:
    job_id = failed_job()
    which = {
        "status": ["failed", "cancelled"],
        "type": "PROBE",
        "createdAfter": "2020-01-31T08:00:00+01:00",
        "q": "$.n=1",
    }

    answer = acting.post("/actions", {"kind": "retry", "filter": which, "reason": "it is back"})

    assert answer.status_code == 202
    shown = answer.json
    assert answer.headers["Location"] == f"/actions/{shown['id']}"
    assert acting.get(f"/actions/{shown['id']}") == shown
    assert {name: shown[name] for name in ("kind", "reason", "who", "requestId", "matched", "done", "finishedAt")} == {
        "kind": "retry", "reason": "it is back", "who": "anonymous", "requestId": "r-1", "matched": 1, "done": 0,
        "finishedAt": None,
    }  # fmt: skip
    assert shown["filter"]["status"] == ["cancelled", "failed"]
    while bulk.do_next_batch().more:
        pass
    done = acting.get(f"/actions/{shown['id']}")
    assert (done["done"], done["changed"]) == (1, 1)
    assert (done["finishedAt"] is not None, done["error"]) == (True, None)
    assert status(journal_url, job_id) == "queued"


def test_of_an_action_that_could_not_be_done_to_its_end_is_shown_why(acting: Acting, journal_url: str) -> None:
    job_id = failed_job()
    action_id = acting.post("/actions", {"kind": "retry", "filter": {"type": "PROBE"}}).json["id"]
    read(journal_url, 'UPDATE actions SET filter = \'{"status": ["odd"]}\'')

    while bulk.do_next_batch().more:
        pass

    shown = acting.get(f"/actions/{action_id}")
    assert (shown["matched"], shown["done"], shown["error"]) == (1, 0, "It cannot be done: 'odd' is not a valid Status")
    assert shown["finishedAt"] is not None
    assert status(journal_url, job_id) == "failed"


def test_actions_are_listed_in_pages_the_newest_first(acting: Acting) -> None:
    ids = [acting.post("/actions", {"kind": "cancel", "filter": {}}).json["id"] for _ in range(3)]
    ids.append(acting.post("/queues/high/pause") and acting.get("/actions")["items"][0]["id"])

    first = acting.get("/actions", params={"limit": "3"})
    rest = acting.get("/actions", params={"limit": "3", "cursor": first["next"]})

    assert [item["id"] for item in first["items"] + rest["items"]] == ids[::-1]
    assert rest["next"] is None
    assert kind_of(acting.client.simulate_get("/actions", params={"cursor": "x"})) == (400, "invalid-parameter")
    assert acting.client.simulate_head("/actions").status_code == 200


@pytest.mark.parametrize(
    ("body", "pointers"),
    [
        ({}, ["/kind", "/filter"]),
        ({"kind": "pause", "filter": {}}, ["/kind"]),
        ({"kind": "cancel", "filter": {"queue": "x", "tag": 5}}, ["/filter/queue", "/filter/tag"]),
        ({"kind": "cancel", "filter": {"status": "odd"}}, ["/filter/status"]),
        ({"kind": "cancel", "filter": {"createdBefore": "soon"}}, ["/filter/createdBefore"]),
        ({"kind": "cancel", "filter": {"type": ["a\0b"]}}, ["/filter/type"]),
        ({"kind": "cancel", "filter": {"tag": "", "status": []}}, ["/filter/tag", "/filter/status"]),
        ({"kind": "cancel", "filter": {"type": " ,\t"}, "dryRun": True}, ["/filter/type"]),
        ({"kind": "cancel", "filter": {"type": ["A", " ", ","]}}, ["/filter/type/1", "/filter/type/2"]),
        ({"kind": "cancel", "filter": {"q": "x" * 1_001}}, ["/filter/q"]),
        ({"kind": "cancel", "filter": {}, "dryRun": "yes", "reason": "x" * 1_001}, ["/dryRun", "/reason"]),
    ],
)
def test_what_is_wrong_with_an_action_is_named(acting: Acting, body: dict[str, Any], pointers: list[str]) -> None:
    assert sorted(faults_of(acting.post("/actions", body))) == sorted(pointers)


def test_an_earlier_value_of_a_name_that_would_not_do_is_a_fault_of_the_whole(acting: Acting) -> None:
    twice = b'{"kind": 1, "kind": "retry", "filter": {}}'

    assert faults_of(acting.client.simulate_post("/actions", body=twice, headers=JSON)) == [""]


def test_an_action_needs_a_body_and_is_found_by_its_id_only(acting: Acting) -> None:
    assert kind_of(acting.client.simulate_post("/actions", headers=JSON)) == (400, "malformed-json")
    assert kind_of(acting.post("/actions?dryRun=true", {"kind": "cancel", "filter": {}})) == (400, "invalid-parameter")
    assert acting.get("/actions")["items"] == []
    assert kind_of(acting.client.simulate_get(f"/actions/{uuid4()}")) == (404, "action-not-found")
    assert kind_of(acting.client.simulate_get("/actions/7")) == (404, "action-not-found")


# Queues


def test_a_queue_is_paused_and_resumed_on_record(acting: Acting, journal_url: str) -> None:
    paused = acting.post("/queues/default/pause", {"reason": "mail is down"})

    assert paused.status_code == 200
    assert {name: paused.json[name] for name in ("name", "paused", "pausedBy", "pauseReason")} == {
        "name": "default", "paused": True, "pausedBy": "anonymous", "pauseReason": "mail is down"
    }  # fmt: skip
    assert acting.post("/queues/default/pause").json["pauseReason"] == "mail is down", "it stays as it was"
    resumed = acting.post("/queues/default/resume")
    assert (resumed.json["paused"], resumed.json["pausedAt"]) == (False, None)
    actions = acting.get("/actions")["items"]
    assert [(action["kind"], action["changed"], action["filter"]) for action in actions] == [
        ("resume", 1, {"queue": "default"}),
        ("pause", 0, {"queue": "default"}),
        ("pause", 1, {"queue": "default"}),
    ]
    assert read(journal_url, "SELECT count(*) FROM paused_queues") == [(0,)]


def test_there_are_two_queues(acting: Acting) -> None:
    assert kind_of(acting.post("/queues/low/pause")) == (404, "queue-not-found")
    assert faults_of(acting.post("/queues/high/resume", {"why": "x"})) == ["/why"]
