"""The parameters of operations, in paths, queries and headers."""

from typing import Any, Final

from jobplatform.states import Status

_PRIORITY: Final = {"type": "string", "enum": ["high", "default"]}
_TIME: Final = {"type": "string", "format": "date-time"}
_TRANSITION: Final = {"type": "string", "pattern": "^[0-9]{1,18}$"}
_STATUSES: Final = "|".join(Status)


def _query(name: str, schema: dict[str, Any], description: str, **more: Any) -> dict[str, Any]:
    return {"name": name, "in": "query", "description": description, "schema": schema, **more}


def _header(name: str, schema: dict[str, Any], description: str) -> dict[str, Any]:
    return {"name": name, "in": "header", "description": description, "schema": schema}


def _path(name: str, schema: dict[str, Any], description: str) -> dict[str, Any]:
    return {"name": name, "in": "path", "required": True, "description": description, "schema": schema}


PARAMETERS: Final[dict[str, dict[str, Any]]] = {
    "X-Request-Id": _header(
        "X-Request-Id",
        {"type": "string"},
        "An id of your own for this request. One that is not 1 to 128 visible ASCII characters is replaced.",
    ),
    "job_id": _path("job_id", {"type": "string", "format": "uuid"}, "The job's id."),
    "action_id": _path("action_id", {"type": "string", "format": "uuid"}, "The action's id."),
    "queue": _path("name", {"type": "string", "enum": ["high", "default"]}, "The queue's name."),
    "Idempotency-Key": _header(
        "Idempotency-Key",
        {"type": "string", "pattern": "^[!-~]{1,255}$"},
        "Makes a submit safe to repeat: with the same key and body nothing is done twice.",
    ),
    "validateOnly": _query(
        "validateOnly", {"type": "string", "enum": ["true", "false"]}, "`true`: check everything, and store nothing."
    ),
    "wait": _query(
        "wait",
        {"type": "string", "pattern": "^([0-9]|[12][0-9])(\\.[0-9]{1,6})?$|^30$"},
        "Answer when the job is final, or after so many seconds (0 to 30).",
        example="20",
    ),
    "Prefer": _header("Prefer", {"type": "string"}, "`wait=20` does what `?wait=20` does (RFC 7240)."),
    "If-None-Match": _header("If-None-Match", {"type": "string"}, "The `ETag` that you have."),
    "Last-Event-ID": _header(
        "Last-Event-ID", _TRANSITION, "Go on behind the transition with this id; `0`: from the beginning."
    ),
    "lastEventId": _query(
        "lastEventId",
        _TRANSITION,
        "The same, for clients that cannot set a header. The header counts for more.",
    ),
    "Range": _header("Range", {"type": "string"}, "Which part of the file: `bytes=0-1023`."),
    "If-Range": _header(
        "If-Range",
        {"type": "string"},
        "The `ETag` of what you have a part of: if the file is another, all of it comes.",
    ),
    "status": _query(
        "status",
        {"type": "string", "pattern": f"^({_STATUSES})(,({_STATUSES}))*$"},
        "Jobs in one of these statuses, separated by commas.",
        example="failed,cancelled",
    ),
    "type": _query("type", {"type": "string", "maxLength": 1000}, "Jobs of one of these types, separated by commas."),
    "priority": _query("priority", _PRIORITY, "Jobs of this priority."),
    "tag": _query("tag", {"type": "string", "maxLength": 1000}, "Jobs that carry this tag."),
    "createdAfter": _query("createdAfter", _TIME, "Jobs that were accepted after this time."),
    "createdBefore": _query("createdBefore", _TIME, "Jobs that were accepted before this time."),
    "finishedAfter": _query("finishedAfter", _TIME, "Jobs that became final after this time."),
    "q": _query(
        "q",
        {"type": "string", "maxLength": 1000},
        "Jobs whose payload holds this text, or where `$.to.0=value`, this value at this path.",
    ),
    "failure": _query(
        "failure",
        {"type": "string", "maxLength": 1000, "pattern": "^[^:]*:[^:]*:"},
        "Jobs whose error is one of this group, as `GET /failures` names it.",
        example="error:OSError:no answer from <n>",
    ),
    "order": _query("order", {"type": "string", "enum": ["newest", "oldest"]}, "Which come first. Default: `newest`."),
    "limit": _query(
        "limit", {"type": "integer", "minimum": 1}, "How many at the most. Default: 50; more than 500 means 500."
    ),
    "cursor": _query("cursor", {"type": "string"}, "The `next` of the page before."),
    "attempt": _query("attempt", {"type": "integer", "minimum": 1}, "The lines of this attempt only."),
    "since": _query("since", _TIME, "Failures at this time or later."),
    "ended": _query("ended", {"type": "string", "enum": ["true", "false"]}, "`true`: the 100 last ended ones too."),
    "file": _path("file", {"type": "string"}, "The file's name."),
    "problem": _path("name", {"type": "string"}, "The last part of a problem's `type`."),
}

#: What chooses jobs.
FILTER: Final = ("status", "type", "priority", "tag", "createdAfter", "createdBefore", "finishedAfter", "q", "failure")
