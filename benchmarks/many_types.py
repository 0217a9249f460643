"""A thousand actors that do nothing: what it costs to know many types."""

from jobplatform import actor


def nothing(n: int) -> None:
    """Do nothing, with a small payload."""


for number in range(1_000):
    actor(f"TYPE_{number}")(nothing)
