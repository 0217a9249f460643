"""What a table of calls and statuses is made of: the calls, each with a sound request, and the rows."""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from tests.services.described import Told
from tests.services.situations import Situation, nothing

#: The servers of which rows ask. All know the same keys.
SERVING: Final = "serving"
WITHOUT_POSTGRES: Final = "without Postgres"
LIMITED: Final = "limited"
FAULTY: Final = "faulty"


@dataclass(frozen=True, kw_only=True)
class Call:
    """One call, and a request in which nothing is wrong."""

    method: str
    path: str
    #: What its key must be good for, if it needs one.
    scope: str | None
    #: The words in braces in its path, where no situation gives them.
    at: Mapping[str, str] = field(default_factory=dict)
    body: bytes | None = None
    asks_postgres: bool = True


@dataclass(frozen=True, kw_only=True)
class Row:
    """A request, the situation in which it comes, and the answer."""

    call: Call
    status: int
    #: As `Told` has it.
    kind: str
    when: str
    given: Situation = nothing
    at: Mapping[str, str] = field(default_factory=dict)
    query: str = ""
    headers: Mapping[str, str] = field(default_factory=dict)
    #: None: that of the call.
    body: bytes | None = None
    #: Whether one byte more of the body is announced than is sent.
    stalls: bool = False
    #: Of the key that is shown, where it is not the one that the call needs; "" for no key.
    scope: str | None = None
    server: str = SERVING
    #: Some members of the answer's JSON.
    holds: Mapping[str, Any] = field(default_factory=dict)
    #: Some of its headers.
    brings: Mapping[str, str] = field(default_factory=dict)
    #: What is true of its body.
    proof: Callable[[bytes], bool] = lambda _: True

    @property
    def told(self) -> Told:
        """The way to answer that this row proves."""
        return Told(self.call.method, self.call.path, self.status, self.kind)

    def __str__(self) -> str:
        return f"{self.told}: {self.when}" if self.when else str(self.told)


def json_body(**members: Any) -> bytes:
    return json.dumps(members).encode()


def _get(path: str, scope: str | None = "read", *, asks_postgres: bool = True, **at: str) -> Call:
    return Call(method="GET", path=path, scope=scope, at=at, asks_postgres=asks_postgres)


def _post(path: str, scope: str, body: bytes, **at: str) -> Call:
    return Call(method="POST", path=path, scope=scope, at=at, body=body)


#: No job, and no action, has this id.
NOBODY: Final = "01890a5d-ac96-774b-bcce-b302099a8057"
EXPORT: Final = {"type": "CSV_EXPORT", "payload": {"data": [{"id": 1}]}}
OTHER: Final = {"type": "CSV_EXPORT", "payload": {"data": [{"id": 2}]}}
DRY_RUN: Final = {"kind": "cancel", "filter": {"tag": "nobody has it"}, "dryRun": True}

SUBMIT: Final = _post("/jobs", "submit", json_body(**EXPORT))
SUBMIT_MANY: Final = _post("/jobs/batch", "submit", json_body(jobs=[EXPORT, OTHER]))
LIST: Final = _get("/jobs")
COUNT: Final = _get("/jobs/counts")
SHOW: Final = _get("/jobs/{job_id}", job_id=NOBODY)
HISTORY: Final = _get("/jobs/{job_id}/events", job_id=NOBODY)
LOGS: Final = _get("/jobs/{job_id}/logs", job_id=NOBODY)
PAYLOADS: Final = _get("/jobs/{job_id}/payloads", job_id=NOBODY)
OUTPUT: Final = _get("/jobs/{job_id}/output", job_id=NOBODY)
EXPLAIN: Final = _get("/jobs/{job_id}/explain", job_id=NOBODY)
CANCEL: Final = _post("/jobs/{job_id}/cancel", "operate", json_body(reason="not wanted"), job_id=NOBODY)
RETRY: Final = _post("/jobs/{job_id}/retry", "operate", json_body(reason="once more"), job_id=NOBODY)
ACT: Final = _post("/actions", "operate", json_body(**DRY_RUN))
ACTIONS: Final = _get("/actions")
ACTION: Final = _get("/actions/{action_id}", action_id=NOBODY)
PAUSE: Final = _post("/queues/{name}/pause", "operate", json_body(reason="a rest"), name="high")
RESUME: Final = _post("/queues/{name}/resume", "operate", json_body(reason="rested"), name="high")
EVENTS: Final = _get("/events")
QUEUES: Final = _get("/queues")
WORKERS: Final = _get("/workers")
FAILURES: Final = _get("/failures")
METRICS: Final = _get("/metrics")
TYPES: Final = _get("/types", asks_postgres=False)
HEALTH: Final = _get("/health", None, asks_postgres=False)
READY: Final = _get("/ready", None, asks_postgres=False)
OPENAPI: Final = _get("/openapi.json", asks_postgres=False)
DOCS: Final = _get("/docs", None, asks_postgres=False)
DOCS_FILE: Final = _get("/docs/{file}", None, asks_postgres=False, file="docs.js")
PROBLEM: Final = _get("/problems/{name}", None, asks_postgres=False, name="unauthorized")

CALLS: Final = (
    *(SUBMIT, SUBMIT_MANY, LIST, COUNT, SHOW, HISTORY, LOGS, PAYLOADS, OUTPUT, EXPLAIN, CANCEL, RETRY),
    *(ACT, ACTIONS, ACTION, PAUSE, RESUME, EVENTS, QUEUES, WORKERS, FAILURES, METRICS, TYPES),
    *(HEALTH, READY, OPENAPI, DOCS, DOCS_FILE, PROBLEM),
)
