"""Situations in which a call is made: each brings one about, and gives what the request says of it."""

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final

from api.keys import scope_for
from jobplatform import journal
from jobplatform.journal import Cancel
from jobplatform.models import database
from jobplatform.states import Event
from tests.services.asking import Answer, ask
from tests.services.journal import claimed_job, new_job, open_jobs, queued_job, settle

JSON: Final = {"Content-Type": "application/json"}
_ERROR: Final = '{"kind": "error", "type": "ValueError", "message": "no such place", "traceback": null}'
FILE: Final = b"id,name\r\n1,Ada\r\n"


class Stage:
    """An API that serves, its journal, to which the models of this thread are connected, and its folder of files."""

    def __init__(self, port: int, keys: Mapping[str, str], folder: Path) -> None:
        """``keys``: one for each scope."""
        self.folder = folder
        self._port = port
        self._keys = keys

    def get(self, target: str) -> Answer:
        return self._ask("GET", target, {})

    def post(self, target: str, body: bytes, headers: Mapping[str, str] | None = None) -> Answer:
        return self._ask("POST", target, {**JSON, **(headers or {})}, body)

    def _ask(self, method: str, target: str, headers: Mapping[str, str], body: bytes | None = None) -> Answer:
        scope = scope_for(method, target)
        key = {"Authorization": f"Bearer {self._keys[scope]}"} if scope else {}
        answer = ask(self._port, method, target, {**key, **headers}, body)
        assert answer.status < 300, answer
        return answer


#: Gives words that stand in braces in a row's path, query and headers.
Situation = Callable[[Stage], Mapping[str, str]]


def nothing(_: Stage) -> Mapping[str, str]:
    return {}


def a_waiting_job(_: Stage) -> Mapping[str, str]:
    return {"job_id": queued_job()}


def a_running_job(_: Stage) -> Mapping[str, str]:
    return {"job_id": claimed_job().job_id}


def a_completed_job(_: Stage) -> Mapping[str, str]:
    claim = claimed_job()
    settle(claim, result='{"text": "Hello Ada"}')
    return {"job_id": claim.job_id}


def a_failed_job(_: Stage) -> Mapping[str, str]:
    claim = claimed_job()
    settle(claim, Event.FAILED, error=_ERROR)
    return {"job_id": claim.job_id}


def a_cancelled_job(_: Stage) -> Mapping[str, str]:
    job_id = queued_job()
    journal.commit([Cancel(job_id)])
    return {"job_id": job_id}


def a_failed_job_whose_unique_key_is_taken(_: Stage) -> Mapping[str, str]:
    name = f"after {queued_job()}"
    claim = claimed_job(unique_key=name)
    settle(claim, Event.FAILED)
    open_jobs(new_job(unique_key=name))
    return {"job_id": claim.job_id}


def a_job_that_made_a_file(stage: Stage) -> Mapping[str, str]:
    claim = claimed_job()
    path = stage.folder / f"{claim.job_id}.csv"
    path.write_bytes(FILE)
    settle(claim, result=json.dumps({"filePath": str(path), "bytes": len(FILE)}))
    return {"job_id": claim.job_id}


def a_job_whose_file_is_gone(stage: Stage) -> Mapping[str, str]:
    job = a_job_that_made_a_file(stage)
    (stage.folder / f"{job['job_id']}.csv").unlink()
    return job


def a_final_job_whose_last_transition_is_known(stage: Stage) -> Mapping[str, str]:
    job = a_completed_job(stage)
    events: list[dict[str, Any]] = json.loads(stage.get(f"/jobs/{job['job_id']}/events").body)["items"]
    return {**job, "last": str(events[-1]["id"])}


def an_action_on_record(stage: Stage) -> Mapping[str, str]:
    answer = stage.post("/actions", b'{"kind": "cancel", "filter": {"tag": "nobody has it"}}')
    return {"action_id": json.loads(answer.body)["id"]}


def known(target: str, situation: Situation = nothing) -> Situation:
    """A situation of which a client has seen what is at this place."""

    def seen(stage: Stage) -> Mapping[str, str]:
        words = situation(stage)
        return {**words, "etag": stage.get(target.format(**words)).headers["ETag"]}

    return seen


def sent(target: str, body: bytes, headers: Mapping[str, str] | None = None) -> Situation:
    """A situation in which this was posted before, once or oftener."""

    def posted(stage: Stage) -> Mapping[str, str]:
        stage.post(target, body, headers)
        return {}

    return posted


def deleted(target: str, body: bytes, headers: Mapping[str, str]) -> Situation:
    """A situation in which this was posted, and somebody has since deleted all of what it made."""

    def posted(stage: Stage) -> Mapping[str, str]:
        made: dict[str, Any] = json.loads(stage.post(target, body, headers).body)
        ids = [job["jobId"] for job in made.get("items", [made])]
        for table, column in (("transitions", "job_id"), ("jobs", "id")):
            database.execute_sql(f"DELETE FROM {table} WHERE {column} = ANY (%s::uuid[])", [ids])
        return {}

    return posted
