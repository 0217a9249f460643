"""How long a job may be made to wait: whole milliseconds, as many as leave a time that everybody can read."""

from typing import Final

#: A hundred years. Much more, and the time it is due at has no place in Postgres, or none in Python.
LONGEST_DELAY: Final = 100 * 365 * 24 * 3_600_000


def milliseconds(delay: float) -> int:
    """The delay that is recorded for what was asked for: without fractions, not negative, not too long; 0 for NaN.

    Raises:
        TypeError: it is no number.
    """
    return int(max(0, min(delay, LONGEST_DELAY)))
