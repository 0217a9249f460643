"""What the API refuses, as errors: one class for each thing that a caller can do about it."""

from collections.abc import Mapping
from typing import Any, Final

import httpx

from jobplatform.errors import PlatformError


class ApiError(PlatformError):
    """The API refused a request, or could not serve it. The attributes are the members of its problem document."""

    def __init__(self, status: int, problem: Mapping[str, Any], retry_after: float = 0.0) -> None:
        self.status = status
        #: For how many seconds it should not be repeated.
        self.retry_after = retry_after
        #: The kind of problem, such as ``job-not-found``; empty where the answer was no problem document.
        self.kind = str(problem.get("type", "")).rpartition("/")[2]
        self.detail = str(problem.get("detail") or problem.get("title") or f"The API answered {status}.")
        #: Each with ``pointer`` and ``detail``.
        self.errors: list[dict[str, str]] = list(problem.get("errors", ()))
        self.job_id: str | None = problem.get("jobId")
        faults = "".join(f"\n  {fault['pointer'] or '/'}: {fault['detail']}" for fault in self.errors)
        super().__init__(f"{self.detail}{faults}")


class BadRequest(ApiError):
    """400, 405, 413 or 415: the request is not one."""


class Unauthorized(ApiError):
    """401: no key, or an unknown one."""


class Forbidden(ApiError):
    """403: the key lacks the scope."""


class NotFound(ApiError):
    """404 or 410: there is no such thing, or no more."""


class Conflict(ApiError):
    """409: what is there forbids it. ``job_id`` names the job in the way, if one is."""


class Invalid(ApiError):
    """422: fields are faulty, see ``errors``; or a key was used for something else."""


class TooManyRequests(ApiError):
    """429, after all repetitions."""


class Unavailable(ApiError):
    """503, after all repetitions; or no answer at all (status 0)."""


_BY_STATUS: Final[dict[int, type[ApiError]]] = {
    400: BadRequest, 405: BadRequest, 413: BadRequest, 415: BadRequest, 401: Unauthorized, 403: Forbidden,
    404: NotFound, 410: NotFound, 409: Conflict, 422: Invalid, 429: TooManyRequests, 503: Unavailable,
}  # fmt: skip


def error_of(answer: httpx.Response) -> ApiError:
    """The error that an answer stands for."""
    try:
        problem = answer.json()
    except ValueError:
        problem = None
    kind = _BY_STATUS.get(answer.status_code, ApiError)
    said = problem if isinstance(problem, dict) else {"detail": answer.text[:200]}
    after = answer.headers.get("Retry-After", "")
    return kind(answer.status_code, said, float(after) if after.isdecimal() else 0.0)
