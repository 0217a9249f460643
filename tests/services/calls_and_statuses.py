"""The table: every call of the API, with every way in which it answers."""

from collections.abc import Iterator
from typing import Any, Final

from tests.services.rows import (
    ACT,
    ACTION,
    ACTIONS,
    CALLS,
    CANCEL,
    COUNT,
    DOCS,
    DOCS_FILE,
    DRY_RUN,
    EVENTS,
    EXPLAIN,
    EXPORT,
    FAILURES,
    FAULTY,
    HEALTH,
    HISTORY,
    LIMITED,
    LIST,
    LOGS,
    METRICS,
    OPENAPI,
    OTHER,
    OUTPUT,
    PAUSE,
    PAYLOADS,
    PROBLEM,
    QUEUES,
    READY,
    RESUME,
    RETRY,
    SHOW,
    SUBMIT,
    SUBMIT_MANY,
    TYPES,
    WITHOUT_POSTGRES,
    WORKERS,
    Call,
    Row,
    json_body,
)
from tests.services.situations import (
    FILE,
    Situation,
    a_cancelled_job,
    a_completed_job,
    a_failed_job,
    a_failed_job_whose_unique_key_is_taken,
    a_final_job_whose_last_transition_is_known,
    a_job_that_made_a_file,
    a_job_whose_file_is_gone,
    a_running_job,
    a_waiting_job,
    an_action_on_record,
    deleted,
    known,
    nothing,
    sent,
)

_JSON: Final = "application/json"
_STREAM: Final = "text/event-stream"
_PLAIN: Final = "text/plain"
_OPEN_METRICS: Final = "application/openmetrics-text"

#: With another scope than this nothing can be done.
_ANOTHER: Final = {"submit": "read", "read": "submit", "operate": "read"}
#: Longer than any body may be here.
TOO_LONG: Final = 200_000

_ALONE: Final = {**EXPORT, "uniqueKey": "the only one"}
_HELD: Final = sent("/jobs", json_body(**_ALONE, onConflict="return"))
_ONCE: Final = {"Idempotency-Key": "one-job"}
_ACCEPTED: Final = sent("/jobs", SUBMIT.body or b"", _ONCE)
_MANY_ONCE: Final = {"Idempotency-Key": "many-jobs"}
_MANY_ACCEPTED: Final = sent("/jobs/batch", SUBMIT_MANY.body or b"", _MANY_ONCE)
_GONE: Final = {"Idempotency-Key": "a-job-that-is-gone"}
_MANY_GONE: Final = {"Idempotency-Key": "jobs-that-are-gone"}
_REPLAYED: Final = {"Idempotency-Replayed": "true"}
_KNOWN: Final = {"If-None-Match": "{etag}"}
_WATCHING: Final = {"Accept": _STREAM}


def _row(call: Call, status: int, kind: str, when: str = "", given: Situation = nothing, **more: Any) -> Row:
    return Row(call=call, status=status, kind=kind, when=when, given=given, **more)


def _refusals(call: Call) -> Iterator[Row]:
    """What can be wrong with a request before the call itself comes into it, and what with the platform."""
    yield _row(call, 400, _PLAIN, "a header is no HTTP", headers={"no http": "at all"})
    yield _row(call, 414, _PLAIN, query=f"x={'x' * 4_096}")
    yield _row(call, 431, _PLAIN, headers={"X-Long": "x" * 8_192})
    yield _row(call, 500, "internal-error", server=FAULTY)
    if call.scope is not None:
        yield _row(call, 401, "unauthorized", "no key", scope="")
        yield _row(call, 401, "unauthorized", "an unknown key", scope="unknown")
        yield _row(call, 403, "forbidden", "a key of another scope", scope=_ANOTHER[call.scope])
        yield _row(call, 429, "too-many-requests", server=LIMITED)
    if call.body is not None:
        yield _row(call, 400, "invalid-parameter", "a parameter that is not known", query="dryrun=true")
        yield _row(call, 400, "malformed-json", body=b"{")
        yield _row(call, 400, "incomplete-body", stalls=True, server=WITHOUT_POSTGRES)
        yield _row(call, 413, "too-large", headers={"Content-Length": str(TOO_LONG)}, body=b"{")
        yield _row(call, 415, "unsupported-media-type", "no JSON", headers={"Content-Type": "text/csv"})
        yield _row(call, 415, "unsupported-media-type", "compressed", headers={"Content-Encoding": "gzip"})
    if call.asks_postgres:
        yield _row(call, 503, "unavailable", server=WITHOUT_POSTGRES)


