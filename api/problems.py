"""The problem documents (RFC 9457) that every error is answered with, one kind for each thing a client can do about it.

docs/problems.md has a section for each kind.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from http import HTTPStatus
from typing import Annotated, Final

import falcon
import msgspec
from msgspec import UNSET, Meta, UnsetType

from jobplatform.errors import Fault
from jobplatform.signature import MOST_FAULTS

#: More faults than these are counted, not listed.
MAX_FAULTS_LISTED: Final = MOST_FAULTS - 1


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of problem: its HTTP status, the last part of its type URI, and its title."""

    status: int
    name: str
    title: str

    @property
    def uri(self) -> str:
        """The type URI, relative to the API."""
        return f"/problems/{self.name}"


INVALID_REQUEST: Final = Kind(400, "invalid-request", "The request is not valid")
INVALID_PARAMETER: Final = Kind(400, "invalid-parameter", "A query parameter is not valid")
MALFORMED_JSON: Final = Kind(400, "malformed-json", "The body is not JSON")
INCOMPLETE_BODY: Final = Kind(400, "incomplete-body", "The body did not arrive whole")
UNAUTHORIZED: Final = Kind(401, "unauthorized", "A key is needed")
FORBIDDEN: Final = Kind(403, "forbidden", "This is not allowed")
NOT_FOUND: Final = Kind(404, "not-found", "There is nothing at this path")
JOB_NOT_FOUND: Final = Kind(404, "job-not-found", "There is no such job")
NO_OUTPUT: Final = Kind(404, "no-output", "The job made no file")
QUEUE_NOT_FOUND: Final = Kind(404, "queue-not-found", "There is no such queue")
ACTION_NOT_FOUND: Final = Kind(404, "action-not-found", "There is no such action")
METHOD_NOT_ALLOWED: Final = Kind(405, "method-not-allowed", "This method is not allowed here")
JOB_FINISHED: Final = Kind(409, "job-finished", "The job is final")
JOB_NOT_FINISHED: Final = Kind(409, "job-not-finished", "The job has neither failed nor was it cancelled")
OUTPUT_NOT_READY: Final = Kind(409, "output-not-ready", "The job is not final yet")
UNIQUE_KEY_TAKEN: Final = Kind(409, "unique-key-taken", "Another job holds this unique key")
OUTPUT_GONE: Final = Kind(410, "output-gone", "The job's file is no longer there")
TOO_LARGE: Final = Kind(413, "too-large", "The request is too large")
UNSUPPORTED_MEDIA_TYPE: Final = Kind(415, "unsupported-media-type", "The body is of an unsupported kind")
RANGE_NOT_SATISFIABLE: Final = Kind(416, "range-not-satisfiable", "The file has no such part")
INVALID_BODY: Final = Kind(422, "invalid-body", "The body is not valid")
INVALID_JOB: Final = Kind(422, "invalid-job", "The job is not valid")
IDEMPOTENCY_KEY_REUSED: Final = Kind(422, "idempotency-key-reused", "Another request had this Idempotency-Key")
TOO_MANY_REQUESTS: Final = Kind(429, "too-many-requests", "Too many requests")
INTERNAL_ERROR: Final = Kind(500, "internal-error", "The platform made a mistake")
UNAVAILABLE: Final = Kind(503, "unavailable", "The platform cannot do this right now")

KINDS: Final = (
    INVALID_REQUEST,
    INVALID_PARAMETER,
    MALFORMED_JSON,
    INCOMPLETE_BODY,
    UNAUTHORIZED,
    FORBIDDEN,
    NOT_FOUND,
    JOB_NOT_FOUND,
    NO_OUTPUT,
    QUEUE_NOT_FOUND,
    ACTION_NOT_FOUND,
    METHOD_NOT_ALLOWED,
    JOB_FINISHED,
    JOB_NOT_FINISHED,
    OUTPUT_NOT_READY,
    UNIQUE_KEY_TAKEN,
    OUTPUT_GONE,
    TOO_LARGE,
    UNSUPPORTED_MEDIA_TYPE,
    RANGE_NOT_SATISFIABLE,
    INVALID_BODY,
    INVALID_JOB,
    IDEMPOTENCY_KEY_REUSED,
    TOO_MANY_REQUESTS,
    INTERNAL_ERROR,
    UNAVAILABLE,
)


class ProblemView(msgspec.Struct, rename="camel"):
    """A problem document (RFC 9457). `type` names the kind; `detail` is for people."""

    type: str
    title: str
    status: Annotated[int, Meta(ge=400, le=599)]
    detail: str
    instance: str
    errors: Annotated[list[Fault] | UnsetType, Meta(description="Each fault of the body, a hundred at most.")] = UNSET
    job_id: Annotated[str | UnsetType, Meta(description="The job that this is about.")] = UNSET


class Problem(falcon.HTTPError):
    """An error answer in the making: raise it anywhere below a responder."""

    def __init__(
        self,
        kind: Kind,
        detail: str,
        *,
        faults: Sequence[Fault] = (),
        headers: dict[str, str] | None = None,
        job_id: str | None = None,
    ) -> None:
        super().__init__(kind.status, title=kind.title, description=detail, headers=headers)
        self.kind = kind
        self.faults = faults
        self.job_id = job_id


def document(error: falcon.HTTPError, instance: str) -> bytes:
    """The problem document of an error, one of ours or of Falcon's, that a request to the path `instance` met."""
    kind = error.kind if isinstance(error, Problem) else _kind_of(error.status_code)
    return msgspec.json.encode(
        ProblemView(
            type=kind.uri if kind.name else "about:blank",
            title=kind.title,
            status=kind.status,
            detail=error.description or f"{kind.title}.",
            instance=falcon.uri.encode(instance),
            errors=list(error.faults[:MAX_FAULTS_LISTED]) or UNSET if isinstance(error, Problem) else UNSET,
            job_id=error.job_id or UNSET if isinstance(error, Problem) else UNSET,
        )
    )


_OF_FALCON: Final[dict[int, Kind]] = {
    kind.status: kind
    for kind in (INVALID_REQUEST, NOT_FOUND, METHOD_NOT_ALLOWED, TOO_LARGE, UNSUPPORTED_MEDIA_TYPE, INTERNAL_ERROR)
}


def _kind_of(status: int) -> Kind:
    return _OF_FALCON.get(status) or Kind(status, "", HTTPStatus(status).phrase)
