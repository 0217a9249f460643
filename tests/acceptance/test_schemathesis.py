"""Schemathesis sends the real API requests of all sorts, and holds every answer against its own description.

`make fuzz` sends a thousand of each sort.
"""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import httpx
import pytest

from jobplatform.api_key import new_key
from tests.services.patience import eventually
from tests.services.processes import Processes

ROOT = Path(__file__).parents[2]
BIN = Path(sys.executable).parent
#: How many requests each operation gets from each way of making them up. A few are always the same ones.
CASES = os.environ.get("FUZZ_CASES", "3")
SEED = () if "FUZZ_CASES" in os.environ else ("--seed", "1")
KEY, ENTRY = new_key("schemathesis", "submit+read+operate")

#: What cannot be told in a schema: operations, and how they answer requests that fit theirs all the same.
EXPECTED: list[tuple[list[str], list[int]]] = [
    # A cursor is what the page before gave, and nothing else.
    (["listJobs", "listLogs", "listActions"], [400]),
    # The payload must fit the type of the job in the path; a filter's words are those of the query.
    (["retryJob", "startAction"], [422]),
    # Two jobs of a batch may not have the same unique key.
    (["submitJobs"], [422]),
    # A file may be asked for in parts that it does not have, or be gone.
    (["downloadOutput"], [410, 416]),
]
#: What may be answered to a request that fits, and to one that does not. 414 and 431 are gunicorn's own.
ACCEPTED = ["2xx", "3xx", 401, 403, 404, 409, 414, 429, 431]
REFUSED = [400, 401, 403, 404, 405, 406, 409, 413, 414, 415, 422, 429, 431]


@pytest.mark.parametrize("keyed", [False, True], ids=["without keys", "with keys"])
def test_every_answer_is_one_that_is_described(
    keyed: bool, processes: Processes, database_url: str, redis_url: str, free_port: int, tmp_path: Path
) -> None:
    environment = {
        "DATABASE_URL": database_url,
        "REDIS_URL": redis_url,
        "PORT": str(free_port),
        "OUTPUT_DIR": str(tmp_path / "output"),
        "API_KEYS": str(ENTRY) if keyed else "",
        "SMTP_URL": "smtp://127.0.0.1:1",
    }
    url = f"http://127.0.0.1:{free_port}"
    processes.start(BIN / "dramatiq", "jobplatform.worker", "-p", "1", "-t", "2", environment=environment, folder=ROOT)
    gunicorn = processes.start(BIN / "gunicorn", environment=environment, folder=ROOT)
    gunicorn.wait_for("The API listens at")
    headers = {"Authorization": f"Bearer {KEY}"} if keyed else {}
    eventually(lambda: httpx.get(f"{url}/workers", headers=headers).json()["items"] != [], what="a worker")
    document = _to_the_letter(httpx.get(f"{url}/openapi.json", headers=headers).json())
    (tmp_path / "openapi.json").write_text(json.dumps(document))
    (tmp_path / "schemathesis.toml").write_text(_configuration(keyed))

    tried = subprocess.run(
        [
            *(BIN / "schemathesis", "--config-file", tmp_path / "schemathesis.toml", "run", tmp_path / "openapi.json"),
            *("--url", url, "--checks", "all", "--max-examples", CASES, "--workers", "2", "--no-color", *SEED),
        ],
        cwd=tmp_path,
        env={**os.environ, "SCHEMATHESIS_HOOKS": "tests.acceptance.schemathesis_hooks", "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )

    assert f"Tested: {len(_operations(document))}" in tried.stdout
    assert tried.returncode == 0, tried.stdout[-20_000:] + tried.stderr[-2_000:]
    assert [line for line in gunicorn.lines if "ERROR" in line or "Traceback" in line] == []


def _to_the_letter(document: dict[str, Any]) -> dict[str, Any]:
    """The same description, as narrow as this version is: what it does not name, no answer may have."""
    schemas = document["components"]["schemas"]
    for name, schema in schemas.items():
        if "." not in name:
            _close(schema)
    for operation in _operations(document):
        for answer in operation["responses"].values():
            for content in answer.get("content", {}).values():
                if content["schema"].get("type") == "object":
                    _close(content["schema"])
    # An empty parameter counts as left out.
    for parameter in document["components"]["parameters"].values():
        if parameter["in"] == "query":
            parameter["schema"] = {"anyOf": [parameter["schema"], {"const": ""}]}
    # Streams are watched in other tests; a list takes no notice of what is said to a stream.
    del document["paths"]["/events"]
    events = document["paths"]["/jobs/{job_id}/events"]["get"]
    del events["responses"]["200"]["content"]["text/event-stream"]
    events["parameters"] = [
        told for told in events["parameters"] if not told["$ref"].endswith(("Last-Event-ID", "lastEventId"))
    ]
    return document


def _operations(document: dict[str, Any]) -> list[dict[str, Any]]:
    return [operation for path in document["paths"].values() for operation in path.values()]


def _close(schema: dict[str, Any]) -> None:
    if "properties" in schema:
        schema.setdefault("additionalProperties", False)


def _configuration(keyed: bool) -> str:
    lines = ["[auth.openapi.key]", f"bearer = {json.dumps(KEY)}", ""] if keyed else []
    lines += [
        "[generation]",
        "allow-x00 = false  # a NUL is refused with 422, which other tests try",
        "[checks]",
        f"positive_data_acceptance.expected-statuses = {json.dumps(ACCEPTED)}",
        f"negative_data_rejection.expected-statuses = {json.dumps(REFUSED)}",
        "",
    ]
    for operations, statuses in EXPECTED:
        lines += [
            "[[operations]]",
            f"include-operation-id = {json.dumps(operations)}",
            f"checks.positive_data_acceptance.expected-statuses = {json.dumps([*ACCEPTED, *statuses])}",
            "",
        ]
    return "\n".join(lines)