_SUBMITTING: Final = (
    _row(SUBMIT, 201, _JSON, holds={"status": "queued", "type": "CSV_EXPORT"}),
    _row(SUBMIT, 201, _JSON, "for later", body=json_body(**EXPORT, runAt="9999-12-31T00:00:00Z"),
         holds={"status": "scheduled"}),
    _row(SUBMIT, 200, _JSON, "the Idempotency-Key is known", _ACCEPTED, headers=_ONCE, brings=_REPLAYED),
    _row(SUBMIT, 200, _JSON, "a job has the unique key", _HELD, body=json_body(**_ALONE, onConflict="return")),
    _row(SUBMIT, 200, _JSON, "it is only checked", query="validateOnly=true", holds={"valid": True}),
    _row(SUBMIT, 400, "invalid-parameter", "validateOnly", query="validateOnly=perhaps"),
    _row(SUBMIT, 400, "invalid-request", "Idempotency-Key", headers={"Idempotency-Key": "x" * 256}),
    _row(SUBMIT, 404, "job-not-found", "the Idempotency-Key's job is no more",
         deleted("/jobs", SUBMIT.body or b"", _GONE), headers=_GONE),
    _row(SUBMIT, 409, "unique-key-taken", "", _HELD, body=json_body(**_ALONE)),
    _row(SUBMIT, 413, "too-large", "the payload alone",
         body=json_body(type="CSV_EXPORT", payload={"data": [{"id": "x" * 2_000}]})),
    _row(SUBMIT, 422, "invalid-job", "an unknown type", body=json_body(type="NONE", payload={})),
    _row(SUBMIT, 422, "invalid-job", "a payload that does not fit", body=json_body(type="CSV_EXPORT", payload={})),
    _row(SUBMIT, 422, "invalid-job", "no e-mail address",
         body=json_body(type="EMAIL_SEND", payload={"to": ["nobody"], "subject": "Hello", "body": "Hi"}),
         proof=lambda body: b'"Expected: An e-mail address, or a name with the address in angle brackets."' in body),
    _row(SUBMIT, 422, "invalid-job", "onConflict without a unique key", body=json_body(**EXPORT, onConflict="return"),
         proof=lambda body: b'"/onConflict"' in body),
    _row(SUBMIT, 422, "idempotency-key-reused", "", _ACCEPTED, headers=_ONCE, body=json_body(**OTHER)),
    _row(SUBMIT_MANY, 201, _JSON, proof=lambda body: body.count(b'"jobId"') == 2),
    _row(SUBMIT_MANY, 200, _JSON, "the Idempotency-Key is known", _MANY_ACCEPTED, headers=_MANY_ONCE,
         brings=_REPLAYED),
    _row(SUBMIT_MANY, 200, _JSON, "it is only checked", query="validateOnly=true", holds={"valid": True, "jobs": 2}),
    _row(SUBMIT_MANY, 400, "invalid-parameter", "validateOnly", query="validateOnly=perhaps"),
    _row(SUBMIT_MANY, 400, "invalid-request", "Idempotency-Key", headers={"Idempotency-Key": "x" * 256}),
    _row(SUBMIT_MANY, 404, "job-not-found", "the Idempotency-Key's jobs are no more",
         deleted("/jobs/batch", SUBMIT_MANY.body or b"", _MANY_GONE), headers=_MANY_GONE),
    _row(SUBMIT_MANY, 409, "unique-key-taken", "", _HELD, body=json_body(jobs=[EXPORT, _ALONE])),
    _row(SUBMIT_MANY, 422, "invalid-job", "no job", body=json_body(jobs=[])),
    _row(SUBMIT_MANY, 422, "invalid-job", "one of two", body=json_body(jobs=[EXPORT, {"type": "NONE"}])),
    _row(SUBMIT_MANY, 422, "idempotency-key-reused", "", _MANY_ACCEPTED, headers=_MANY_ONCE,
         body=json_body(jobs=[OTHER])),
)  # fmt: skip

