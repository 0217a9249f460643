"""Submitting over HTTP with a real engine behind it: keys, batches, dry runs, and what a lost answer leads to."""

import json
from collections.abc import Iterator
from math import inf
from typing import Any
from uuid import uuid4

import pytest
import redis
from falcon import testing

from api.app import create_app
from jobplatform import journal
from jobplatform.broker import JobBroker
from jobplatform.errors import UniqueKeyTaken, Unsupported
from jobplatform.inquiries import Inquiries
from jobplatform.journal import Cancel, Claim
from jobplatform.models import connect_to
from jobplatform.settings import Settings
from tests.services.journal import SUSPECT_FROM, WORKER, column, history, read, status
from tests.services.proxy import Proxy, proxy_before
from tests.services.reading import BriefReader

GREETING: dict[str, Any] = {"type": "GREETING", "payload": {"name": "Ada"}}
JSON = {"Content-Type": "application/json"}
SETTINGS: dict[str, Any] = {"max_payload_bytes": 2_000, "max_body_bytes": 2_000_000, "submit_timeout": 1_000}


@pytest.fixture
def broker(journal_url: str, redis_url: str) -> Iterator[JobBroker]:
    broker = JobBroker(Settings(database_url=journal_url, redis_url=redis_url, **SETTINGS))

    @broker.actor("GREETING")
    def greeting(name: str, shout: bool = False) -> str:
        return f"{name}{shout}"

    yield broker
    assert broker.recorder.close(10)


@pytest.fixture
def patience() -> int:
    """How many times as long as a single submit a batch may take."""
    return 10


@pytest.fixture
def client(
    broker: JobBroker, journal_url: str, redis_url: str, patience: int, monkeypatch: pytest.MonkeyPatch
) -> Iterator[testing.TestClient]:
    monkeypatch.setattr("api.batch._PATIENCE", patience)
    settings = Settings(database_url=journal_url, redis_url=redis_url, **SETTINGS)
    reader, inquiries = BriefReader(), Inquiries()
    yield testing.TestClient(create_app(broker, reader, inquiries, settings))
    reader.close()
    inquiries.close()


@pytest.fixture
def proxy(client: testing.TestClient, journal_url: str) -> Iterator[Proxy]:  # noqa: ARG001
    """What every new connection of the engine goes through."""
    with proxy_before(journal_url) as proxy:
        connect_to(proxy.url(journal_url))
        yield proxy
        connect_to(journal_url)


def post(client: testing.TestClient, body: Any, path: str = "/jobs", key: str | None = None) -> testing.Result:
    headers = JSON if key is None else {**JSON, "Idempotency-Key": key}
    text = body if isinstance(body, bytes) else json.dumps(body).encode()
    return client.simulate_post(path, body=text, headers=headers)


def post_batch(client: testing.TestClient, jobs: Any, key: str | None = None) -> testing.Result:
    return post(client, {"jobs": jobs}, "/jobs/batch", key)


def number_of_jobs(url: str) -> int:
    ((number,),) = read(url, "SELECT count(*) FROM jobs")
    return int(number)


def start(job_id: str) -> None:
    journal.commit([Claim(job_id, "GREETING", str(uuid4()), WORKER, SUSPECT_FROM)])


def pointers(answer: testing.Result) -> list[str]:
    return [fault["pointer"] for fault in answer.json["errors"]]


def problem(answer: testing.Result) -> tuple[int, str]:
    return answer.status_code, answer.json["type"].removeprefix("/problems/")


def test_tags_and_a_unique_key_are_stored_and_shown(client: testing.TestClient, journal_url: str) -> None:
    answer = post(client, {**GREETING, "tags": ["b", "a", "b"], "uniqueKey": "the one"})

    job = answer.json
    assert (answer.status_code, job["tags"], job["uniqueKey"]) == (201, ["b", "a"], "the one")
    assert client.simulate_get(f"/jobs/{job['id']}").json == {k: v for k, v in job.items() if k != "jobId"}
    assert read(journal_url, "SELECT tag FROM job_tags ORDER BY tag") == [("a",), ("b",)]
    assert read(journal_url, "SELECT who, request_id FROM transitions") == [
        ("anonymous", answer.headers["X-Request-Id"])
    ]


