"""A Dramatiq message that stands for a job. On its way to the journal it carries the payload; in Redis it does not."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any, NoReturn

from dramatiq import Message

from jobplatform.errors import Unsupported


@dataclass(frozen=True)
class JobMessage(Message[Any]):
    """A message whose id is the job's id, and whose arguments live in the job's row."""

    #: The payload as JSON text, while the job is not yet on record.
    payload: str | None = None
    run_at: datetime | None = None
    who: str | None = None
    #: The HTTP request in which it was asked for.
    request_id: str | None = None
    tags: tuple[str, ...] = ()
    unique_key: str | None = None
    on_conflict: str = "reject"
    on_crash: str = "retry"

    @classmethod
    def made_of(cls, **fields: Any) -> "JobMessage":
        """A message of these fields, all but those that have a default.

        Python sets the fields of a frozen dataclass one by one, which takes four times as long: a batch has thousands.
        """
        message = cls.__new__(cls)
        message.__dict__.update(fields)
        return message

    def __str__(self) -> str:
        """Name the job. Its payload belongs in no log."""
        return f"{self.actor_name} {self.message_id}"

    def __or__(self, other: object) -> NoReturn:
        raise Unsupported("Pipelines are not supported: send the next job from the actor, or with on_success.")
