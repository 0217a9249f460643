"""What the keepers have done, and when one last looked."""

from typing import Final, NamedTuple

from jobplatform.queries.snapshot import rows


class KeepersRow(NamedTuple):
    """All keepers together, those that have ended included."""

    #: Seconds since a keeper last looked; None: none ever did.
    last_tick_age: float | None
    released: int
    rescued: int
    resent: int


_KEEPERS: Final = """
    SELECT extract(epoch FROM greatest(clock_timestamp(), max(ticked_at)) - max(ticked_at))::float8,
           coalesce(sum(released), 0)::bigint, coalesce(sum(rescued), 0)::bigint, coalesce(sum(resent), 0)::bigint
    FROM keepers
"""


def keepers() -> KeepersRow:
    """What is on record of them."""
    return KeepersRow._make(rows(_KEEPERS)[0])
