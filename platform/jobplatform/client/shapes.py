"""What goes to the API, and what comes from it."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Generic, Literal, TypeVar

import msgspec

from jobplatform.states import FINAL

_T = TypeVar("_T")

Priority = Literal["high", "default"]
OnConflict = Literal["reject", "return", "replace"]


class Job(msgspec.Struct, rename="camel", frozen=True):
    """A job as the API shows it. Fields that a newer API adds are left out."""

    id: str
    type: str
    status: str
    priority: str
    attempts: int
    payload: Any
    result: Any
    error: Any
    progress: Any
    created_at: datetime
    updated_at: datetime
    started_at: datetime | None
    finished_at: datetime | None
    run_at: datetime | None
    tags: list[str] = []
    unique_key: str | None = None
    cancel_requested: bool = False

    @property
    def final(self) -> bool:
        """Whether nothing more happens to it by itself."""
        return self.status in FINAL


class Event(msgspec.Struct, rename={"from_status": "from", "to_status": "to", "request_id": "requestId"}, frozen=True):
    """One transition of a job."""

    id: int
    event: str
    from_status: str | None
    to_status: str
    attempt: int
    at: datetime
    worker: str | None
    who: str | None
    detail: Any
    request_id: str | None = None


class Page(msgspec.Struct, Generic[_T], frozen=True):
    """A list of things, or a part of one: then ``next`` is where it goes on."""

    items: list[_T]
    next: str | None = None


@dataclass(frozen=True, kw_only=True)
class Submission:
    """A job to be, for `Client.batch`. What is None is left to the platform."""

    type: str
    payload: Any
    priority: Priority | None = None
    run_at: datetime | None = None
    max_retries: int | None = None
    tags: Sequence[str] = ()
    unique_key: str | None = None
    on_conflict: OnConflict | None = None

    def body(self) -> dict[str, Any]:
        """As ``POST /jobs`` takes it."""
        fields = {
            "type": self.type,
            "payload": self.payload,
            "priority": self.priority,
            "runAt": self.run_at and self.run_at.isoformat(),
            "maxRetries": self.max_retries,
            "tags": list(self.tags) or None,
            "uniqueKey": self.unique_key,
            "onConflict": self.on_conflict,
        }
        return {name: value for name, value in fields.items() if value is not None or name == "payload"}
