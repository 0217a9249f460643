"""What else there is to see over HTTP: counts, logs, payloads, workers, queues and failures, over the real database."""

import asyncio
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from uuid import uuid4

import pytest
from falcon import testing

from api.counts import Counting
from api.findings import Findings
from jobplatform import journal
from jobplatform.inquiries import Inquiries
from jobplatform.journal import LogLine, Progress
from jobplatform.queries import failures as failing
from jobplatform.queries.counts import Kind
from jobplatform.queries.likeness import without_variables
from jobplatform.states import Event
from tests.services.journal import WORKER, claimed_job, live_worker, queued_job, read, settle
from tests.services.reading import reading_client


@pytest.fixture
def client(journal_url: str) -> Iterator[testing.TestClient]:
    read(journal_url, "TRUNCATE paused_queues, payload_versions")
    with reading_client(journal_url) as made:
        yield made


def test_counts_show_each_status_and_the_types_that_occur(client: testing.TestClient) -> None:
    nothing = dict.fromkeys(("scheduled", "queued", "running", "retrying", "completed", "failed", "cancelled"), 0)
    assert client.simulate_get("/jobs/counts").json == {"total": 0, "byStatus": nothing, "byType": {}}
    queued_job()
    queued_job(type="OTHER", queue="high")
    settle(claimed_job())

    assert client.simulate_get("/jobs/counts").json == {
        "total": 3,
        "byStatus": {**nothing, "queued": 2, "completed": 1},
        "byType": {"OTHER": {"queued": 1}, "PROBE": {"completed": 1, "queued": 1}},
    }
    assert client.simulate_head("/jobs/counts").status_code == 200


def test_a_crowd_that_asks_for_counts_asks_postgres_twice_at_the_most(journal_url: str) -> None:  # noqa: ARG001
    inquiries = Inquiries()
    counting = Counting(Findings(inquiries))
    asked = []
    read_counts = counting._counts.read

    def watched() -> dict[Kind, int]:
        asked.append(1)
        return read_counts()

    counting._counts.read = watched  # type: ignore[method-assign]

    async def crowd() -> list[dict[Kind, int]]:
        return await asyncio.gather(*(counting.now() for _ in range(50)))

    try:
        queued_job()
        assert asyncio.run(crowd()) == [{Kind("PROBE", "default", "queued"): 1}] * 50
        assert len(asked) == 2
    finally:
        inquiries.close()


def test_the_lines_of_a_job_come_in_pages_of_all_attempts_or_of_one(client: testing.TestClient) -> None:
    claim = claimed_job()
    journal.commit([LogLine(claim.job_id, 1 + n % 2, f"line {n}") for n in range(5)])
    path = f"/jobs/{claim.job_id}/logs"

    first = client.simulate_get(path, params={"limit": 2}).json
    rest = client.simulate_get(path, params={"cursor": first["next"]}).json
    second_attempt = client.simulate_get(path, params={"attempt": 2}).json

    assert [line["text"] for line in first["items"] + rest["items"]] == [f"line {n}" for n in range(5)]
    assert first["items"][0] == {"attempt": 1, "at": first["items"][0]["at"], "text": "line 0"}
    assert rest["next"] is None
    assert [line["text"] for line in second_attempt["items"]] == ["line 1", "line 3"]
    other = client.simulate_get(path, params={"attempt": 2, "cursor": first["next"]})
    assert (other.status_code, other.json["type"]) == (400, "/problems/invalid-parameter")
    assert client.simulate_get(path, params={"attempt": "0"}).status_code == 400
    assert client.simulate_get(path, params={"attempt": "9" * 30}).json == {"items": [], "next": None}


