"""The errors of the engine. Each one's docstring is its message."""

from collections.abc import Mapping
from dataclasses import dataclass


class PlatformError(Exception):
    """Something went wrong in the job platform."""

    def __init__(self, message: str | None = None) -> None:
        super().__init__(message or " ".join((self.__doc__ or "").split()))


class SettingsError(PlatformError):
    """A setting has no usable value."""


class DatabaseUnavailable(PlatformError):
    """Postgres did not answer in time: it is not known whether what was asked of it has been done."""


class NothingDone(DatabaseUnavailable):
    """What was asked of Postgres has certainly not been done."""


class SchemaMissing(NothingDone):
    """The database lacks the schema: run `python -m jobplatform migrate`."""


class TooMuchWaits(NothingDone):
    """Too much waits for Postgres already. Nothing was done: try again soon."""


class JobIdTaken(PlatformError):
    """Another job with this id exists already."""


class IdempotencyKeyReused(PlatformError):
    """Another request was accepted under this idempotency key."""


class UniqueKeyTaken(PlatformError):
    """An unfinished job of this type holds the unique key."""

    def __init__(self, holders: Mapping[int, str]) -> None:
        """``holders`` are ids of jobs, by the places of the jobs that were asked for and cannot be opened."""
        super().__init__()
        self.holders = holders


class RefusedByDatabase(PlatformError):
    """The database refuses a value of this item, whatever else it is sent with."""


class UnknownType(PlatformError):
    """No actor of this type is known here."""


class Unsupported(PlatformError):
    """Dramatiq has this feature, the platform does not offer it."""


@dataclass(frozen=True, slots=True)
class Fault:
    """One thing that is wrong with a payload."""

    #: Where: an RFC 6901 JSON Pointer from the payload's root, such as ``/to/0``; empty for the payload itself.
    pointer: str
    #: What, in words.
    detail: str


class InvalidPayload(PlatformError):
    """The payload does not fit the actor's signature."""

    def __init__(self, faults: tuple[Fault, ...]) -> None:
        super().__init__("; ".join(f"{fault.pointer or '/'}: {fault.detail}" for fault in faults))
        self.faults = faults
