"""``GET /jobs`` over the real database."""

from collections.abc import Iterator
from typing import Any

import pytest
from falcon import testing

from tests.services.journal import claimed_job, queued_job, settle
from tests.services.reading import reading_client


@pytest.fixture
def client(journal_url: str) -> Iterator[testing.TestClient]:
    with reading_client(journal_url) as made:
        yield made


def listed(client: testing.TestClient, **parameters: Any) -> list[str]:
    """The ids from all pages."""
    found: list[str] = []
    while True:
        answer = client.simulate_get("/jobs", params=parameters)
        assert answer.status_code == 200, answer.text
        found += [job["id"] for job in answer.json["items"]]
        if answer.json["next"] is None:
            return found
        parameters["cursor"] = answer.json["next"]


def fault(client: testing.TestClient, **parameters: Any) -> str:
    answer = client.simulate_get("/jobs", params=parameters)
    assert answer.status_code == 400
    assert answer.json["type"] == "/problems/invalid-parameter"
    return str(answer.json["detail"])


def test_a_page_shows_jobs_as_they_are(client: testing.TestClient) -> None:
    job_id = queued_job(payload='{"b": 1, "a": 2}', tags=["nightly"])

    answer = client.simulate_get("/jobs")

    assert answer.headers["Cache-Control"] == "no-cache"
    assert answer.json["next"] is None
    assert answer.json["items"] == [client.simulate_get(f"/jobs/{job_id}").json]
    assert '{"b": 1, "a": 2}' in answer.text
    assert client.simulate_head("/jobs").status_code == 200


def test_filters_order_and_pages(client: testing.TestClient) -> None:
    plain, high, tagged = queued_job(), queued_job(queue="high"), queued_job(tags=["eu"], payload='{"to": "ann"}')
    claim = claimed_job(type="PROBE")
    settle(claim)
    created = client.simulate_get(f"/jobs/{high}").json["createdAt"]

    assert listed(client, limit=1) == [claim.job_id, tagged, high, plain]
    assert listed(client, limit=3, order="oldest") == [plain, high, tagged, claim.job_id]
    assert listed(client, status="queued,running", limit=2) == [tagged, high, plain]
    assert listed(client, status=["queued", "completed"]) == [claim.job_id, tagged, high, plain]
    assert listed(client, type="OTHER, PROBE", priority="high") == [high]
    assert listed(client, tag="eu") == listed(client, q="ANN") == listed(client, q="$.to=ann") == [tagged]
    assert listed(client, createdAfter=created) == [claim.job_id, tagged]
    assert listed(client, createdBefore=created) == [plain]
    assert listed(client, createdAfter=created[:-1] + "+00:00", createdBefore=created) == []
    assert listed(client, status="", type="", q="", tag="", limit="", unknown="1") == listed(client)


def test_a_time_whose_plus_sign_was_not_escaped_is_understood(client: testing.TestClient) -> None:
    job_id = queued_job()

    answer = client.simulate_get("/jobs", query_string="createdAfter=2020-01-01T00:00:00+01:00")

    assert [job["id"] for job in answer.json["items"]] == [job_id]


def test_a_limit_too_large_is_brought_down_and_one_that_is_none_is_faulty(client: testing.TestClient) -> None:
    queued_job()

    assert len(listed(client, limit="9" * 100)) == 1
    for limit in ("0", "-1", "1.5", "many", "٣", "00"):
        assert fault(client, limit=limit) == "limit must be a whole number from 1 on."


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("status", "done"),
        ("status", "queued\0"),
        ("type", "A\0B"),
        ("type", ",".join(map(str, range(51)))),
        ("priority", "low"),
        ("tag", "a\0"),
        ("q", "a\0b"),
        ("q", "x" * 1_001),
        ("createdAfter", "yesterday"),
        ("createdAfter", "2030-01-31T08:00:00"),
        ("createdBefore", "2030-13-31T08:00:00Z"),
        ("order", "random"),
        ("cursor", "x"),
        ("cursor", "ä"),
        ("cursor", "a" * 5_000),
        ("cursor", "\0"),
    ],
)
def test_a_faulty_parameter_is_named(client: testing.TestClient, name: str, value: str) -> None:
    assert fault(client, **{name: value}).startswith(f"{name} must be")


@pytest.mark.parametrize("name", ["priority", "tag", "q", "createdAfter", "order", "limit", "cursor"])
def test_a_parameter_that_comes_twice_is_faulty(client: testing.TestClient, name: str) -> None:
    assert fault(client, **{name: ["high", "high"]}) == f"{name} must come once."


def test_a_cursor_fits_only_its_own_filters_and_order(client: testing.TestClient) -> None:
    for _ in range(3):
        queued_job()
    cursor = client.simulate_get("/jobs", params={"limit": 1, "type": "PROBE"}).json["next"]

    assert len(listed(client, type="PROBE", cursor=cursor, limit=2)) == 2
    for other in ({}, {"type": "OTHER"}, {"type": "PROBE", "order": "oldest"}, {"type": "PROBE", "q": "n"}):
        assert fault(client, cursor=cursor, **other).startswith("cursor must be")


def test_no_changed_character_of_a_cursor_goes_unnoticed(client: testing.TestClient) -> None:
    for _ in range(2):
        queued_job()
    cursor = client.simulate_get("/jobs", params={"limit": 1}).json["next"]

    for place in range(len(cursor)):
        changed = cursor[:place] + ("A" if cursor[place] != "A" else "B") + cursor[place + 1 :]
        assert fault(client, cursor=changed).startswith("cursor must be")
    for changed in (cursor + "=", cursor + "A", cursor[:-1], "=" + cursor):
        assert fault(client, cursor=changed).startswith("cursor must be")


def test_a_cursor_outlives_its_process(client: testing.TestClient, journal_url: str) -> None:
    jobs = [queued_job() for _ in range(2)]
    cursor = client.simulate_get("/jobs", params={"limit": 1}).json["next"]

    with reading_client(journal_url) as restarted:
        assert listed(restarted, cursor=cursor) == jobs[:1]
