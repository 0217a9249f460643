"""What looking costs: lists walk along their indexes a piece at a time, whatever Postgres believes about its tables."""

from collections.abc import Callable, Iterator
from contextlib import closing
from functools import partial
from typing import Any

import psycopg2
import pytest

from api.filters import job_filter
from api.parameters import Parameters
from benchmarks.filling import fill
from jobplatform.models import database
from jobplatform.queries import estimate
from jobplatform.queries.counts import Counts
from jobplatform.queries.facts import facts
from jobplatform.queries.failures import failures
from jobplatform.queries.listing import page
from jobplatform.queries.queues import queues
from jobplatform.queries.walk import MOST_PASSED
from jobplatform.queries.workers import forces, workers
from tests.services.journal import queued_job, read

JOBS = 20_000

#: A filter → the index by which its jobs are found.
INDEXES = {
    "": "jobs_by_time",
    "priority=high": "jobs_by_time",
    "q=no such text": "jobs_by_time",
    "q=$.to=nobody": "jobs_by_time",
    "createdBefore=2000-01-01T00:00:00Z": "jobs_by_time",
    "status=completed": "jobs_by_status",
    "status=failed": "jobs_by_status",
    "status=queued,running,failed": "jobs_by_status",
    "status=completed&q=no such text": "jobs_by_status",
    "status=completed&createdAfter=2000-01-01T00:00:00Z": "jobs_by_status",
    "type=COMMON_TYPE": "jobs_by_type",
    "type=RARE_TYPE": "jobs_by_type",
    "type=NO_TYPE&priority=high": "jobs_by_type",
    "type=COMMON_TYPE,RARE_TYPE&priority=high": "jobs_by_type",
    "tag=nightly": "job_tags_pkey",
    "tag=special&q=no such text": "job_tags_pkey",
}
#: Where there is a choice, by what is rare.
CHOICES = {
    "type=RARE_TYPE&status=completed": "jobs_by_type",
    "type=COMMON_TYPE&status=failed": "jobs_by_status",
    "tag=special&status=completed&type=COMMON_TYPE": "job_tags_pkey",
    "tag=nightly&status=scheduled": "jobs_by_status",
}


def plans_of(act: Callable[[], object], monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """All nodes of the plans of the queries within, as Postgres executed them."""
    execute: Any = database.execute_sql
    found: list[dict[str, Any]] = []

    def explained(sql: str, values: Any = None) -> Any:
        if sql.split(None, 1)[0] in ("SELECT", "WITH"):
            ((((plan,),)),) = execute("EXPLAIN (ANALYZE, FORMAT JSON) " + sql, values).fetchall()
            found.extend(_nodes(plan["Plan"]))
        return execute(sql, values)

    with monkeypatch.context() as patch:
        patch.setattr(database, "execute_sql", explained)
        act()
    return found


def _nodes(plan: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield plan
    for part in plan.get("Plans", ()):
        yield from _nodes(part)


def passed(node: dict[str, Any]) -> float:
    """How many rows a scan went through, those that it threw away included."""
    return float((node["Actual Rows"] + node.get("Rows Removed by Filter", 0)) * node["Actual Loops"])


def check_list(filter: str, index: str, newest_first: bool, monkeypatch: pytest.MonkeyPatch) -> None:  # noqa: A002
    which = job_filter(Parameters(dict(part.split("=", 1) for part in filter.split("&") if part)))
    first = page(which, newest_first, None, 50)

    nodes = plans_of(partial(page, which, newest_first, first.next, 50), monkeypatch)

    scans = [node for node in nodes if "Scan" in node["Node Type"] and "Subquery" not in node["Node Type"]]
    of_jobs = [node for node in scans if node.get("Relation Name") in ("jobs", "job_tags")]
    assert index in {node.get("Index Name") for node in of_jobs}, filter
    assert {node["Node Type"] for node in of_jobs} <= {"Index Scan", "Index Only Scan"}, filter
    assert max(map(passed, of_jobs)) <= MOST_PASSED, filter


def test_lists_walk_along_their_indexes_and_nothing_reads_a_whole_table(
    journal_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with closing(psycopg2.connect(journal_url)) as connection:
        connection.autocommit = True
        fill(connection, JOBS)
    read(journal_url, "ALTER TABLE jobs SET (autovacuum_enabled = off)")
    counts = Counts()
    counts.read()
    job_id = queued_job()
    estimate._known.until = 0

    for filter, index in {**INDEXES, **CHOICES}.items():  # noqa: A001
        for newest_first in (True, False):
            check_list(filter, index, newest_first, monkeypatch)
    looks: list[Callable[[], object]] = [
        counts.read,
        partial(facts, job_id),
        partial(failures, None),
        partial(workers, False),
        forces,
        queues,
    ]
    for look in looks:
        for node in plans_of(look, monkeypatch):
            if node["Node Type"] == "Seq Scan":
                assert node["Relation Name"] not in ("jobs", "transitions"), look
    # And where Postgres knows nothing of what is in the tables.
    read(journal_url, "DELETE FROM pg_statistic WHERE starelid IN ('jobs'::regclass, 'job_tags'::regclass)")
    for filter, index in INDEXES.items():  # noqa: A001
        check_list(filter, index, True, monkeypatch)

    read(journal_url, "ALTER TABLE jobs RESET (autovacuum_enabled); TRUNCATE jobs, transitions, job_tags")