_READING: Final = (
    _row(LIST, 200, _JSON, "", a_waiting_job, query="status=queued&limit=1"),
    _row(LIST, 400, "invalid-parameter", "status", query="status=asleep"),
    _row(LIST, 400, "invalid-parameter", "limit", query="limit=0"),
    _row(LIST, 400, "invalid-parameter", "cursor", query="cursor=none"),
    _row(COUNT, 200, _JSON, "", a_waiting_job, proof=lambda body: b'"PROBE"' in body),
    _row(SHOW, 200, _JSON, "it waits", a_waiting_job, holds={"status": "queued", "result": None}),
    _row(SHOW, 200, _JSON, "it failed", a_failed_job, holds={"status": "failed"}),
    _row(SHOW, 200, _JSON, "waited for", a_completed_job, headers={"Prefer": "wait=5"},
         holds={"status": "completed", "result": {"text": "Hello Ada"}}, brings={"Preference-Applied": "wait=5"}),
    _row(SHOW, 304, "", "", known("/jobs/{job_id}", a_completed_job), headers=_KNOWN),
    _row(SHOW, 400, "invalid-parameter", "wait", a_waiting_job, query="wait=long"),
    _row(SHOW, 404, "job-not-found"),
    _row(SHOW, 404, "job-not-found", "no UUID", at={"job_id": "none"}),
    _row(HISTORY, 200, _JSON, "", a_running_job, proof=lambda body: b'"started"' in body),
    _row(HISTORY, 200, _STREAM, "it runs", a_running_job, headers=_WATCHING),
    _row(HISTORY, 204, "", "", a_final_job_whose_last_transition_is_known,
         headers={**_WATCHING, "Last-Event-ID": "{last}"}),
    _row(HISTORY, 400, "invalid-parameter", "Last-Event-ID", a_waiting_job,
         headers={**_WATCHING, "Last-Event-ID": "the last"}),
    _row(HISTORY, 400, "invalid-request", "Accept", a_waiting_job, headers={"Accept": f"{_STREAM};q=high"}),
    _row(HISTORY, 404, "job-not-found"),
    _row(HISTORY, 404, "job-not-found", "watched", headers=_WATCHING),
    _row(LOGS, 200, _JSON, "", a_running_job, query="attempt=1", holds={"next": None}),
    _row(LOGS, 400, "invalid-parameter", "attempt", a_waiting_job, query="attempt=first"),
    _row(LOGS, 404, "job-not-found"),
    _row(PAYLOADS, 200, _JSON, "", a_waiting_job, proof=lambda body: b'"version":1' in body),
    _row(PAYLOADS, 404, "job-not-found"),
    _row(OUTPUT, 200, "*/*", "", a_job_that_made_a_file, proof=lambda body: body == FILE,
         brings={"Content-Type": "text/csv; charset=utf-8", "Accept-Ranges": "bytes"}),
    _row(OUTPUT, 206, "*/*", "", a_job_that_made_a_file, headers={"Range": "bytes=0-1"},
         proof=lambda body: body == FILE[:2], brings={"Content-Range": f"bytes 0-1/{len(FILE)}"}),
    _row(OUTPUT, 206, "*/*", "it is still that file", known("/jobs/{job_id}/output", a_job_that_made_a_file),
         headers={"Range": "bytes=0-1", "If-Range": "{etag}"}, proof=lambda body: body == FILE[:2]),
    _row(OUTPUT, 200, "*/*", "it is another file", a_job_that_made_a_file,
         headers={"Range": "bytes=0-1", "If-Range": '"another"'}, proof=lambda body: body == FILE),
    _row(OUTPUT, 304, "", "", known("/jobs/{job_id}/output", a_job_that_made_a_file), headers=_KNOWN),
    _row(OUTPUT, 404, "job-not-found"),
    _row(OUTPUT, 404, "no-output", "its result names no file", a_completed_job),
    _row(OUTPUT, 404, "no-output", "it failed", a_failed_job),
    _row(OUTPUT, 409, "output-not-ready", "", a_running_job),
    _row(OUTPUT, 410, "output-gone", "", a_job_whose_file_is_gone),
    _row(OUTPUT, 416, "range-not-satisfiable", "", a_job_that_made_a_file, headers={"Range": "bytes=99-"},
         brings={"Content-Range": f"bytes */{len(FILE)}"}),
    _row(EXPLAIN, 200, _JSON, "", a_running_job, holds={"status": "running"}),
    _row(EXPLAIN, 404, "job-not-found"),
)  # fmt: skip

