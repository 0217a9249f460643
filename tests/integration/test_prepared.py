"""Prepared queries: once for each connection, with values of any kind, and with plans that fit tables that grow."""

import time
from collections.abc import Callable

import pytest
from peewee import SQL, Value

from jobplatform import journal
from jobplatform.connection import give_up_connection, open_connection
from jobplatform.journal import claim
from jobplatform.models import Job, database
from jobplatform.prepared import Prepared
from jobplatform.query import Parameter, Query
from tests.services.journal import a_claim, queued_job, read

#: As many as a statement takes by a prepared plan.
FEW = 64


def counted() -> int:
    """How many queries the connection has prepared."""
    ((number,),) = database.execute_sql("SELECT count(*) FROM pg_prepared_statements").fetchall()
    return int(number)


def plan_of(act: Callable[[], object]) -> str:
    """What Postgres says of the plans that it executes."""
    database.execute_sql("LOAD 'auto_explain'; SET auto_explain.log_min_duration = 0; SET client_min_messages = log")
    database.connection().notices.clear()
    act()
    return "\n".join(database.connection().notices)


def echo() -> Prepared:
    """A query that gives back its two values, and one of its own."""
    given = [SQL("%s::text", [Parameter("text")]), Value("50 % of it's own", converter=False)]
    return Prepared(Query(Job.select(*given, SQL("%s::bigint", [Parameter("number")])).from_(SQL("(SELECT 1) AS one"))))


@pytest.mark.usefixtures("journal_url")
def test_values_come_to_their_places_whatever_they_are() -> None:
    query = echo()

    for text in ("plain", "it's", "100 %", "%s", "back\\slash", "", None, "é\n\u2028"):
        assert query.execute({"number": 7, "text": text}) == [(text, "50 % of it's own", 7)]


@pytest.mark.usefixtures("journal_url")
def test_a_connection_prepares_a_query_once_and_the_next_one_again() -> None:
    query = echo()
    before = counted()
    for number in range(3):
        query.execute({"number": number, "text": "x"})
    assert counted() == before + 1

    give_up_connection()
    open_connection()

    assert counted() == 0
    assert query.execute({"number": 1, "text": "x"}) == [("x", "50 % of it's own", 1)]
    assert counted() == 1


@pytest.mark.usefixtures("journal_url")
def test_what_was_prepared_outlasts_a_transaction_that_was_taken_back() -> None:
    query = echo()
    database.execute_sql("BEGIN")
    query.execute({"number": 1, "text": "x"})
    database.execute_sql("ROLLBACK")

    assert query.execute({"number": 2, "text": "x"}, after="BEGIN;")[0][2] == 2
    database.execute_sql("COMMIT")


def test_a_plan_for_empty_tables_gives_way_when_they_have_grown(
    journal_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    claims = [a_claim(queued_job()) for _ in range(FEW)]
    now = time.monotonic()
    monkeypatch.setattr("jobplatform.prepared.time.monotonic", lambda: now)
    read(journal_url, "TRUNCATE jobs, transitions; ANALYZE jobs, transitions")
    early = plan_of(lambda: journal.commit(claims))
    read(
        journal_url,
        """
        INSERT INTO jobs (id, type, status, priority, queue, payload, dispatched_at, created_at, updated_at)
        SELECT gen_random_uuid(), 'PROBE', 'queued', 'default', 'default', '{}', now(), now(), now()
        FROM generate_series(1, 20000)
        """,
    )
    now += 1.1

    late = plan_of(lambda: journal.commit(claims))
    read(journal_url, "TRUNCATE jobs, transitions")  # these had no life

    assert "Seq Scan on jobs" in early
    assert "Seq Scan on jobs" not in late
    assert "jobs_pkey" in late


@pytest.mark.usefixtures("journal_url")
def test_many_items_have_a_plan_of_their_own() -> None:
    """The plan for any number compares each with each."""
    few = [a_claim(queued_job()).rows()[0] for _ in range(FEW)]
    many = [*few, a_claim(queued_job()).rows()[0]]

    assert "Query Text: PREPARE" in plan_of(lambda: claim.STATEMENT.execute(few))
    assert "PREPARE" not in plan_of(lambda: claim.STATEMENT.execute(many))
