"""Many jobs that wait, and what Postgres believes of them."""

from contextlib import closing
from enum import Enum, auto

import psycopg2

from tests.services.journal import live_worker, read


class Analyzed(Enum):
    """Of when Postgres' statistics are."""

    NOW = auto()
    #: A burst came after a quiet time.
    WHEN_NONE_WAITED = auto()


#: Jobs of a kind: their number, status, age of the hint and due time.
_FILL = """
    INSERT INTO jobs (id, type, status, priority, queue, payload, attempts, worker, token, run_at, dispatched_at,
                      created_at, updated_at, started_at)
    SELECT lpad(to_hex(%(first)s + n), 32, '0')::uuid, %(type)s, %(status)s, 'default', 'default', '{}', runs,
           CASE WHEN runs = 1 THEN 1 + n %% 10 END, CASE WHEN runs = 1 THEN gen_random_uuid() END,
           now() + %(due)s::interval, now() - %(age)s::interval, now(), now(), CASE WHEN runs = 1 THEN now() END
    FROM generate_series(1, %(number)s) AS n, (SELECT (%(status)s = 'running')::int AS runs) AS one
"""


#: What has had its life, in both queues: then Postgres takes the index by status for the cheapest of those that have
#: nothing of what it believes not to exist.
_FINISHED = """
    INSERT INTO jobs (id, type, status, priority, queue, payload, created_at, updated_at, dispatched_at, finished_at)
    SELECT gen_random_uuid(), 'PROBE', 'completed', queue, queue, '{}', at, at, at, at
    FROM generate_series(1, 200000) AS n, LATERAL (
        SELECT now() - n * interval '1 s', CASE WHEN n % 2 = 0 THEN 'high' ELSE 'default' END) AS past(at, queue)
"""


def fill(url: str, waiting: int, analyzed: Analyzed, running: int = 200) -> None:
    """So many queued and scheduled jobs, and always as many others: running, also in dead workers; due, and lost."""
    read(url, "TRUNCATE jobs, transitions, workers, job_logs")
    for number in range(1, 11):
        live_worker(number, types=["PROBE"], queues=["default", "high"])
    read(url, "UPDATE workers SET ended_at = now(), died = true WHERE id <= 2")
    kinds = [
        (waiting, "PROBE", "queued", "1 s", None),
        (20, "PROBE", "queued", "1 min", None),
        (running, "PROBE", "running", "1 s", None),
        (20, "PROBE", "scheduled", None, "-1 s"),
        (waiting, "PROBE", "scheduled", None, "1 h"),
    ]
    with closing(psycopg2.connect(url)) as connection:
        connection.autocommit = True
        with connection.cursor() as cursor:
            cursor.execute("ALTER TABLE jobs SET (autovacuum_enabled = off)")
            if analyzed is Analyzed.WHEN_NONE_WAITED:
                cursor.execute(_FINISHED)
                cursor.execute("VACUUM (ANALYZE) jobs, workers")
            for place, values in enumerate(kinds):
                names = ("number", "type", "status", "age", "due")
                cursor.execute(_FILL, {**dict(zip(names, values, strict=True)), "first": place * 1_000_000})
            if analyzed is Analyzed.NOW:
                cursor.execute("VACUUM (ANALYZE) jobs, workers")
