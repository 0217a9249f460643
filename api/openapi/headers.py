"""The headers of answers."""

from typing import Any, Final

_TEXT: Final = {"type": "string"}

HEADERS: Final[dict[str, dict[str, Any]]] = {
    "X-Request-Id": {
        "description": "The request's id: its own, if it brought a fitting one. Transitions name it.",
        "required": True,
        "schema": {"type": "string", "pattern": "^[!-~]{1,128}$"},
    },
    "Optional-X-Request-Id": {
        "description": "The request's id, unless it was no HTTP.",
        "schema": {"type": "string", "pattern": "^[!-~]{1,128}$"},
    },
    "Location": {
        "description": "Where the job, or the action, is to be found.",
        "required": True,
        "schema": {"type": "string", "format": "uri-reference"},
    },
    "Optional-Location": {
        "description": "Where the job is to be found, if there is one.",
        "schema": {"type": "string", "format": "uri-reference"},
    },
    "ETag": {
        "description": "Changes with the job. Send it back in `If-None-Match`.",
        "required": True,
        "schema": {"type": "string", "pattern": '^(W/)?"[!#-~]*"$'},
    },
    "Idempotency-Replayed": {
        "description": "`true` if the key and the body were known: nothing was done again.",
        "schema": {"const": "true"},
    },
    "Preference-Applied": {"description": "The `Prefer: wait` that was granted.", "schema": _TEXT},
    "Retry-After": {
        "description": "When to come back, in seconds.",
        "required": True,
        "schema": {"type": "integer", "minimum": 0},
    },
    "WWW-Authenticate": {"description": "How to show a key.", "required": True, "schema": _TEXT},
    "RateLimit": {"description": "What is left of the limit, and when there will be more.", "schema": _TEXT},
    "RateLimit-Policy": {"description": "The limit: so many requests (`q`) in so many seconds (`w`).", "schema": _TEXT},
    "Accept-Ranges": {"description": "`bytes`: parts can be asked for.", "schema": {"const": "bytes"}},
    "Content-Range": {"description": "Which part of the file this is, and how long the whole is.", "schema": _TEXT},
    "Content-Disposition": {"description": "The name of the file.", "schema": _TEXT},
    "Repr-Digest": {"description": "The SHA-256 of the whole file (RFC 9530).", "schema": _TEXT},
}


def header_refs(*names: str) -> dict[str, Any]:
    """References to these headers, by their names."""
    return {name.removeprefix("Optional-"): {"$ref": f"#/components/headers/{name}"} for name in names}
