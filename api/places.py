"""The places of a process for clients that stay: whoever listens to a stream, or waits for the end of a job."""

import resource
from typing import Final

#: So many stay at the most: each is an open file, of which a process usually may have 1,024.
MOST: Final = 800
#: The files that a process has open without any client.
_OWN_FILES: Final = 24


class Places:
    """Who stays. Some files are left to everybody else."""

    def __init__(self, most: int | None = None) -> None:
        """Without ``most``, as many as the limit of open files allows, up to 800."""
        self._most = _most() if most is None else most
        self._taken: set[object] = set()

    @property
    def full(self) -> bool:
        """Whether one more client is one too many."""
        return len(self._taken) >= self._most

    def take(self, client: object) -> None:
        """It stays."""
        self._taken.add(client)

    def give_back(self, client: object) -> None:
        """It goes, if it was there."""
        self._taken.discard(client)


def _most() -> int:
    files, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return MOST if files == resource.RLIM_INFINITY else min(MOST, (files - _OWN_FILES) * 4 // 5)