def test_a_repeated_request_gets_the_job_as_it_is_now(client: testing.TestClient, journal_url: str) -> None:
    first = post(client, GREETING, key="a-key")
    journal.commit([Cancel(first.json["jobId"])])

    again = post(client, GREETING, key="a-key")

    assert (first.status_code, "Idempotency-Replayed" in first.headers) == (201, False)
    assert (again.status_code, again.headers["Idempotency-Replayed"]) == (200, "true")
    assert again.headers["Location"] == first.headers["Location"]
    assert (again.json["jobId"], again.json["status"]) == (first.json["jobId"], "cancelled")
    assert again.json.keys() == first.json.keys()
    assert number_of_jobs(journal_url) == 1


@pytest.mark.parametrize("body", [{**GREETING, "priority": "high"}, json.dumps(GREETING, indent=1).encode()])
def test_another_request_under_the_same_key_is_refused(client: testing.TestClient, journal_url: str, body: Any) -> None:
    post(client, GREETING, key="a-key")

    assert problem(post(client, body, key="a-key")) == (422, "idempotency-key-reused")
    assert problem(post_batch(client, [GREETING], key="a-key")) == (422, "idempotency-key-reused")
    assert number_of_jobs(journal_url) == 1


@pytest.mark.parametrize("key", ["", "a" * 256, "two words", "Schlüssel"])
def test_a_key_that_is_none_is_refused(client: testing.TestClient, journal_url: str, key: str) -> None:
    assert problem(post(client, GREETING, key=key)) == (400, "invalid-request")
    assert problem(post_batch(client, [GREETING], key=key)) == (400, "invalid-request")
    assert number_of_jobs(journal_url) == 0


def test_a_held_unique_key_is_rejected_returned_or_replaced(client: testing.TestClient, journal_url: str) -> None:
    held = {**GREETING, "uniqueKey": "the one"}
    holder = post(client, held).json["jobId"]

    rejected = post(client, held)
    returned = post(client, {**held, "onConflict": "return"})
    replaced = post(client, {**held, "onConflict": "replace"})
    start(replaced.json["jobId"])
    too_late = post(client, {**held, "onConflict": "replace"})

    assert problem(rejected) == (409, "unique-key-taken")
    assert (rejected.json["jobId"], pointers(rejected)) == (holder, ["/uniqueKey"])
    assert (returned.status_code, returned.headers["Location"]) == (200, f"/jobs/{holder}")
    assert (returned.json["jobId"], "Idempotency-Replayed" in returned.headers) == (holder, False)
    assert (replaced.status_code, status(journal_url, holder)) == (201, "cancelled")
    assert (too_late.status_code, too_late.json["jobId"]) == (409, replaced.json["jobId"])
    assert history(journal_url, replaced.json["jobId"]) == ["enqueued", "started"]


def test_a_dry_run_checks_all_and_stores_nothing(client: testing.TestClient, journal_url: str) -> None:
    dry = "/jobs?validateOnly=true"

    assert post(client, {**GREETING, "priority": "high"}, dry, key="a-key").json == {
        "valid": True,
        "type": "GREETING",
        "priority": "high",
    }
    assert problem(post(client, {"type": "GREETING", "payload": {}}, dry)) == (422, "invalid-job")
    assert problem(post(client, GREETING, dry, key="")) == (400, "invalid-request")
    assert post(client, {"jobs": [GREETING] * 2}, "/jobs/batch?validateOnly=true").json == {"valid": True, "jobs": 2}
    assert problem(post(client, {"jobs": []}, "/jobs/batch?validateOnly=true")) == (422, "invalid-job")
    assert read(journal_url, "SELECT 1 FROM jobs UNION ALL SELECT 1 FROM idempotency_keys") == []
    assert post(client, GREETING, "/jobs?validateOnly=false").status_code == 201
    assert post(client, GREETING, "/jobs?validateOnly=").status_code == 201, "empty is left out"


