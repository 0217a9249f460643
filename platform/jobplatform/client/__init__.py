"""A client for the platform's REST API: ``with Client("http://127.0.0.1:3000") as client: client.submit(...)``."""

from jobplatform.client.client import Client
from jobplatform.client.errors import (
    ApiError,
    BadRequest,
    Conflict,
    Forbidden,
    Invalid,
    NotFound,
    TooManyRequests,
    Unauthorized,
    Unavailable,
)
from jobplatform.client.shapes import Event, Job, Submission

__all__ = [
    "ApiError",
    "BadRequest",
    "Client",
    "Conflict",
    "Event",
    "Forbidden",
    "Invalid",
    "Job",
    "NotFound",
    "Submission",
    "TooManyRequests",
    "Unauthorized",
    "Unavailable",
]
