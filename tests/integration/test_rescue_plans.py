"""What a keeper's tick costs: the same with 200,000 jobs that wait as with 200, by its indexes."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import pytest

from jobplatform import journal
from jobplatform.journal import workers
from jobplatform.models import database
from jobplatform.query import IN_ORDER
from tests.services.journal import read
from tests.services.waiting_jobs import Analyzed, fill

#: Which index each statement must find its jobs by.
INDEXES = {"release": "jobs_due", "next_due": "jobs_due", "resend": "jobs_waiting", "rescue": "jobs_held"}


@dataclass
class Cost:
    """Of one statement, as Postgres executed it."""

    buffers: int
    #: That its scans of jobs went through, those that they threw away included.
    rows: int
    scans: set[str]


def cost_of(act: Callable[[], object], monkeypatch: pytest.MonkeyPatch) -> Cost:
    """Execute it, explained; take back what it did."""
    execute: Any = database.execute_sql
    plans: list[dict[str, Any]] = []

    def explained(sql: str, values: Any = None) -> Any:
        before, setting, query = sql.rpartition(IN_ORDER)
        if query.split(None, 1)[0] in ("SELECT", "WITH"):
            execute("SAVEPOINT unexplained")
            explain = f"{before}{setting}EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) {query}"
            ((((plan,),)),) = execute(explain, values).fetchall()
            plans.append(plan["Plan"])
            execute("ROLLBACK TO unexplained")
        return execute(sql, values)

    with monkeypatch.context() as patch, database.atomic() as transaction:
        patch.setattr(database, "execute_sql", explained)
        act()
        transaction.rollback()
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


def costs(url: str, waiting: int, analyzed: Analyzed, monkeypatch: pytest.MonkeyPatch) -> dict[str, Cost]:
    fill(url, waiting, analyzed)
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


@pytest.mark.parametrize("analyzed", Analyzed)
def test_a_tick_costs_the_same_with_200_000_jobs_that_wait_as_with_200(
    journal_url: str, analyzed: Analyzed, monkeypatch: pytest.MonkeyPatch
) -> None:
    few = costs(journal_url, 200, analyzed, monkeypatch)
    many = costs(journal_url, 200_000, analyzed, monkeypatch)

    for name, index in INDEXES.items():
        assert analyzed is Analyzed.WHEN_NONE_WAITED or index in many[name].scans, name
    for name, cost in many.items():
        assert "Seq Scan on jobs" not in cost.scans, name
        assert cost.buffers <= 2 * few[name].buffers + 100, name
        assert cost.rows <= 2 * few[name].rows + 100, name
