"""``GET /jobs/{id}``: one job, its version, and waiting for its end."""

import asyncio
import time
from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest
from falcon import testing

from api.app import App
from jobplatform.states import Status
from tests.services.stand_ins import AT, ID, StandInReader


def test_a_job_is_shown_with_its_payload_as_it_was_sent(client: testing.TestClient) -> None:
    answer = client.simulate_get(f"/jobs/{ID}")

    assert answer.status_code == 200
    assert list(answer.json) == [
        "id",
        "type",
        "status",
        "priority",
        "attempts",
        "payload",
        "result",
        "error",
        "progress",
        "createdAt",
        "updatedAt",
        "startedAt",
        "finishedAt",
        "runAt",
        "tags",
        "uniqueKey",
        "cancelRequested",
    ]
    assert b'"payload":{"name": "Ada", "b": 1, "a": 2}' in answer.content


def test_a_version_that_the_client_has_is_not_sent_again(client: testing.TestClient) -> None:
    etag = client.simulate_get(f"/jobs/{ID}").headers["ETag"]

    for known in (etag, f'"other", {etag}', f"W/{etag}", "*"):
        answer = client.simulate_get(f"/jobs/{ID}", headers={"If-None-Match": known})
        assert (answer.status_code, answer.content, answer.headers["ETag"]) == (304, b"", etag)
    assert client.simulate_get(f"/jobs/{ID}", headers={"If-None-Match": '"other"'}).status_code == 200


@pytest.mark.parametrize(
    "change",
    [{"status": Status.RUNNING}, {"attempts": 1}, {"updated_at": AT + timedelta(microseconds=1)}, {"progress": "{}"}],
)
def test_every_change_of_a_job_changes_its_version(
    client: testing.TestClient, reader: StandInReader, change: dict[str, Any]
) -> None:
    before = client.simulate_get(f"/jobs/{ID}").headers["ETag"]
    reader.row = reader.row._replace(**change)

    assert client.simulate_get(f"/jobs/{ID}").headers["ETag"] != before


@pytest.mark.parametrize("path", ["/health", "/ready", "/types", f"/jobs/{ID}", f"/jobs/{ID}/events"])
def test_whatever_can_be_read_has_a_head(client: testing.TestClient, path: str) -> None:
    whole, head = client.simulate_get(path), client.simulate_head(path)

    assert head.status_code == whole.status_code
    assert head.headers["Content-Length"] == str(len(whole.content))
    assert head.content == b""


@pytest.mark.parametrize("wait", ["31", "-1", "x", "1e1", "nan", "inf", "1_0", "0x1", " 1", "1,2", "30.5"])
def test_a_wait_that_is_no_number_of_seconds_up_to_thirty_is_refused(client: testing.TestClient, wait: str) -> None:
    answer = client.simulate_get(f"/jobs/{ID}", params={"wait": wait})

    assert answer.status_code == 400
    assert answer.json["type"] == "/problems/invalid-parameter"


def test_an_empty_wait_counts_as_left_out(client: testing.TestClient, reader: StandInReader) -> None:
    preferred = client.simulate_get(f"/jobs/{ID}?wait=", headers={"Prefer": "wait=0"})

    assert (preferred.status_code, preferred.headers["Preference-Applied"]) == (200, "wait=0")
    assert client.simulate_get(f"/jobs/{ID}?wait=").status_code == 200
    assert reader.questions == [], "nobody waits"


def test_waiting_for_an_unfinished_job_ends_with_the_time(client: testing.TestClient, reader: StandInReader) -> None:
    before = time.monotonic()
    answer = client.simulate_get(f"/jobs/{ID}", params={"wait": "0.3"})

    assert answer.json["status"] == "queued"
    assert 0.25 < time.monotonic() - before < 3
    assert len(reader.questions) > 2
    assert reader.looks == 1


def test_waiting_for_a_final_job_takes_one_look(client: testing.TestClient, reader: StandInReader) -> None:
    reader.row = reader.row._replace(status=Status.COMPLETED, finished_at=AT)

    assert client.simulate_get(f"/jobs/{ID}", params={"wait": "30"}).json["status"] == "completed"
    assert reader.looks == 1


@pytest.mark.parametrize(
    ("preferences", "applied"),
    [
        ("wait=20", "wait=20"),
        ("respond-async, Wait = 5", "wait=5"),
        ('wait="7"; foo', "wait=7"),
        ("wait=3, wait=4", "wait=3"),
        ("wait=3600", "wait=30"),
        ("wait=0", "wait=0"),
        ("wait=-1", None),
        ("wait=soon", None),
        ("await=5", None),
        ("handling=lenient", None),
    ],
)
def test_a_preference_to_wait_is_applied_and_said_to_be_so(
    client: testing.TestClient, reader: StandInReader, preferences: str, applied: str | None
) -> None:
    reader.row = reader.row._replace(status=Status.COMPLETED, finished_at=AT)

    answer = client.simulate_get(f"/jobs/{ID}", headers={"Prefer": preferences})

    assert answer.status_code == 200
    assert answer.headers.get("Preference-Applied") == applied
    assert len(reader.questions) == (applied not in (None, "wait=0"))


def test_many_who_wait_share_one_question_and_each_is_told_of_its_own_job(app: App, reader: StandInReader) -> None:
    async def wait() -> list[testing.Result]:
        conductor = testing.ASGIConductor(app)
        waiting = [asyncio.create_task(conductor.simulate_get(f"/jobs/{ID}", params={"wait": "30"})) for _ in range(50)]
        other = asyncio.create_task(conductor.simulate_get(f"/jobs/{UUID(int=5)}", params={"wait": "30"}))
        await other
        reader.row = reader.row._replace(status=Status.COMPLETED, finished_at=AT)
        return [await other, *await asyncio.gather(*waiting)]

    other, *answers = asyncio.run(wait())

    assert other.status_code == 404
    assert {answer.json["status"] for answer in answers} == {"completed"}
    assert len(reader.questions) < 5
    assert max(map(len, reader.questions)) == 2


def test_waiting_ends_at_once_when_the_app_closes(app: App) -> None:
    async def wait() -> testing.Result:
        conductor = testing.ASGIConductor(app)
        waiting = asyncio.create_task(conductor.simulate_get(f"/jobs/{ID}", params={"wait": "30"}))
        await asyncio.sleep(0.05)
        app.closing.set()
        return await waiting

    before = time.monotonic()
    answer = asyncio.run(wait())

    assert answer.json["status"] == "queued"
    assert time.monotonic() - before < 5
