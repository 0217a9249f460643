"""Tallies: equal to a plain count over the transitions, whoever adds up, and whenever what becomes visible."""

import random
import threading
from collections import Counter
from collections.abc import Callable
from contextlib import closing
from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg2
import pytest

from jobplatform import journal
from jobplatform.histogram import ERROR, range_of
from jobplatform.journal import Cancel, Claimed, Resubmit
from jobplatform.journal.tallies import ENDS, Cell, summed
from jobplatform.models import database
from jobplatform.queries import tallies
from jobplatform.spans import KEPT
from jobplatform.states import Event
from tests.services.crowd import Crowd
from tests.services.journal import a_claim, claimed_job, new_job, open_jobs, read, settle
from tests.services.patience import eventually

#: What ends a job or an attempt, by minute; counted one by one.
_PLAIN = """
    SELECT j.type, j.queue, date_trunc('minute', t.at), t.event, count(*)
    FROM transitions AS t JOIN jobs AS j ON j.id = t.job_id
    WHERE t.event = ANY(%s) GROUP BY 1, 2, 3, 4
"""
#: By each attempt's own transitions.
_PLAIN_TIMES = """
    SELECT extract(epoch FROM s.at - (
               SELECT q.at FROM transitions AS q WHERE q.job_id = e.job_id AND q.id < s.id AND q.to_status = 'queued'
                 AND q.event <> 'resent' ORDER BY q.id DESC LIMIT 1))::float8 * 1000,
           CASE WHEN e.event NOT IN ('rescued', 'interrupted')
                THEN extract(epoch FROM e.at - s.at)::float8 * 1000 END
    FROM transitions AS e
    JOIN transitions AS s ON s.job_id = e.job_id AND s.attempt = e.attempt AND s.event = 'started'
    WHERE e.from_status = 'running' AND e.to_status <> 'running'
"""
_ALL = tallies.RANGES["1h"]


def plain(url: str) -> Counter[tuple[Any, ...]]:
    return Counter({tuple(kind): number for *kind, number in read(url, _PLAIN, [list(map(str, ENDS))])})


def tallied(url: str, span: int = 1) -> Counter[tuple[Any, ...]]:
    names = ", ".join(ENDS)
    found = read(url, f"SELECT type, queue, at, {names} FROM tallies WHERE span = {span} AND type <> ''")
    return Counter({(*row[:3], str(event)): n for row in found for event, n in zip(ENDS, row[3:], strict=True) if n})


def times_in(histograms: list[list[int]]) -> Counter[int]:
    counted: Counter[int] = Counter()
    for counts in histograms:
        counted.update({place: number for place, number in enumerate(counts) if number})
    return counted


def add_all(most: int = 1_000) -> int:
    """Add up until nothing is left. Returns the number of bites."""
    bites = 1
    while journal.add_up(most, pause=0):
        bites += 1
    return bites


