"""The actor of the benchmark, which does nothing: all that is measured is the platform."""

from jobplatform import actor


@actor("NOTHING")
def nothing(n: int, text: str) -> None:
    """Do nothing, with a small payload."""
