"""The actor that docs/actors.md shows, as it stands there, run by a worker from a folder of its own."""

import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from jobplatform.local.postgres import Postgres
from jobplatform.local.valkey import Valkey
from tests.services.actor_worker import ActorWorker, actor_worker

PAGE = Path(__file__).parents[2] / "docs" / "actors.md"


@pytest.fixture(scope="module")
def worker(
    postgres_server: Postgres, redis_server: Valkey, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[ActorWorker]:
    folder = tmp_path_factory.mktemp("own")
    shown = re.search(r"```python\n(.*?)```", PAGE.read_text(), re.DOTALL)
    assert shown is not None
    (folder / "invoices.py").write_text(shown[1])
    with actor_worker(postgres_server, redis_server, folder, ACTORS="actors,invoices") as running:
        yield running


def test_a_module_of_ones_own_does_its_type_of_job(worker: ActorWorker) -> None:
    items = [{"text": "Engine", "cents": 1250, "quantity": 2}, {"text": "Oil", "cents": 5}]

    job = worker.end_of(worker.submit("INVOICE", {"customer": "Ada", "items": items}))

    assert job["status"] == "completed", job
    assert job["result"]["total"] == 2505
    assert job["progress"] == {"done": 2, "total": 2}
    assert json.loads(Path(job["result"]["filePath"]).read_text()) == {"customer": "Ada", "total": 2505, "paid": False}


def test_its_final_error_is_final_and_leaves_no_file(worker: ActorWorker) -> None:
    job_id = worker.submit("INVOICE", {"customer": "Ada", "items": []})

    job = worker.end_of(job_id)

    assert (job["status"], job["attempts"], job["error"]["message"]) == ("failed", 1, "Ada has nothing to pay.")
    assert list(worker.output.glob(f"{job_id}*")) == []


def test_the_types_that_come_with_the_platform_are_there_beside_it(worker: ActorWorker) -> None:
    assert worker.end_of(worker.submit("CSV_EXPORT", {"data": []}))["status"] == "completed"