@pytest.mark.parametrize("given", ["yes", "1", "TRUE", "true&validateOnly=false", "true&validateonly=true"])
def test_a_dry_run_is_asked_for_in_one_way(client: testing.TestClient, journal_url: str, given: str) -> None:
    assert problem(post(client, GREETING, f"/jobs?validateOnly={given}")) == (400, "invalid-parameter")
    assert number_of_jobs(journal_url) == 0


def test_a_batch_is_accepted_in_its_order_and_sent(
    client: testing.TestClient, journal_url: str, redis_url: str
) -> None:
    jobs = [
        {"type": "GREETING", "payload": {"name": f"{n}"}, "priority": "high" if n % 2 else "default"} for n in range(4)
    ]

    answer = post_batch(client, [*jobs, {**GREETING, "runAt": "2100-01-01T00:00:00Z", "tags": ["later"]}])

    items = answer.json["items"]
    assert answer.status_code == 201
    assert [item["payload"]["name"] for item in items] == ["0", "1", "2", "3", "Ada"]
    assert [item["status"] for item in items] == ["queued"] * 4 + ["scheduled"]
    for item in items:
        assert client.simulate_get(f"/jobs/{item['jobId']}").json == {k: v for k, v in item.items() if k != "jobId"}
    with redis.Redis.from_url(redis_url) as server:
        assert (server.llen("dramatiq:high"), server.llen("dramatiq:default")) == (2, 2)
    assert read(journal_url, "SELECT count(DISTINCT xid::text), count(*) FROM transitions") == [(1, 5)]


def test_ten_thousand_jobs_are_one_transaction(client: testing.TestClient, journal_url: str, redis_url: str) -> None:
    answer = post_batch(client, [GREETING] * 10_000)

    assert answer.status_code == 201
    assert len({item["jobId"] for item in answer.json["items"]}) == 10_000
    assert read(journal_url, "SELECT count(DISTINCT xid::text), count(*) FROM transitions") == [(1, 10_000)]
    with redis.Redis.from_url(redis_url) as server:
        assert server.llen("dramatiq:default") == 10_000


def test_a_repeated_batch_gets_all_its_jobs_as_they_are_now(client: testing.TestClient, journal_url: str) -> None:
    first = post_batch(client, [GREETING] * 3, key="a-key")
    ids = [item["jobId"] for item in first.json["items"]]
    journal.commit([Cancel(ids[1])])

    again = post_batch(client, [GREETING] * 3, key="a-key")

    assert (again.status_code, again.headers["Idempotency-Replayed"]) == (200, "true")
    assert [item["jobId"] for item in again.json["items"]] == ids
    assert [item["status"] for item in again.json["items"]] == ["queued", "cancelled", "queued"]
    assert number_of_jobs(journal_url) == 3


def test_each_fault_in_a_batch_is_named_by_its_place_and_nothing_is_stored(
    client: testing.TestClient, journal_url: str
) -> None:
    answer = post_batch(
        client,
        [
            GREETING,
            {"type": "GREETING", "payload": {"name": 5, "other": 1}},
            "text",
            {**GREETING, "runAt": "tomorrow", "tags": ["\0"], "x/y": 1, "onConflict": "return"},
            {"type": "NOPE", "payload": {}},
            {**GREETING, "uniqueKey": "one"},
            {**GREETING, "uniqueKey": "one"},
        ],
    )

    assert problem(answer) == (422, "invalid-job")
    assert sorted(pointers(answer)) == [
        "/jobs/1/payload/name",
        "/jobs/1/payload/other",
        "/jobs/2",
        "/jobs/3/onConflict",
        "/jobs/3/runAt",
        "/jobs/3/tags",
        "/jobs/3/x~1y",
        "/jobs/4/type",
    ]
    assert number_of_jobs(journal_url) == 0


