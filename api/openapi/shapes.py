"""The JSON that the engine makes and the API hands on as it is stored: what a job's error and progress are."""

from typing import Annotated

from msgspec import Meta, Struct

from jobplatform.outcome import Kind


class Failure(Struct):
    """Why a job failed, or was last retried."""

    kind: Kind
    type: Annotated[str | None, Meta(description="The class of the exception.")]
    message: str
    traceback: str | None


class Progress(Struct):
    """What the job last said of its progress."""

    done: int
    total: int
