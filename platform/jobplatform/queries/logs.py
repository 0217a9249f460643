"""What a job has logged."""

from datetime import datetime
from typing import Final, NamedTuple

from jobplatform.queries.snapshot import rows

#: A page ends when its lines are so many bytes.
MOST_TEXT: Final = 4_000_000


class LogRow(NamedTuple):
    """A line."""

    id: int
    attempt: int
    at: datetime
    text: str


_LINES: Final = """
    SELECT id, attempt, at, text, length FROM (
        SELECT *, sum(octet_length(text)) OVER (ORDER BY id) AS length FROM (
            SELECT id, attempt, at, text FROM job_logs
            WHERE job_id = %(job)s::uuid AND id > %(after)s AND (%(attempt)s::int IS NULL OR attempt = %(attempt)s)
            ORDER BY id LIMIT %(limit)s
        ) AS next
    ) AS measured
    WHERE length - octet_length(text) <= %(most)s
    ORDER BY id
"""


def logs(job_id: str, attempt: int | None, after: int, limit: int) -> tuple[list[LogRow], int | None] | None:
    """Lines of the job, or of one attempt, behind that with the id ``after``; and behind which to go on, if there are
    more. None: there is no such job.
    """
    values = {"job": job_id, "attempt": attempt, "after": after, "limit": limit + 1, "most": MOST_TEXT}
    found = rows(_LINES, values)
    if not found and not rows("SELECT 1 FROM jobs WHERE id = %s::uuid", [job_id]):
        return None
    shown = [LogRow(*line[:4]) for line in found[:limit]]
    cut = len(found) > limit or bool(found and found[-1][4] > MOST_TEXT)
    return shown, shown[-1].id if cut else None


_LAST_LINES: Final = f"""
    SELECT id, attempt, at, text FROM (
        SELECT *, sum(octet_length(text)) OVER (ORDER BY id DESC) AS length FROM (
            SELECT id, attempt, at, text FROM job_logs
            WHERE job_id = %(job)s::uuid AND (%(before)s::bigint IS NULL OR id < %(before)s)
              AND (%(attempt)s::int IS NULL OR attempt = %(attempt)s)
            ORDER BY id DESC LIMIT %(limit)s
        ) AS last
    ) AS measured
    WHERE length - octet_length(text) <= {MOST_TEXT // 8}
    ORDER BY id
"""


def last_logs(job_id: str, attempt: int | None, before: int | None, limit: int) -> tuple[list[LogRow], bool]:
    """The last lines of the job, or of one attempt, before that with the id ``before``; and whether there are more
    before them.
    """
    values = {"job": job_id, "attempt": attempt, "before": before, "limit": limit}
    found = [LogRow(*row) for row in rows(_LAST_LINES, values)]
    more = "SELECT 1 FROM job_logs WHERE job_id = %s::uuid AND id < %s AND (%s::int IS NULL OR attempt = %s) LIMIT 1"
    return found, bool(found and rows(more, [job_id, found[0].id, attempt, attempt]))
