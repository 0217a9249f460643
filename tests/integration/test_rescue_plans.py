"""What a keeper's tick costs: the same with 200,000 queued jobs as with 200, by its indexes."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

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


def fill(url: str, queued: int) -> None:
    """So many queued jobs, and always the same number of others: running, due, lost, and of dead workers."""
    read(url, "TRUNCATE jobs, transitions, workers, job_logs")
    for number in range(1, 11):
        live_worker(number, types=["PROBE"], queues=["default", "high"])
    read(
        url,
        """
        INSERT INTO jobs (id, type, status, priority, queue, payload, attempts, worker, token, run_at, dispatched_at,
                          created_at, updated_at, started_at)
        SELECT gen_random_uuid(), 'PROBE', status, 'default', 'default', '{}', runs, 1 + n % 10,
               gen_random_uuid(), due, sent, now(), now(), began
        FROM (
            SELECT n, 'running' AS status, 1 AS runs, NULL::timestamptz AS due, now() AS sent, now() AS began
            FROM generate_series(1, 200) AS n
        ) AS running
        """,
    )
    read(
        url,
        """
        INSERT INTO jobs (id, type, status, priority, queue, payload, run_at, dispatched_at, created_at, updated_at)
        SELECT gen_random_uuid(), 'PROBE', status, 'default', 'default', '{}', due, sent, now(), now()
        FROM (
            SELECT 'queued' AS status, NULL::timestamptz AS due, now() - interval '1 s' AS sent
            FROM generate_series(1, %s)
            UNION ALL SELECT 'queued', NULL, now() - interval '1 min' FROM generate_series(1, 20)
            UNION ALL SELECT 'scheduled', now() - interval '1 s', NULL FROM generate_series(1, 20)
            UNION ALL SELECT 'scheduled', now() + interval '1 h', NULL FROM generate_series(1, 200)
        ) AS waiting
        """,
        [queued],
    )
    read(url, "UPDATE workers SET ended_at = now(), died = true WHERE id <= 2")
    read(
        url,
        "INSERT INTO transitions (job_id, event, from_status, to_status, attempt, at)"
        " SELECT id, 'enqueued', NULL, 'queued', 0, created_at FROM jobs",
    )
    with_autocommit("VACUUM (ANALYZE) jobs, transitions, workers")


def with_autocommit(statement: str) -> None:
    database.execute_sql(statement)


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

    for name, cost in many.items():
        print(name, few[name], cost)
    for name, index in INDEXES.items():
        assert index in many[name].scans
    for name, cost in many.items():
        assert "Seq Scan on jobs" not in cost.scans, name
        assert cost.buffers <= 2 * few[name].buffers + 100, name
        assert cost.rows <= 2 * few[name].rows + 100, name