_ACTING: Final = (
    _row(CANCEL, 200, _JSON, "it waits", a_waiting_job, holds={"status": "cancelled"}),
    _row(CANCEL, 202, _JSON, "it runs", a_running_job, holds={"status": "running", "cancelRequested": True}),
    _row(CANCEL, 404, "job-not-found"),
    _row(CANCEL, 409, "job-finished", "completed", a_completed_job),
    _row(CANCEL, 409, "job-finished", "cancelled already", a_cancelled_job),
    _row(CANCEL, 422, "invalid-body", "", a_waiting_job, body=json_body(reason=7)),
    _row(RETRY, 200, _JSON, "it failed", a_failed_job, holds={"status": "queued", "attempts": 1}),
    _row(RETRY, 200, _JSON, "it was cancelled", a_cancelled_job, holds={"status": "queued", "attempts": 0}),
    _row(RETRY, 404, "job-not-found"),
    _row(RETRY, 409, "job-not-finished", "it waits", a_waiting_job),
    _row(RETRY, 409, "job-not-finished", "it was completed", a_completed_job),
    _row(RETRY, 409, "unique-key-taken", "", a_failed_job_whose_unique_key_is_taken),
    _row(RETRY, 422, "invalid-body", "", a_failed_job, body=json_body(payload=[])),
    _row(ACT, 200, _JSON, "a dry run", holds={"matched": 0, "bounded": False}),
    _row(ACT, 202, _JSON, body=json_body(**{**DRY_RUN, "dryRun": False}), holds={"kind": "cancel", "who": "operate"}),
    _row(ACT, 422, "invalid-body", "the kind", body=json_body(**{**DRY_RUN, "kind": "delete"}),
         proof=lambda body: b'"must be cancel or retry"' in body),
    _row(ACT, 422, "invalid-body", "an unknown field", body=json_body(**DRY_RUN, dryrun=True),
         proof=lambda body: b'"is not a field of this, which has reason, kind, filter, dryRun"' in body),
    _row(ACT, 422, "invalid-body", "the filter", body=json_body(kind="cancel", filter={"status": "asleep"})),
    _row(ACTIONS, 200, _JSON, "", an_action_on_record, query="limit=1"),
    _row(ACTIONS, 400, "invalid-parameter", "limit", query="limit=-1"),
    _row(ACTION, 200, _JSON, "", an_action_on_record, holds={"kind": "cancel", "finishedAt": None}),
    _row(ACTION, 404, "action-not-found"),
    _row(PAUSE, 200, _JSON, holds={"name": "high", "paused": True, "pauseReason": "a rest"}),
    _row(PAUSE, 404, "queue-not-found", at={"name": "low"}),
    _row(PAUSE, 422, "invalid-body", body=json_body(reason=7)),
    _row(RESUME, 200, _JSON, "", sent("/queues/high/pause", b"{}"), holds={"name": "high", "paused": False}),
    _row(RESUME, 404, "queue-not-found", at={"name": "low"}),
    _row(RESUME, 422, "invalid-body", body=json_body(until="tomorrow")),
)  # fmt: skip

_OVERVIEW: Final = (
    _row(EVENTS, 200, _STREAM),
    _row(EVENTS, 400, "invalid-parameter", "Last-Event-ID", headers={"Last-Event-ID": "the last"}),
    _row(EVENTS, 400, "invalid-parameter", "lastEventId", query="lastEventId=-1"),
    _row(QUEUES, 200, _JSON, proof=lambda body: b'"high"' in body),
    _row(WORKERS, 200, _JSON, "", a_running_job, query="ended=true", proof=lambda body: b'"PROBE"' in body),
    _row(WORKERS, 400, "invalid-parameter", "ended", query="ended=perhaps"),
    _row(FAILURES, 200, _JSON, "", a_failed_job, proof=lambda body: b'"PROBE"' in body),
    _row(FAILURES, 400, "invalid-parameter", "since", query="since=yesterday"),
    _row(METRICS, 200, _PLAIN, "", a_waiting_job, proof=lambda body: b'jobplatform_redis_up 1.0' in body),
    _row(METRICS, 200, _OPEN_METRICS, "it is preferred", headers={"Accept": _OPEN_METRICS},
         proof=lambda body: body.endswith(b"# EOF\n")),
    _row(TYPES, 200, _JSON, proof=lambda body: b'"CSV_EXPORT"' in body),
    _row(HEALTH, 200, _JSON, holds={"status": "ok"}),
    _row(READY, 200, _JSON, holds={"status": "ok"}),
    _row(READY, 503, _JSON, server=WITHOUT_POSTGRES, holds={"status": "unavailable"}),
    _row(OPENAPI, 200, _JSON, holds={"openapi": "3.1.0"}),
    _row(OPENAPI, 304, "", "", known("/openapi.json"), headers=_KNOWN),
    _row(DOCS, 200, "text/html", proof=lambda body: b"docs.js" in body),
    _row(DOCS, 304, "", "", known("/docs"), headers=_KNOWN),
    _row(DOCS_FILE, 200, "*/*", brings={"Content-Type": "text/javascript; charset=utf-8"}),
    _row(DOCS_FILE, 200, "*/*", "the document", at={"file": "openapi.json"},
         proof=lambda body: b'"openapi"' in body and b"CSV_EXPORT.payload" not in body),
    _row(DOCS_FILE, 304, "", "", known("/docs/docs.js"), headers=_KNOWN),
    _row(DOCS_FILE, 404, "not-found", at={"file": "docs.py"}),
    _row(PROBLEM, 200, "text/markdown", proof=lambda body: body.startswith(b"# unauthorized\n")),
    _row(PROBLEM, 304, "", "", known("/problems/unauthorized"), headers=_KNOWN),
    _row(PROBLEM, 404, "not-found", at={"name": "none"}),
)  # fmt: skip

ROWS: Final = (
    *_SUBMITTING,
    *_READING,
    *_ACTING,
    *_OVERVIEW,
    *(row for call in CALLS for row in _refusals(call)),
)
