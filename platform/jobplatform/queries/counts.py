"""How many jobs there are of each type, queue and status: exact at every moment, and cheap however many there are.

A count of all is made once, and with it Postgres says which transactions it has seen. Whatever is asked later adds what
the transitions of the others changed. Jobs that somebody deletes by hand are noticed at the next full count.
"""

import threading
import time
from collections import Counter
from typing import Any, Final, NamedTuple

from jobplatform.queries.snapshot import one_moment, rows

#: A full count is repeated after so many seconds, or so many times what it took; and where more transitions than these,
#: or than this share of the jobs, have come since.
_FRESH: Final = 600.0
_PRICE: Final = 100
MOST_NEWS: Final = 50_000
_MOST_NEWS_SHARE: Final = 0.2
#: What a full count may take, in seconds.
_PATIENCE: Final = 300

_ALL: Final = "SELECT type, queue, status, count(*) FROM jobs GROUP BY type, queue, status"
_SNAPSHOT: Final = "SELECT pg_current_snapshot()::text"

#: The snapshot is taken by the very statement that counts. Its first row bears it, and how much was looked through.
_NEWS: Final = """
    WITH recent AS MATERIALIZED (
        SELECT xid, job_id, from_status, to_status FROM transitions
        WHERE xid >= pg_snapshot_xmin(%(before)s::pg_snapshot)
        ORDER BY xid, id LIMIT %(most)s
    ), news AS (
        SELECT job_id, from_status, to_status FROM recent
        WHERE NOT pg_visible_in_snapshot(xid, %(before)s::pg_snapshot) AND from_status IS DISTINCT FROM to_status
    )
    SELECT pg_current_snapshot()::text, NULL, NULL, NULL, (SELECT count(*) FROM recent)
    UNION ALL
    SELECT j.type, j.queue, n.from_status, n.to_status, count(*)
    FROM news AS n JOIN jobs AS j ON j.id = n.job_id
    GROUP BY j.type, j.queue, n.from_status, n.to_status
"""


class Kind(NamedTuple):
    """What is counted apart."""

    type: str
    queue: str
    status: str


class Counts:
    """The counts of one process, for any of its threads."""

    def __init__(self, most_news: int = MOST_NEWS) -> None:
        self._most_news = most_news
        self._lock = threading.Lock()
        self._counted: Counter[Kind] = Counter()
        #: What the counts hold: all that is visible in it.
        self._snapshot: str | None = None
        self._until = 0.0

    def read(self) -> dict[Kind, int]:
        """The number of jobs of each kind, those without any left out, as committed when this was called."""
        with self._lock:
            if self._snapshot is None or time.monotonic() > self._until or not self._add_news(self._snapshot):
                self._count_all()
            return dict(self._counted)

    def _count_all(self) -> None:
        began = time.monotonic()
        with one_moment(f"statement_timeout = '{_PATIENCE}s'"):
            ((snapshot,),) = rows(_SNAPSHOT)
            counted = Counter({Kind(*kind): number for *kind, number in rows(_ALL)})
        self._counted, self._snapshot = counted, snapshot
        ended = time.monotonic()
        self._until = ended + max(_FRESH, _PRICE * (ended - began))

    def _add_news(self, before: str) -> bool:
        """Whether that could be done: not if there is too much of it."""
        most = max(self._most_news, int(_MOST_NEWS_SHARE * self._counted.total()))
        (snapshot, *_, looked_through), *news = rows(_NEWS, {"before": before, "most": most})
        if looked_through == most:
            return False
        changed = _changed(self._counted, news)
        if any(number < 0 for number in changed.values()):
            return False
        self._counted, self._snapshot = changed, snapshot
        return True


def _changed(counted: Counter[Kind], news: list[tuple[Any, ...]]) -> Counter[Kind]:
    changed = counted.copy()
    for type, queue, before, after, number in news:  # noqa: A001
        if before is not None:
            changed[Kind(type, queue, before)] -= number
        changed[Kind(type, queue, after)] += number
    return Counter({kind: number for kind, number in changed.items() if number})
