"""CSV_EXPORT from the payload to the file, run by a real worker."""

import hashlib
from collections.abc import Iterator

import pytest

from jobplatform.local.postgres import Postgres
from jobplatform.local.valkey import Valkey
from tests.services.actor_worker import ActorWorker, actor_worker

#: 100,000 rows are so many bytes of JSON.
ROWS = 100_000


@pytest.fixture(scope="module")
def worker(
    postgres_server: Postgres, redis_server: Valkey, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[ActorWorker]:
    with actor_worker(postgres_server, redis_server, tmp_path_factory.mktemp("csv")) as running:
        yield running


def test_a_job_leaves_its_file_and_tells_what_is_in_it(worker: ActorWorker) -> None:
    data = '[{"id": 1, "name": "=Ada"}, {"id": 20000000000000000000001, "tags": ["a", 1.50]}]'

    job_id = worker.submit("CSV_EXPORT", f'{{"data": {data}, "fileName": "people.csv", "bom": true}}', "high")
    job = worker.end_of(job_id)

    file = worker.output / f"{job_id}.csv"
    content = file.read_bytes()
    assert job["status"] == "completed", job
    assert content.decode() == '\ufeffid,name,tags\r\n1,\'=Ada,\r\n20000000000000000000001,,"[""a"",1.50]"\r\n'
    assert job["result"] == {
        "filePath": str(file),
        "rows": 2,
        "bytes": len(content),
        "sha256": hashlib.sha256(content).hexdigest(),
        "fileName": "people.csv",
    }
    assert job["progress"] == {"done": 2, "total": 2}
    assert worker.events_of(job_id) == ["enqueued", "started", "completed"]
    assert list(worker.output.glob("*.part")) == []


def test_nothing_to_export_is_an_empty_file_or_a_header(worker: ActorWorker) -> None:
    nothing = worker.submit("CSV_EXPORT", {"data": []})
    header = worker.submit("CSV_EXPORT", {"data": [], "columns": ["a", "b"]})

    assert worker.end_of(nothing)["result"] == {
        "filePath": str(worker.output / f"{nothing}.csv"),
        "rows": 0,
        "bytes": 0,
        "sha256": hashlib.sha256().hexdigest(),
    }
    assert worker.end_of(header)["result"]["rows"] == 0
    assert (worker.output / f"{nothing}.csv").read_bytes() == b""
    assert (worker.output / f"{header}.csv").read_bytes() == b"a,b\r\n"


def test_a_hundred_thousand_rows_need_less_than_eight_times_their_size(worker: ActorWorker) -> None:
    row = '{{"id":{0},"name":"Customer number {0}","email":"customer{0}@example.org","amount":{0}.25}}'
    payload = '{"data":[' + ",".join(row.format(number) for number in range(ROWS)) + "]}"
    worker.end_of(worker.submit("CSV_EXPORT", {"data": [{"a": 1}]}))
    worker.forget_peak()
    before = worker.memory("VmRSS")

    job = worker.end_of(worker.submit("CSV_EXPORT", payload), seconds=60)

    grown = worker.memory("VmHWM") - before
    assert (job["status"], job["result"]["rows"]) == ("completed", ROWS)
    assert len(payload) > 9_000_000
    assert grown < 8 * len(payload), f"{grown / len(payload):.1f} times"
