"""What a keeper's tick costs: the same with 200,000 queued jobs as with 200, by its indexes."""

from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from typing import Any

import psycopg2
import pytest

from jobplatform import journal
from jobplatform.journal import workers
from jobplatform.models import database
from tests.services.journal import live_worker, read

#: Which index each statement must find its jobs by.
INDEXES = {"release": "jobs_due", "next_due": "jobs_due", "resend": "jobs_waiting", "rescue": "jobs_held"}


@dataclass
class Cost:
    """Of one statement, as Postgres executed it."""

    buffers: int
    #: That its scans of jobs went through, those that they threw away included.
    rows: int
    scans: set[str]


#: Jobs of a kind: their number, status, age of the hint and due time.
_FILL = """
    INSERT INTO jobs (id, type, status, priority, queue, payload, attempts, worker, token, run_at, dispatched_at,
                      created_at, updated_at, started_at)
    SELECT lpad(to_hex(%(first)s + n), 32, '0')::uuid, %(type)s, %(status)s, 'default', 'default', '{}', runs,
           CASE WHEN runs = 1 THEN 1 + n %% 10 END, CASE WHEN runs = 1 THEN gen_random_uuid() END,
           now() + %(due)s::interval, now() - %(age)s::interval, now(), now(), CASE WHEN runs = 1 THEN now() END
    FROM generate_series(1, %(number)s) AS n, (SELECT (%(status)s = 'running')::int AS runs) AS one
"""


def fill(url: str, queued: int) -> None:
    """So many queued jobs, and always as many others: running, also in dead workers; due, not yet due, and lost."""
    read(url, "TRUNCATE jobs, transitions, workers, job_logs")
    for number in range(1, 11):
        live_worker(number, types=["PROBE"], queues=["default", "high"])
    read(url, "UPDATE workers SET ended_at = now(), died = true WHERE id <= 2")
    kinds = [
        (queued, "PROBE", "queued", "1 s", None),
        (20, "PROBE", "queued", "1 min", None),
        (200, "PROBE", "running", "1 s", None),
        (20, "PROBE", "scheduled", None, "-1 s"),
        (200, "PROBE", "scheduled", None, "1 h"),
    ]
    for place, values in enumerate(kinds):
        names = ("number", "type", "status", "age", "due")
        with closing(psycopg2.connect(url)) as connection, connection, connection.cursor() as cursor:
            cursor.execute(_FILL, {**dict(zip(names, values, strict=True)), "first": place * 1_000_000})
    database.execute_sql("VACUUM (ANALYZE) jobs, workers")


def cost_of(act: Callable[[], object], monkeypatch: pytest.MonkeyPatch) -> Cost:
    """Execute it, explained; take back what it did."""
    execute: Any = database.execute_sql
    plans: list[dict[str, Any]] = []

    def explained(sql: str, values: Any = None) -> Any:
        execute("BEGIN")
        ((((plan,),)),) = execute("EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) " + sql, values).fetchall()
        plans.append(plan["Plan"])
        execute("ROLLBACK")
        execute("BEGIN")
        return execute(sql, values)

    with monkeypatch.context() as patch:
        patch.setattr(database, "execute_sql", explained)
        act()
    execute("ROLLBACK")
    (plan,) = plans
    return Cost(
        plan["Shared Hit Blocks"] + plan["Shared Read Blocks"],
        sum(
            (node["Actual Rows"] + node.get("Rows Removed by Filter", 0)) * node["Actual Loops"]
            for node in nodes(plan)
            if node.get("Alias", "").startswith("t") or node.get("Index Name", "").startswith("jobs_")
        ),
        {node.get("Index Name", node["Node Type"]) for node in nodes(plan) if "Scan" in node["Node Type"]}
        | {f"Seq Scan on {node['Relation Name']}" for node in nodes(plan) if node["Node Type"] == "Seq Scan"},
    )


def nodes(plan: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield plan
    for part in plan.get("Plans", []):
        yield from nodes(part)


def costs(url: str, queued: int, monkeypatch: pytest.MonkeyPatch) -> dict[str, Cost]:
    fill(url, queued)
    ((mark,),) = read(url, "SELECT now() - interval '30 s'")
    acts: dict[str, Callable[[], object]] = {
        "release": journal.release,
        "look": lambda: workers.look(3_000, 600_000),
        "rescue": lambda: journal.rescue(3),
        "resend": lambda: journal.resend("default", mark, 10_000),
        "next_due": journal.next_due,
    }
    found = {name: cost_of(act, monkeypatch) for name, act in acts.items()}
    read(url, "TRUNCATE jobs, transitions, workers, job_logs")
    return found


def test_a_tick_costs_the_same_with_200_000_queued_jobs_as_with_200(
    journal_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    few = costs(journal_url, 200, monkeypatch)
    many = costs(journal_url, 200_000, monkeypatch)

    for name, index in INDEXES.items():
        assert index in many[name].scans
    for name, cost in many.items():
        assert "Seq Scan on jobs" not in cost.scans, name
        assert cost.buffers <= 2 * few[name].buffers + 100, name
        assert cost.rows <= 2 * few[name].rows + 100, name
