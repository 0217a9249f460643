"""Fills a database with jobs that have had their lives: made by the server itself, which is the quickest way."""

from typing import Final

from psycopg2.extensions import connection as Connection  # noqa: N812

#: So many jobs are made with one statement.
_AT_ONCE: Final = 100_000

#: An id that has the time ``at`` in it, as ours do.
_ID: Final = (
    "(lpad(to_hex((extract(epoch FROM at) * 1000)::bigint), 12, '0')"
    " || '7' || substr(hash, 1, 3) || '8' || substr(hash, 4, 15))::uuid"
)

#: Of a thousand jobs, if unfinished ones are wanted: 20 queued (10 of them high), 2 scheduled, 2 retrying; 20 failed,
#: 6 cancelled, the others completed. One type of ten makes half of the jobs, one makes one of ten thousand. One of 20
#: jobs has the tag ``nightly``, one of ten thousand the tag ``special``.
_JOBS: Final = (
    """
    INSERT INTO jobs (id, type, status, priority, queue, attempts, retries, payload, result, error, run_at,
                      dispatched_at, created_at, updated_at, started_at, finished_at, tags)
    SELECT """
    + _ID
    + """,
           CASE WHEN n %% 10000 = 77 THEN 'RARE_TYPE' WHEN n %% 2 = 0 THEN 'COMMON_TYPE' ELSE 'TYPE_' || n %% 9 END,
           status, priority, priority, ran, (status = 'retrying')::int,
           format('{"to": "user%%s@example.com", "subject": "Report %%s", "data": [{"id": %%s, "name": "%%s"}]}',
                  n %% 5000, n, n, hash || hash)::json,
           CASE WHEN status = 'completed' THEN '{"ok": true}'::json END,
           CASE WHEN status IN ('failed', 'retrying') THEN
               json_build_object('kind', 'error', 'type', 'TimeoutError', 'message', 'No answer from host ' || n,
                                 'traceback', repeat('  File "somewhere.py", line 7, in something' || chr(10), 20)) END,
           CASE WHEN status IN ('scheduled', 'retrying') THEN now() + interval '1 day' END,
           at, at, at + interval '2 s', CASE WHEN ran = 1 THEN at + interval '1 s' END,
           CASE WHEN status IN ('completed', 'failed', 'cancelled') THEN at + interval '2 s' END,
           CASE WHEN n %% 10000 = 5 THEN '{special}' WHEN n %% 20 = 1 THEN '{nightly,eu}' ELSE '{}' END::text[]
    FROM (
        SELECT n, md5(n::text) AS hash, now() - (%(all)s - n) * interval '2 s' AS at,
               CASE WHEN n %% 10 = 3 THEN 'high' ELSE 'default' END AS priority, status,
               (status NOT IN ('queued', 'scheduled', 'cancelled'))::int AS ran
        FROM generate_series(%(first)s::bigint, %(last)s) AS n, LATERAL (
            SELECT CASE WHEN n %% 1000 < 24 AND NOT %(unfinished)s THEN 'completed'
                        WHEN n %% 1000 < 20 THEN 'queued' WHEN n %% 1000 < 22 THEN 'scheduled'
                        WHEN n %% 1000 < 24 THEN 'retrying' WHEN n %% 1000 < 44 THEN 'failed'
                        WHEN n %% 1000 < 50 THEN 'cancelled' ELSE 'completed' END AS status OFFSET 0) AS s
    ) AS numbered
"""
)

_TAGS: Final = "INSERT INTO job_tags SELECT tag, created_at, id FROM jobs, unnest(tags) AS tag"

#: As many as their lives had.
_TRANSITIONS: Final = """
    INSERT INTO transitions (job_id, event, from_status, to_status, attempt, at)
    SELECT id, event, before, after, attempt, created_at + step * interval '1 s'
    FROM jobs, LATERAL (
        SELECT 0, CASE status WHEN 'scheduled' THEN 'scheduled' ELSE 'enqueued' END, NULL,
               CASE status WHEN 'scheduled' THEN 'scheduled' ELSE 'queued' END, 0
        UNION ALL SELECT 1, 'started', 'queued', 'running', 1 WHERE attempts = 1
        UNION ALL SELECT 2, CASE status WHEN 'retrying' THEN 'retry_planned' ELSE status END, 'running', status, 1
                  WHERE attempts = 1
        UNION ALL SELECT 1, 'cancelled', 'queued', 'cancelled', 0 WHERE status = 'cancelled'
    ) AS life(step, event, before, after, attempt)
    WHERE created_at > %(newest)s - %(last)s * interval '2 s' AND created_at <= %(newest)s - %(first)s * interval '2 s'
"""

#: Those of jobs that were completed at once, 20 a second. The jobs themselves are not made.
_HISTORIES: Final = (
    """
    INSERT INTO transitions (job_id, event, from_status, to_status, attempt, at)
    SELECT """
    + _ID
    + """, event, before, after, attempt, at
    FROM generate_series(%(first)s::bigint, %(last)s) AS n,
         LATERAL (SELECT md5(n::text) AS hash, now() - (%(all)s - n) * interval '50 ms' AS at) AS job,
         (VALUES ('enqueued', NULL, 'queued', 0), ('started', 'queued', 'running', 1),
                 ('completed', 'running', 'completed', 1)) AS life(event, before, after, attempt)
"""
)

_ADDED_UP: Final = """
    UPDATE tally_position SET (xid, id) = (SELECT xid, id FROM transitions ORDER BY xid DESC, id DESC LIMIT 1)
"""


def fill(connection: Connection, jobs: int, *, unfinished: bool = True) -> None:
    """Make so many jobs with their transitions, two seconds apart, the newest now; and let Postgres look at them."""
    with connection.cursor() as cursor:
        for first in range(1, jobs + 1, _AT_ONCE):
            last = min(first + _AT_ONCE - 1, jobs)
            cursor.execute(_JOBS, {"first": first, "last": last, "all": jobs, "unfinished": unfinished})
        cursor.execute(_TAGS)
        cursor.execute("SELECT max(created_at) FROM jobs")
        (newest,) = cursor.fetchone() or (None,)
        # Statements began at their own times: what lies between them is older than it would be.
        for first in range(0, jobs + _AT_ONCE, _AT_ONCE):
            cursor.execute(_TRANSITIONS, {"newest": newest, "first": first, "last": first + _AT_ONCE})
        cursor.execute("VACUUM (ANALYZE) jobs, job_tags, transitions")


def fill_transitions(connection: Connection, transitions: int) -> None:
    """Make so many transitions, three for each of jobs that are not there; and let Postgres look at them."""
    jobs = transitions // 3
    with connection.cursor() as cursor:
        for first in range(1, jobs + 1, _AT_ONCE):
            cursor.execute(_HISTORIES, {"first": first, "last": min(first + _AT_ONCE - 1, jobs), "all": jobs})
        cursor.execute("VACUUM (ANALYZE) transitions")


def add_up(connection: Connection) -> None:
    """Have all that was made count as added up: what has had its life long ago is."""
    with connection.cursor() as cursor:
        cursor.execute(_ADDED_UP)
