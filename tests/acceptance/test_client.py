"""The client, against a real API with a real worker."""

import io
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from hashlib import sha256

import httpx
import pytest

from jobplatform.client import (
    ApiError,
    BadRequest,
    Client,
    Conflict,
    Forbidden,
    Invalid,
    NotFound,
    Submission,
)
from jobplatform.local.postgres import Postgres
from jobplatform.local.valkey import Valkey
from tests.services.api_server import ApiServer
from tests.services.fleet import Fleet
from tests.services.patience import eventually
from tests.services.processes import Processes
from tests.services.proxy import proxy_before
from tests.services.running_platform import running_platform

NOBODY = "01890a5d-ac96-774b-bcce-b302099a8057"


@pytest.fixture(scope="module")
def running(postgres_server: Postgres, redis_server: Valkey) -> Iterator[tuple[Fleet, ApiServer]]:
    with running_platform(postgres_server, redis_server) as running:
        yield running


@pytest.fixture
def api(running: tuple[Fleet, ApiServer]) -> ApiServer:
    return running[1]


@pytest.fixture
def fleet(running: tuple[Fleet, ApiServer]) -> Fleet:
    return running[0]


@pytest.fixture
def client(api: ApiServer) -> Iterator[Client]:
    with Client(api.url) as client:
        yield client


def in_a_minute() -> datetime:
    return datetime.now(UTC) + timedelta(minutes=1)


def test_a_submitted_job_is_waited_for(client: Client) -> None:
    job = client.submit("ECHO", {"value": {"b": 1, "a": [2]}}, priority="high", tags=["nightly"], max_retries=0)

    done = client.wait(job.id, 20)

    assert (done.status, done.result, done.priority, done.tags) == (
        "completed",
        {"b": 1, "a": [2]},
        "high",
        ["nightly"],
    )
    assert done.final
    assert [event.event for event in client.events(job.id)] == ["enqueued", "started", "completed"]


def test_a_wait_ends_when_its_time_is_up(client: Client) -> None:
    job = client.submit("ECHO", {}, run_at=in_a_minute())

    assert client.wait(job.id, 0.1).status == "scheduled"


def test_a_wait_does_not_press_an_api_that_answers_at_once(
    running: tuple[Fleet, ApiServer], client: Client, processes: Processes
) -> None:
    fleet, _ = running
    job = client.submit("ECHO", {}, run_at=in_a_minute())
    stopping = ApiServer(fleet, processes, "tests.services.stopping_api:application()")
    stopping.start()
    asked: list[httpx.Request] = []
    with Client(stopping.url) as waiting:
        waiting._http.event_hooks = {"request": [asked.append]}

        assert waiting.wait(job.id, 1).status == "scheduled"
    assert 2 <= len(asked) <= 6


def test_a_repeated_submit_finds_its_job(client: Client) -> None:
    first = client.submit("ECHO", {"value": 1}, idempotency_key="once")

    assert client.submit("ECHO", {"value": 1}, idempotency_key="once").id == first.id
    with pytest.raises(Invalid) as refused:
        client.submit("ECHO", {"value": 2}, idempotency_key="once")
    assert refused.value.kind == "idempotency-key-reused"


def test_a_submit_outlasts_an_api_that_restarts(running: tuple[Fleet, ApiServer], client: Client) -> None:
    fleet, api = running
    api.stop()
    with ThreadPoolExecutor(1) as pool:
        submitting = pool.submit(client.submit, "ECHO", {"value": "after all"})
        api.start()
        job = submitting.result(20)

    assert client.wait(job.id, 20).result == "after all"
    assert fleet.read("SELECT count(*) FROM jobs WHERE payload->>'value' = 'after all'") == [(1,)]


def test_an_answer_that_is_none_of_the_platforms_is_an_error_of_the_clients_kind(client: Client) -> None:
    for path in ("/docs", "/jobs/counts"):
        with pytest.raises(ApiError, match="something else"):
            client._job(client._get(path))


def test_a_batch_is_accepted_whole_or_not_at_all(client: Client) -> None:
    jobs = client.batch([Submission(type="ECHO", payload={"value": n}) for n in range(300)])

    assert [job.payload for job in jobs] == [{"value": n} for n in range(300)]
    with pytest.raises(Invalid) as refused:
        client.batch([Submission(type="ECHO", payload={}), Submission(type="NAP", payload={"seconds": "long"})])
    assert [fault["pointer"] for fault in refused.value.errors] == ["/jobs/1/payload/seconds"]


def test_a_payload_that_does_not_fit_is_told_where(client: Client) -> None:
    for ask in (client.submit, client.validate):
        with pytest.raises(Invalid, match="/payload/seconds") as refused:
            ask("NAP", {"seconds": "long"})
        assert (refused.value.status, refused.value.kind) == (422, "invalid-job")
    client.validate("NAP", {"seconds": 1})


def test_a_unique_job_names_the_one_in_its_way(client: Client) -> None:
    holder = client.submit("ECHO", {}, unique_key="one", run_at=in_a_minute())

    with pytest.raises(Conflict) as refused:
        client.submit("ECHO", {}, unique_key="one")
    assert refused.value.job_id == holder.id
    assert client.submit("ECHO", {}, unique_key="one", on_conflict="return").id == holder.id
    assert client.submit("ECHO", {}, unique_key="one", on_conflict="replace", run_at=in_a_minute()).id != holder.id
    assert client.job(holder.id).status == "cancelled"


def test_jobs_are_listed_page_by_page(client: Client) -> None:
    ids = {job.id for job in client.batch([Submission(type="ECHO", payload={}, tags=["paged"]) for _ in range(12)])}

    assert {job.id for job in client.jobs(tag="paged")} == ids
    assert len(list(client.jobs(tag="paged", limit=5))) == 5
    assert list(client.jobs(tag="nobody has it")) == []
    with pytest.raises(BadRequest, match="status"):
        list(client.jobs(status="lost"))