def assert_exact(url: str) -> None:
    """All of it was added up, once, in each span and for all types together."""
    expected = plain(url)
    assert expected
    assert tallied(url) == expected
    quarters: Counter[tuple[Any, ...]] = Counter()
    for (kind, queue, at, event), number in expected.items():
        quarters[kind, queue, at.replace(minute=at.minute // 15 * 15), event] += number
    assert tallied(url, 15) == quarters
    for span in KEPT:
        ((alone, together),) = read(
            url,
            "SELECT sum(completed + retry_planned) FILTER (WHERE type <> ''), sum(completed + retry_planned)"
            f" FILTER (WHERE type = '') FROM tallies WHERE span = {span}",
        )
        assert alone == together
    times = [(range_of(wait), run if run is None else range_of(run)) for wait, run in read(url, _PLAIN_TIMES)]
    ((waits, runs),) = read(url, "SELECT json_agg(waits), json_agg(runs) FROM tallies WHERE span = 1 AND type = ''")
    assert times_in(waits) == Counter(wait for wait, _ in times)
    assert times_in(runs) == Counter(run for _, run in times if run is not None)


def live_a_little(chance: random.Random) -> None:
    """Some jobs, each with a life of its own."""
    for _ in range(8):
        kind, queue = chance.choice(["PROBE", "OTHER"]), chance.choice(["default", "high"])
        job = new_job(type=kind, queue=queue, delay_ms=chance.choice([None, None, 0]))
        open_jobs(job)
        for attempt in range(1, 4):
            journal.release()
            if chance.random() < 0.1:
                journal.commit([Cancel(job.id)])
                journal.commit([Resubmit(job.id)])
            if chance.random() < 0.2:
                journal.resend(queue, datetime.now(UTC), 0)
            claim = a_claim(job.id)
            claim.type = kind
            ((answer,), _) = journal.commit([claim])
            if not isinstance(answer, Claimed):
                break
            events = [Event.COMPLETED, Event.FAILED, Event.RETRY_PLANNED, Event.INTERRUPTED]
            event = chance.choice(events[:2] if attempt == 3 else events)
            settle(claim, event, answer.attempt)
            if event in (Event.COMPLETED, Event.FAILED):
                break


def test_lives_of_all_kinds_are_added_up_exactly_bite_by_bite(journal_url: str) -> None:
    chance = random.Random(7)  # noqa: S311
    for _ in range(6):
        live_a_little(chance)
        add_all(most=20)

    assert_exact(journal_url)


def test_what_happened_long_ago_is_read_from_the_transitions(journal_url: str) -> None:
    """When the turn of an attempt comes late, its job has had others since."""
    for seed in range(6):
        live_a_little(random.Random(seed))  # noqa: S311

    assert add_all(most=7) > 20
    assert_exact(journal_url)
    assert add_all() == 1
    assert_exact(journal_url)


def test_several_keepers_add_up_beside_concurrent_commits_and_nothing_is_added_twice(journal_url: str) -> None:
    over = threading.Event()
    live, keep = Crowd(journal_url), Crowd(journal_url)
    keep.add(3, lambda chance: journal.add_up(chance.randrange(1, 30), pause=0), until=lambda _: over.is_set())
    live.add(3, live_a_little, until=lambda done: done == 4)
    live.join()
    over.set()
    keep.join()
    add_all()

    assert_exact(journal_url)


def test_what_commits_late_is_added_when_it_is_seen(journal_url: str) -> None:
    """A transaction that began first and ends last has the lower number: nobody may pass it."""
    early, late = claimed_job(), claimed_job()
    add_all()
    with closing(psycopg2.connect(journal_url)) as slow, slow.cursor() as cursor:
        cursor.execute("SELECT pg_current_xact_id()")
        settle(late)
        add_all()
        assert tallied(journal_url) == Counter()
        assert tallies.window(_ALL).behind > 0
        cursor.execute(
            "UPDATE jobs SET status = 'completed', finished_at = now(), worker = NULL, token = NULL, updated_at = now()"
            " WHERE id = %s",
            [early.job_id],
        )
        cursor.execute(
            "INSERT INTO transitions (job_id, event, from_status, to_status, attempt, at)"
            " VALUES (%s, 'completed', 'running', 'completed', 1, now())",
            [early.job_id],
        )
        slow.commit()
    add_all()

    assert_exact(journal_url)
    assert sum(plain(journal_url).values()) == 2
    assert tallies.window(_ALL).behind == 0


def test_who_dies_while_adding_up_has_added_nothing(journal_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for _ in range(5):
        settle(claimed_job())
    execute: Any = database.execute_sql

    def die_at(words: str) -> Callable[..., Any]:
        def dying(sql: str, *rest: Any) -> Any:
            found = execute(sql, *rest)
            if words in sql:
                database.connection().close()
            return found

        return dying

    for words in ("FOR UPDATE OF p", "INSERT INTO tallies", "UPDATE tally_position"):
        monkeypatch.setattr(database, "execute_sql", die_at(words))
        with pytest.raises(Exception, match="closed"):
            journal.add_up(4, pause=0)
        monkeypatch.undo()
        database.close()
        database.connect()
        assert tallied(journal_url) == Counter()
    add_all(most=4)

    assert_exact(journal_url)


def test_while_one_adds_up_another_does_nothing(journal_url: str) -> None:
    settle(claimed_job())
    with closing(psycopg2.connect(journal_url)) as other, other.cursor() as cursor:
        cursor.execute("SELECT 1 FROM tally_position FOR UPDATE")
        assert not journal.add_up(1, pause=0)
        assert tallied(journal_url) == Counter()
        other.rollback()

    eventually(lambda: journal.add_up(1, pause=0), what="its turn, when the other one is done")


def test_nobody_looks_again_so_soon_after_nothing_was_left(journal_url: str) -> None:
    settle(claimed_job())
    add_all()
    settle(claimed_job())

    journal.add_up(pause=60)
    assert sum(tallied(journal_url).values()) == 1

    journal.add_up(pause=0)
    assert_exact(journal_url)


def test_an_idle_look_writes_nothing(journal_url: str) -> None:
    settle(claimed_job())
    add_all()
    place = "SELECT ctid::text, xmin::text FROM tally_position"
    before = read(journal_url, place)

    assert not journal.add_up(pause=0)

    assert read(journal_url, place) == before


def test_a_job_that_was_deleted_is_passed_over(journal_url: str) -> None:
    claim, other = claimed_job(), claimed_job()
    settle(claim)
    settle(other)
    read(journal_url, "DELETE FROM jobs WHERE id = %s", [claim.job_id])

    add_all()

    assert sum(tallied(journal_url).values()) == 1
    read(journal_url, "DELETE FROM transitions WHERE job_id = %s", [claim.job_id])


def test_tallies_that_are_old_are_deleted_a_batch_at_a_time(journal_url: str) -> None:
    zeros = ", ".join(["0"] * len(ENDS))
    read(
        journal_url,
        f"INSERT INTO tallies SELECT span, '', date_trunc('minute', now()) - ago * interval '1 hour', 'high', {zeros},"
        " '{}', '{}' FROM unnest('{1,15}'::int[]) AS span, unnest('{1,7,9,48,799,801}'::int[]) AS ago",
    )

    assert [journal.forget_tallies(2) for _ in range(3)] == [4, 2, 0]

    kept = "SELECT span, count(*) FROM tallies GROUP BY span ORDER BY span"
    assert read(journal_url, kept) == [(1, 2), (15, 4)]


def test_what_is_no_longer_kept_is_not_added() -> None:
    now = datetime(2026, 11, 30, 12, 7, tzinfo=UTC)

    def cell(ago: timedelta) -> Cell:
        return Cell("PROBE", "high", int((now - ago).timestamp() // 60), "completed", 3, None, 2)

    spans = [{key.span for key in summed([cell(ago)], now)} for ago in (timedelta(), timedelta(1), timedelta(40))]

    assert spans == [{1, 15}, {15}, set()]


def test_a_window_has_every_step_and_its_sums_and_percentiles(journal_url: str) -> None:
    for _ in range(3):
        settle(claimed_job())
    settle(claimed_job(queue="high"), Event.FAILED)
    add_all()

    for choice in tallies.RANGES.values():
        window = tallies.window(choice)

        assert len(window.steps) == choice.minutes // choice.step
        gaps = {later[0] - earlier[0] for earlier, later in zip(window.steps, window.steps[1:], strict=False)}
        assert gaps == {timedelta(minutes=choice.step)}
        assert window.steps[-1][0] <= window.now < window.steps[-1][0] + timedelta(minutes=choice.step)
        assert sum(sums.completed for _, sums in window.steps) == 3
        assert sum(sums.failed for _, sums in window.steps) == 1
        assert sum(sums.finished for _, sums in tallies.window(choice, "PROBE", "high").steps) == 1
        assert sum(sums.finished for _, sums in tallies.window(choice, "OTHER").steps) == 0
        assert {name: sums.finished for name, sums in tallies.by_queue(choice).items()} == {"default": 3, "high": 1}
        (whole,) = tallies.by_type(choice).values()
        exact = sorted(run / 1_000 for _, run in read(journal_url, _PLAIN_TIMES))
        assert max(exact[-1], 0.001) / ERROR / 1.001 <= (whole.run(1.0) or 0) <= max(exact[-1], 0.001) * ERROR * 1.001
        assert (whole.wait(0.5) or 0) > 0


def test_a_bite_costs_as_much_however_many_jobs_there_are(journal_url: str) -> None:
    """Its transitions are found by their order and its jobs by their ids."""
    read(
        journal_url,
        """
        INSERT INTO jobs (id, type, status, priority, queue, payload, created_at, updated_at, finished_at)
        SELECT gen_random_uuid(), 'PROBE', 'cancelled', 'default', 'default', '{}', now(), now(), now()
        FROM generate_series(1, 10000);
        INSERT INTO transitions (job_id, event, from_status, to_status, attempt, at)
        SELECT id, 'cancelled', 'queued', 'cancelled', 0, now() FROM jobs;
        ANALYZE jobs, transitions
        """,
    )
    database.execute_sql("LOAD 'auto_explain'")
    for setting, value in (("log_min_duration", "0"), ("log_analyze", "on")):
        database.execute_sql(f"SET auto_explain.{setting} = {value}")
    database.execute_sql("SET client_min_messages = log")
    database.connection().notices.clear()

    assert journal.add_up(1_000, pause=0)

    plan = "\n".join(database.connection().notices)
    assert "jobs_pkey" in plan
    assert "transitions_in_order" in plan
    assert "Seq Scan on jobs" not in plan
    assert "Seq Scan on transitions" not in plan
    read(journal_url, "TRUNCATE jobs, transitions")  # these rows had no life