def test_a_page_of_lines_is_bounded_in_its_text(client: testing.TestClient, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("jobplatform.queries.logs.MOST_TEXT", 100)
    claim = claimed_job()
    journal.commit([LogLine(claim.job_id, 1, f"{n}" * 60) for n in range(5)])
    path, lines, cursor = f"/jobs/{claim.job_id}/logs", [], None
    pages = 0

    while cursor is not None or not pages:
        page = client.simulate_get(path, params={"cursor": cursor} if cursor else {}).json
        lines += [line["text"] for line in page["items"]]
        cursor = page["next"]
        pages += 1

    assert lines == [f"{n}" * 60 for n in range(5)]
    assert pages == 3


def test_a_job_without_lines_has_none_and_no_job_is_not_found(client: testing.TestClient) -> None:
    assert client.simulate_get(f"/jobs/{queued_job()}/logs").json == {"items": [], "next": None}
    for path in (f"/jobs/{uuid4()}/logs", "/jobs/x/logs", f"/jobs/{uuid4()}/payloads", "/jobs/x/payloads"):
        answer = client.simulate_get(path)
        assert (answer.status_code, answer.json["type"]) == (404, "/problems/job-not-found")


def test_all_versions_of_a_payload_are_readable(client: testing.TestClient, journal_url: str) -> None:
    job_id = queued_job(payload='{"b": 3, "a": 1}')
    read(
        journal_url,
        "INSERT INTO payload_versions (job_id, version, payload, replaced_at, who)"
        " SELECT %s, n, json_build_object('n', n), now(), 'ann' FROM generate_series(1, 2) AS n",
        [job_id],
    )

    answer = client.simulate_get(f"/jobs/{job_id}/payloads")

    items = answer.json["items"]
    assert [(item["version"], item["payload"], item["who"]) for item in items] == [
        (1, {"n": 1}, "ann"),
        (2, {"n": 2}, "ann"),
        (3, {"b": 3, "a": 1}, None),
    ]
    assert [item["replacedAt"] is None for item in items] == [False, False, True]
    assert '{"b": 3, "a": 1}' in answer.text


def test_old_payloads_that_are_too_long_to_show_are_left_out(
    client: testing.TestClient, journal_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("jobplatform.queries.payloads._VERSIONS", _with_room_for(40))
    job_id = queued_job()
    read(
        journal_url,
        "INSERT INTO payload_versions SELECT %s, n, '[\"0123456789\"]', now(), 'ann' FROM generate_series(1, 9) AS n",
        [job_id],
    )

    versions = [item["version"] for item in client.simulate_get(f"/jobs/{job_id}/payloads").json["items"]]

    assert versions == [8, 9, 10]


def _with_room_for(length: int) -> str:
    from jobplatform.queries.payloads import _VERSIONS, MOST_TEXT

    return _VERSIONS.replace(str(MOST_TEXT), str(length))


def test_workers_show_what_they_run_and_how_they_are(client: testing.TestClient) -> None:
    claim = claimed_job()
    journal.commit([Progress(claim.job_id, 1, claim.token, '{"done":1,"total":2}')])
    now = datetime.now(UTC)
    live_worker(8_001, stopping_at=now, memory=1_000, peak_memory=2_000, types=["PROBE"], queues=["high"])
    live_worker(8_002, last_seen_at=now - timedelta(minutes=1))
    live_worker(8_003, ended_at=now - timedelta(minutes=1))
    live_worker(8_004, ended_at=now, died=True)

    live = client.simulate_get("/workers").json["items"]
    ended = client.simulate_get("/workers", params={"ended": "true"}).json["items"]

    assert [(worker["id"], worker["status"]) for worker in live] == [
        (WORKER, "alive"),
        (8_001, "stopping"),
        (8_002, "silent"),
    ]
    assert [(worker["id"], worker["status"]) for worker in ended[3:]] == [(8_004, "died"), (8_003, "ended")]
    assert ended[4]["endedAt"] is not None
    assert live[0]["name"] == f"here:1#{WORKER}"
    assert live[0]["running"] == [
        {
            "jobId": claim.job_id,
            "type": "PROBE",
            "attempt": 1,
            "startedAt": client.simulate_get(f"/jobs/{claim.job_id}").json["startedAt"],
            "progress": {"done": 1, "total": 2},
        }
    ]
    assert (live[1]["memoryBytes"], live[1]["peakMemoryBytes"], live[1]["queues"]) == (1_000, 2_000, ["high"])
    assert client.simulate_get("/workers", params={"ended": "maybe"}).status_code == 400


def test_queues_show_what_waits_and_who_serves_them(client: testing.TestClient, journal_url: str) -> None:
    high, default = client.simulate_get("/queues").json["items"]
    assert (high["name"], default["name"]) == ("high", "default")
    assert high == {
        "name": "high",
        "depth": 0,
        "running": 0,
        "oldestWaitingSeconds": None,
        "latencySeconds": None,
        "paused": False,
        "pausedAt": None,
        "pausedBy": None,
        "pauseReason": None,
        "workers": 0,
        "slots": 0,
    }
    live_worker(8_001, queues=["high", "default"], threads=4)
    live_worker(8_002, queues=["high"], threads=2)
    live_worker(8_003, queues=["high"], stopping_at=datetime.now(UTC))
    claimed_job()
    queued_job()
    queued_job()
    read(journal_url, "INSERT INTO paused_queues VALUES ('high', now(), 'ann', 'because')")

    high, default = client.simulate_get("/queues").json["items"]

    assert (default["depth"], default["running"], default["workers"], default["slots"]) == (2, 1, 1, 4)
    assert 0 <= default["oldestWaitingSeconds"] < 10
    assert 0 <= default["latencySeconds"] < 10
    assert (high["workers"], high["slots"], high["depth"]) == (2, 6, 0)
    assert (high["paused"], high["pausedBy"], high["pauseReason"]) == (True, "ann", "because")
    assert high["pausedAt"] is not None


def test_what_postgres_refuses_is_said_in_the_log_once_and_to_no_client(
    client: testing.TestClient, journal_url: str, caplog: pytest.LogCaptureFixture
) -> None:
    job_id = queued_job()
    read(journal_url, "ALTER TABLE jobs RENAME COLUMN tags TO labels")
    try:
        answers = [client.simulate_get(path) for path in (f"/jobs/{job_id}", "/jobs", f"/jobs/{job_id}")]
    finally:
        read(journal_url, "ALTER TABLE jobs RENAME COLUMN labels TO tags")

    assert [answer.status_code for answer in answers] == [503] * 3
    assert not any("tags" in answer.text for answer in answers)
    (line,) = [record.getMessage() for record in caplog.records]
    assert f"GET '/jobs/{job_id}'" in line
    assert "tags" in line


def failed_job(message: str, **given: str) -> str:
    claim = claimed_job()
    error = {"kind": "error", "type": "OSError", "message": message, **given}
    settle(claim, Event.FAILED, error=str(error).replace("'", '"'))
    return claim.job_id


def test_failures_are_put_together_by_what_went_wrong(client: testing.TestClient) -> None:
    timeouts = [failed_job(f"no answer from 10.0.0.{n} after {n} s") for n in range(7)]
    failed_job("no space left")
    failed_job("no space left", kind="time_limit")

    answer = client.simulate_get("/failures").json["items"]

    assert answer[0] == {
        "type": "PROBE",
        "kind": "error",
        "error": "OSError",
        "message": "no answer from <n> after <n> s",
        "failure": "error:OSError:no answer from <n> after <n> s",
        "count": 7,
        "firstAt": client.simulate_get(f"/jobs/{timeouts[0]}").json["finishedAt"],
        "lastAt": client.simulate_get(f"/jobs/{timeouts[-1]}").json["finishedAt"],
        "jobIds": timeouts[:1:-1],
    }
    assert [(group["kind"], group["count"]) for group in answer[1:]] == [("time_limit", 1), ("error", 1)]
    since = {"since": client.simulate_get(f"/jobs/{timeouts[5]}").json["finishedAt"]}
    assert [group["count"] for group in client.simulate_get("/failures", params=since).json["items"]] == [2, 1, 1]
    assert client.simulate_get("/failures", params={"since": "now"}).status_code == 400


def test_a_group_is_a_filter_for_its_jobs(client: testing.TestClient) -> None:
    timeouts = [failed_job(f"no answer from 10.0.0.{n}") for n in range(3)]
    failed_job("no answer from anybody")
    failed_job("no answer from 10.0.0.1", kind="time_limit")
    failed_job("no answer from 10.0.0.1", type="ValueError")
    (group, *_) = client.simulate_get("/failures").json["items"]
    which = {"type": group["type"], "status": "failed", "failure": group["failure"]}

    listed = client.simulate_get("/jobs", params=which).json["items"]
    counted = client.simulate_post("/actions", json={"kind": "retry", "filter": which, "dryRun": True}).json

    assert [job["id"] for job in listed] == timeouts[::-1] == group["jobIds"]
    assert counted == {"matched": 3, "bounded": False}
    later = {**which, "finishedAfter": client.simulate_get(f"/jobs/{timeouts[1]}").json["finishedAt"]}
    assert [job["id"] for job in client.simulate_get("/jobs", params=later).json["items"]] == timeouts[2:]
    assert client.simulate_get("/jobs", params={"failure": "OSError"}).status_code == 400


def test_a_failure_that_says_nothing_can_be_asked_for(client: testing.TestClient) -> None:
    for error in ("{}", '{"kind":"error"}', '{"kind":7,"message":["x"]}', "null"):
        settle(claimed_job(), Event.FAILED, error=error)

    for group in client.simulate_get("/failures").json["items"]:
        found = client.simulate_get("/jobs", params={"failure": group["failure"]}).json["items"]
        assert [job["id"] for job in found] == group["jobIds"]


def test_a_failure_that_says_nothing_is_a_group_all_the_same(client: testing.TestClient) -> None:
    for error in ("{}", '{"kind":"error"}', '{"kind":7,"type":{"a":1},"message":["x"]}'):
        settle(claimed_job(), Event.FAILED, error=error)

    assert {(group["kind"], group["message"]) for group in client.simulate_get("/failures").json["items"]} == {
        (None, ""),
        ("error", ""),
        ("7", '["x"]'.replace('"x"', "<text>")),
    }


@pytest.mark.parametrize(
    ("message", "pattern"),
    [
        ("job 018f4e9a-1b2c-7d3e-8f90-a1b2c3d4e5f6 is gone", "job <id> is gone"),
        ("can't open '/tmp/x1' or \"b\"", "can't open <text> or <text>"),
        ("550 ann.lee+x@mail.example.com: no such user", "<n> <address>: no such user"),
        ("object at 0x7f3a99 of deadbeef01", "object at <hex> of <hex>"),
        ("took 12.5 s at 10:30:00", "took <n> s at <n>"),
        ("first\nsecond 2", "first"),
        ("  \n", ""),
    ],
)
def test_what_differs_from_job_to_job_has_no_place_in_a_group(message: str, pattern: str) -> None:
    assert without_variables(message) == pattern


def test_only_the_newest_failed_jobs_are_looked_at(client: testing.TestClient, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(failing, "_NEWEST", failing._NEWEST.replace(f"LIMIT {failing.LOOKED_AT}", "LIMIT 3"))
    jobs = [failed_job("x") for _ in range(5)]

    (group,) = client.simulate_get("/failures").json["items"]

    assert (group["count"], group["jobIds"]) == (3, jobs[:1:-1])


def test_what_a_process_has_read_of_failures_changes_with_the_jobs(
    client: testing.TestClient, journal_url: str
) -> None:
    first, second = failed_job("one"), failed_job("one")
    assert [group["count"] for group in client.simulate_get("/failures").json["items"]] == [2]

    read(
        journal_url,
        "UPDATE jobs SET error = %s, finished_at = clock_timestamp() WHERE id = %s",
        ['{"kind": "error", "message": "two"}', first],
    )
    third = failed_job("one")

    groups = {group["message"]: group["jobIds"] for group in client.simulate_get("/failures").json["items"]}
    assert groups == {"one": [third, second], "two": [first]}
    assert set(failing._known) == {first, second, third}