def test_a_life_is_streamed_to_its_end(client: Client) -> None:
    job = client.submit("FLAKY", {"failures": 1})

    told = [data["event"] for kind, data in client.stream(job.id) if kind == "transition"]

    assert told == ["enqueued", "started", "retry_planned", "released", "started", "completed"]
    last = client.events(job.id)[-1]
    assert list(client.stream(job.id, after=last.id)) == []


def test_the_stream_of_a_job_does_not_end_with_an_end_that_was_not_the_last(client: Client) -> None:
    job = client.submit("ECHO", {}, run_at=in_a_minute())
    client.cancel(job.id)
    client.retry(job.id)

    told = [data["event"] for kind, data in client.stream(job.id) if kind == "transition"]

    assert told == ["scheduled", "cancelled", "resubmitted", "started", "completed"]


def test_all_that_happens_is_streamed_from_where_one_was(client: Client) -> None:
    before = client.submit("ECHO", {})
    seen = client.wait(before.id, 20)
    mark = client.events(seen.id)[-1].id
    job = client.submit("ECHO", {"value": "seen"})

    told = []
    for kind, data in client.stream(after=mark):
        told += [data["event"]] if kind == "transition" and data["jobId"] == job.id else []
        if "completed" in told:
            break

    assert told == ["enqueued", "started", "completed"]


def test_a_stream_that_is_cut_before_it_said_anything_misses_nothing(api: ApiServer, client: Client) -> None:
    with ThreadPoolExecutor(1) as pool, proxy_before(api.url) as proxy, Client(proxy.url(api.url)) as cut:
        # What is enqueued: a job of another test may just be ending.
        told = pool.submit(lambda: next(data for _, data in cut.stream() if data.get("event") == "enqueued"))
        eventually(lambda: b"\nid: " in proxy.said, what="the beginning of a stream")
        proxy.lose_what_comes()
        job = client.submit("ECHO", {})

        assert told.result(20)["jobId"] == job.id


def test_whatever_a_text_holds_the_stream_tells_it(client: Client) -> None:
    reason = "one\u2028two\u2029three\u0085four\x0bfive\r\nsix"
    job = client.submit("ECHO", {}, run_at=in_a_minute())
    client.cancel(job.id, reason)

    assert [data["detail"] for _, data in client.stream(job.id)][-1]["reason"] == reason


def test_a_waiting_job_is_called_off_and_run_after_all_with_another_payload(client: Client) -> None:
    job = client.submit("ECHO", {"value": 1}, run_at=in_a_minute())

    assert client.cancel(job.id, "not today").status == "cancelled"
    with pytest.raises(Conflict):
        client.cancel(job.id)
    with pytest.raises(Invalid, match="/payload"):
        client.retry(job.id, payload=7)
    assert client.retry(job.id, "today after all", payload={"value": 2}).payload == {"value": 2}

    assert client.wait(job.id, 20).result == 2
    details = {event.event: event.detail for event in client.events(job.id)}
    assert details["cancelled"]["reason"] == "not today"
    assert details["resubmitted"]["reason"] == "today after all"


def test_a_running_job_is_asked_to_stop(client: Client) -> None:
    job = client.submit("CANCELLABLE", {})
    eventually(lambda: client.job(job.id).status == "running", what="the job runs")

    assert client.cancel(job.id).cancel_requested
    assert client.wait(job.id, 20).status == "cancelled"


def test_a_job_tells_why_it_does_not_run_and_what_it_logged(client: Client) -> None:
    waiting = client.submit("ECHO", {}, run_at=in_a_minute())
    talking = client.submit("TALKING", {"lines": ["one", "two"]})

    assert client.explain(waiting.id)["reasons"][0]["code"] == "scheduled"
    client.wait(talking.id, 20)
    assert [line["text"] for line in client.logs(talking.id)] == ["one", "two"]


def test_a_file_is_downloaded(client: Client) -> None:
    job = client.submit("WRITING", {})
    client.wait(job.id, 20)
    file = io.BytesIO()

    assert client.download(job.id, file) == len(b"attempt 1")
    assert file.getvalue() == b"attempt 1"
    without = client.wait(client.submit("ECHO", {}).id, 20)
    with pytest.raises(NotFound):
        client.download(without.id, file)


def test_what_is_not_there_is_not_found(client: Client) -> None:
    for ask in (
        client.job,
        client.events,
        client.explain,
        client.cancel,
        client.retry,
        lambda i: list(client.stream(i)),
    ):
        with pytest.raises(NotFound):
            ask(NOBODY)


def test_the_types_and_counts_are_read(client: Client) -> None:
    client.wait(client.submit("ECHO", {}).id, 20)

    assert "ECHO" in {item["type"] for item in client.types()}
    assert client.counts()["byType"]["ECHO"]["completed"] >= 1


def test_a_key_without_the_scope_is_forbidden(fleet: Fleet, processes: Processes) -> None:
    made = subprocess.run(
        [sys.executable, "-m", "jobplatform", "key", "reader", "read"], capture_output=True, text=True, check=True
    ).stdout.split()
    (entry,) = [word for word in made if word.startswith("reader:read:")]
    guarded = ApiServer(fleet, processes, API_KEYS=entry)
    guarded.start()
    keys = [word for word in made if word != entry]

    def answers(key: str) -> bool:
        return sha256(key.encode()).hexdigest() == entry.rpartition(":")[2]

    (key,) = filter(answers, keys)
    with Client(guarded.url, key=key) as reader:
        assert reader.counts()["total"] >= 0
        with pytest.raises(Forbidden, match="submit"):
            reader.submit("ECHO", {})
