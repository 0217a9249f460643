"""``POST /jobs``: what reaches the broker, and what is refused before."""

from datetime import UTC, datetime
from uuid import UUID

import pytest
from falcon import testing

from jobplatform.errors import DatabaseUnavailable, RefusedByDatabase, SchemaMissing
from tests.services.stand_ins import GREETING, ID, JSON, StandInBroker, StandInReader, post


def test_a_submitted_job_is_answered_with_its_place_and_all_its_fields(client: testing.TestClient) -> None:
    answer = post(client, GREETING)

    job = answer.json
    assert answer.status_code == 201
    assert answer.headers["Location"] == f"/jobs/{job['jobId']}"
    assert answer.headers["Content-Type"] == "application/json"
    assert answer.headers["Cache-Control"] == "no-store"
    assert job == {
        "jobId": job["id"],
        "id": str(UUID(job["id"])),
        "type": "GREETING",
        "status": "queued",
        "priority": "default",
        "attempts": 0,
        "payload": {"name": "Ada"},
        "result": None,
        "error": None,
        "progress": None,
        "createdAt": "2030-01-31T08:00:00.000000Z",
        "updatedAt": "2030-01-31T08:00:00.000000Z",
        "startedAt": None,
        "finishedAt": None,
        "runAt": None,
        "tags": [],
        "uniqueKey": None,
        "cancelRequested": False,
    }


def test_all_that_was_submitted_reaches_the_broker(client: testing.TestClient, broker: StandInBroker) -> None:
    post(
        client,
        b'{"type":"GREETING","payload":{"name":"Ada"},"priority":"high","maxRetries":5,"runAt":"2031-01-01T01:00:00+01:00"}',
    )

    (message,) = broker.accepted
    assert message.actor_name == "GREETING.high"
    assert message.queue_name == "high"
    assert message.payload == '{"name":"Ada"}'
    assert message.run_at == datetime(2031, 1, 1, tzinfo=UTC)
    assert message.options == {"max_retries": 5}
    assert message.who == "anonymous"


def test_a_type_s_high_twin_is_no_type_of_its_own(client: testing.TestClient) -> None:
    answer = post(client, b'{"type": "GREETING.high", "payload": {"name": "Ada"}}')

    assert answer.status_code == 422
    assert answer.json["errors"] == [{"pointer": "/type", "detail": "is unknown: the known types are GREETING"}]


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Content-Type": "text/plain"},
        {"Content-Type": "application/x-www-form-urlencoded"},
        {"Content-Type": "application/problem+json"},
        {"Content-Type": "application/json5"},
        {"Content-Type": "application/json", "Content-Encoding": "gzip"},
    ],
)
def test_a_body_that_does_not_say_plain_json_is_unsupported(
    client: testing.TestClient, headers: dict[str, str]
) -> None:
    answer = post(client, GREETING, headers)

    assert answer.status_code == 415
    assert answer.json["type"] == "/problems/unsupported-media-type"


@pytest.mark.parametrize(
    "headers",
    [
        {"Content-Type": "application/json; charset=utf-8"},
        {"Content-Type": "Application/JSON"},
        {"Content-Type": "application/json", "Content-Encoding": "identity"},
        {"Content-Type": "application/json", "Accept": "text/html"},
    ],
)
def test_a_body_that_says_plain_json_in_its_own_way_is_read(
    client: testing.TestClient, headers: dict[str, str]
) -> None:
    assert post(client, GREETING, headers).status_code == 201


def test_a_body_that_says_it_is_too_long_is_refused_unread(client: testing.TestClient) -> None:
    answer = post(client, b"x" * 70_000)

    assert answer.status_code == 413
    assert answer.json["type"] == "/problems/too-large"


def test_a_payload_over_its_limit_is_too_large_though_its_body_is_not(client: testing.TestClient) -> None:
    assert post(client, b'{"type": "GREETING", "payload": {"name": "%s"}}' % (b"x" * 1_000)).status_code == 413


def test_nothing_faulty_reaches_the_broker(client: testing.TestClient, broker: StandInBroker) -> None:
    for body in (b"{", b"{}", b'{"type": "NOPE", "payload": {}}', b'{"type": "GREETING", "payload": {"name": 1}}'):
        assert post(client, body).status_code in (400, 422)

    assert broker.accepted == []


def test_without_postgres_a_submit_says_that_its_fate_is_unknown_and_where_to_look(
    client: testing.TestClient, broker: StandInBroker
) -> None:
    broker.error = DatabaseUnavailable()

    answer = post(client, GREETING)

    assert answer.status_code == 503
    assert int(answer.headers["Retry-After"]) > 0
    assert answer.json["type"] == "/problems/unavailable"
    assert "not known whether the job was accepted" in answer.json["detail"]
    assert f"/jobs/{UUID(answer.json['jobId'])}" in answer.json["detail"]
    assert "proves nothing until a minute has passed" in answer.json["detail"]


def test_without_postgres_no_id_is_told_of_a_job_for_which_another_may_stand(
    client: testing.TestClient, broker: StandInBroker
) -> None:
    broker.error = DatabaseUnavailable()

    answer = post(
        client, b'{"type": "GREETING", "payload": {"name": "Ada"}, "uniqueKey": "one", "onConflict": "return"}'
    )

    assert (answer.status_code, "jobId" in answer.json) == (503, False)
    assert "Idempotency-Key" in answer.json["detail"]


def test_a_database_without_schema_is_named_as_such(client: testing.TestClient, reader: StandInReader) -> None:
    reader.error = SchemaMissing()

    answer = client.simulate_get(f"/jobs/{ID}")

    assert answer.status_code == 503
    assert "python -m jobplatform migrate" in answer.json["detail"]


def test_a_value_that_the_database_refuses_is_the_client_s_fault(
    client: testing.TestClient, broker: StandInBroker
) -> None:
    broker.error = RefusedByDatabase("invalid input syntax for type json")

    answer = post(client, GREETING)

    assert answer.status_code == 422
    assert answer.json["type"] == "/problems/invalid-job"


@pytest.mark.parametrize("path", ["/jobs", "/jobs/batch"])
def test_a_parameter_that_is_not_known_submits_nothing_and_is_told_the_one_that_is(
    client: testing.TestClient, broker: StandInBroker, path: str
) -> None:
    body = GREETING if path == "/jobs" else b'{"jobs": [%s]}' % GREETING

    answer = client.simulate_post(f"{path}?validateonly=true", body=body, headers=JSON)

    assert (answer.status_code, answer.json["type"]) == (400, "/problems/invalid-parameter")
    assert answer.json["detail"] == "validateonly is not known to this call, which takes validateOnly."
    assert broker.accepted == []
