"""What Redis is to carry for a job that became ready."""

from datetime import UTC, datetime, timedelta
from typing import Final, NamedTuple

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND: Final = timedelta(microseconds=1)


class Hint(NamedTuple):
    """ "Look at this row": sent after the commit that made the job ready, never before."""

    job_id: str
    type: str
    queue: str
    #: The row's ``dispatched_at``, in microseconds since 1970: by it the keeper knows which hints were lost (P24).
    stamp: int


def stamp_of(at: datetime) -> int:
    """A time from the database in the form that a hint carries."""
    return (at - _EPOCH) // _MICROSECOND


def time_of(stamp: int) -> datetime:
    """The time that a hint carries."""
    return _EPOCH + stamp * _MICROSECOND