def test_a_batch_cannot_hold_a_unique_key_twice(client: testing.TestClient, journal_url: str) -> None:
    answer = post_batch(client, [{**GREETING, "uniqueKey": "one"}, GREETING, {**GREETING, "uniqueKey": "one"}])

    assert (problem(answer), pointers(answer)) == ((422, "invalid-job"), ["/jobs/2/uniqueKey"])
    assert number_of_jobs(journal_url) == 0


def test_of_very_many_faults_the_first_hundred_are_named(client: testing.TestClient) -> None:
    answer = post_batch(client, [{"type": "GREETING", "payload": {}}] * 5_000)

    assert answer.json["detail"] == "More than 100 faults in the batch."
    assert pointers(answer) == [f"/jobs/{place}/payload/name" for place in range(100)]


@pytest.mark.parametrize(
    ("body", "pointer"),
    [
        (b"{}", "/jobs"),
        (b'{"jobs": []}', "/jobs"),
        (b'{"jobs": {}}', "/jobs"),
        (b'{"jobs": null}', "/jobs"),
        (b'{"jobs": [%s]}' % b",".join([b'{"type": "GREETING", "payload": {"name": ""}}'] * 10_001), "/jobs"),
        (b"[]", ""),
        (b"5", ""),
        (b'{"jobs": 1, "jobs": [{"type": "GREETING", "payload": {"name": ""}}]}', ""),
        (b'{"jobs": [{"type": 1, "type": "GREETING", "payload": {"name": ""}}]}', "/jobs/0"),
    ],
)
def test_a_body_that_is_no_batch_is_refused(client: testing.TestClient, body: bytes, pointer: str) -> None:
    answer = post(client, body, "/jobs/batch")

    assert (problem(answer), pointers(answer)) == ((422, "invalid-job"), [pointer])


def test_a_batch_has_no_other_fields(client: testing.TestClient) -> None:
    answer = post(client, {"jobs": [GREETING], "type": "GREETING"}, "/jobs/batch")

    assert (problem(answer), pointers(answer)) == ((422, "invalid-job"), ["/type"])


def test_a_batch_that_is_no_json_is_refused(client: testing.TestClient) -> None:
    assert problem(post(client, b'{"jobs": [', "/jobs/batch")) == (400, "malformed-json")


def test_a_batch_and_each_of_its_payloads_have_their_limits(client: testing.TestClient, journal_url: str) -> None:
    long = {"type": "GREETING", "payload": {"name": "x" * 2_000}}

    too_long = post_batch(client, [GREETING, GREETING, long])
    too_many = post(client, b" " * 2_000_001, "/jobs/batch")

    assert problem(too_long) == problem(too_many) == (413, "too-large")
    assert "/jobs/2" in too_long.json["detail"]
    assert number_of_jobs(journal_url) == 0


def test_a_unique_key_that_is_held_refuses_the_whole_batch_unless_its_holder_will_do(
    client: testing.TestClient, journal_url: str
) -> None:
    held = {**GREETING, "uniqueKey": "the one"}
    holder = post(client, held).json["jobId"]

    rejected = post_batch(client, [GREETING, held])
    returned = post_batch(client, [GREETING, {**held, "onConflict": "return"}])

    assert problem(rejected) == (409, "unique-key-taken")
    assert (rejected.json["jobId"], pointers(rejected)) == (holder, ["/jobs/1/uniqueKey"])
    assert (returned.status_code, returned.json["items"][1]["jobId"]) == (201, holder)
    assert number_of_jobs(journal_url) == 2


