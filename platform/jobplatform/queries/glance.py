"""The platform at a glance: what the overview shows beside counts, failures and tallies, in one question."""

from typing import Final, NamedTuple

from jobplatform.queries.keepers import KeepersRow, keepers
from jobplatform.queries.queues import QueueRow, queues
from jobplatform.queries.snapshot import rows
from jobplatform.queries.tallies import RANGES, Sums, by_queue
from jobplatform.queries.workers import WorkerRow, workers
from jobplatform.query import IN_ORDER

#: What a keeper should have moved for so many seconds, and has not, lies still.
STILL_AFTER: Final = 10
#: So many jobs of each kind that lie still are counted, not more.
_MOST_STILL: Final = 1_000

_STILL: Final = f"""
    {IN_ORDER}
    SELECT (SELECT count(*) FROM (
               SELECT 1 FROM jobs WHERE status IN ('scheduled', 'retrying')
                 AND run_at < now() - interval '{STILL_AFTER} s' ORDER BY run_at LIMIT {_MOST_STILL}) AS d)
         + (SELECT count(*) FROM (
               SELECT 1 FROM jobs JOIN workers ON workers.id = jobs.worker
               WHERE jobs.status = 'running' AND workers.ended_at < clock_timestamp() - interval '{STILL_AFTER} s'
               LIMIT {_MOST_STILL}) AS held)
"""
_VERSIONS: Final = """
    SELECT DISTINCT ON (t.job_id) t.job_id::text, w.version
    FROM transitions AS t JOIN workers AS w ON w.id = t.worker
    WHERE t.job_id = ANY(%s::uuid[]) AND t.event = 'failed' ORDER BY t.job_id, t.id DESC
"""


class Glance(NamedTuple):
    """What is to be seen, whichever time and jobs somebody looks at."""

    #: What ended in the last hour, by queue.
    last_hour: dict[str, Sums]
    queues: list[QueueRow]
    workers: list[WorkerRow]
    keepers: KeepersRow
    #: Jobs that nothing moves: due and not released, or held by a worker that is no more.
    still: int


def glance() -> Glance:
    """How the platform is now."""
    return Glance(
        by_queue(RANGES["1h"]),
        queues(),
        workers(with_ended=False),
        keepers(),
        rows(_STILL)[0][0],
    )


def versions(job_ids: list[str]) -> dict[str, str]:
    """On which version of the platform's code each of these jobs failed last, where it is on record."""
    return dict(rows(_VERSIONS, [job_ids]))