@pytest.mark.parametrize("path", ["/jobs", "/jobs/batch"])
def test_an_answer_of_postgres_that_is_lost_costs_the_client_nothing(
    client: testing.TestClient, proxy: Proxy, journal_url: str, path: str
) -> None:
    """The writer asks again, and finds its own job."""
    body = GREETING if path == "/jobs" else {"jobs": [GREETING]}
    proxy.lose_answer_to("COMMIT")

    answer = post(client, body, path, key="a-key")

    assert (answer.status_code, "Idempotency-Replayed" in answer.headers, proxy.lost) == (201, False, 1)
    assert read(journal_url, "SELECT event FROM transitions") == [("enqueued",)]


@pytest.mark.parametrize(("path", "patience"), [("/jobs", 1), ("/jobs/batch", 1)])
def test_after_a_503_the_same_request_gets_the_job_that_was_accepted_then(
    client: testing.TestClient, proxy: Proxy, journal_url: str, path: str
) -> None:
    """Postgres commits, its answer is lost, and it cannot be reached for longer than the client can wait."""
    body = GREETING if path == "/jobs" else {"jobs": [GREETING]}
    proxy.lose_answer_to("COMMIT")
    proxy.refuse_connections()

    unknown = post(client, body, path, key="a-key")
    connect_to(journal_url)
    again = post(client, body, path, key="a-key")

    assert problem(unknown) == (503, "unavailable")
    assert ("jobId" in unknown.json, "same Idempotency-Key" in unknown.json["detail"]) == (False, True)
    assert (again.status_code, again.headers["Idempotency-Replayed"]) == (200, "true")
    assert read(journal_url, "SELECT event FROM transitions") == [("enqueued",)]


@pytest.mark.parametrize("patience", [1])
def test_after_a_503_a_batch_is_proved_by_a_job_for_which_no_other_stands(
    client: testing.TestClient, proxy: Proxy, journal_url: str
) -> None:
    shared = {**GREETING, "uniqueKey": "the one", "onConflict": "return"}
    post_batch(client, [shared, GREETING])  # two: of one job the batches' writer, and its connection, never hears
    proxy.lose_answer_to("COMMIT")
    proxy.refuse_connections()

    unknown = post_batch(client, [shared, GREETING])
    connect_to(journal_url)

    assert problem(unknown) == (503, "unavailable")
    assert client.simulate_get(f"/jobs/{unknown.json['jobId']}").status_code == 200
    assert number_of_jobs(journal_url) == 3


def test_from_python_too_a_job_has_tags_and_comes_once(broker: JobBroker, journal_url: str) -> None:
    greeting = broker.types["GREETING"]

    first = greeting.send_with_options(kwargs={"name": "Ada"}, tags=["a", "b", "a"], unique_key="the one")

    assert column(journal_url, first.message_id, "tags") == ["a", "b"]
    with pytest.raises(UniqueKeyTaken):
        greeting.send_with_options(kwargs={"name": "Ada"}, unique_key="the one")
    same = greeting.send_with_options(kwargs={"name": "Ada"}, unique_key="the one", on_conflict="return")
    assert same.message_id == first.message_id
    other = greeting.send_with_options(
        kwargs={"name": "Ada"}, unique_key="the one", on_conflict="replace", delay=60_000
    )
    assert (status(journal_url, first.message_id), status(journal_url, other.message_id)) == ("cancelled", "scheduled")


@pytest.mark.parametrize(
    "options",
    [{"on_conflict": "ignore"}, {"on_conflict": "return"}, {"tags": "nightly"}, {"tag": ["a"]}, {"time_limit": inf}],
)
def test_from_python_what_does_not_exist_is_refused(
    broker: JobBroker, journal_url: str, options: dict[str, Any]
) -> None:
    with pytest.raises(Unsupported):
        broker.types["GREETING"].send_with_options(kwargs={"name": "Ada"}, **options)

    assert number_of_jobs(journal_url) == 0
