"""Counts are exact at every moment, also while many write."""

import random
import threading
from collections.abc import Iterator
from contextlib import closing
from typing import Any

import psycopg2
import pytest
from peewee import DataError

from jobplatform import journal
from jobplatform.journal import Cancel
from jobplatform.models import database
from jobplatform.queries import counts as counting
from jobplatform.queries import snapshot
from jobplatform.queries.counts import Counts, Kind
from jobplatform.states import Event
from tests.services.journal import claimed_job, queued_job, read, settle


@pytest.fixture
def counts(journal_url: str, monkeypatch: pytest.MonkeyPatch) -> Iterator["Watched"]:
    with closing(Watched(journal_url, monkeypatch)) as watched:
        yield watched


class Watched(Counts):
    """Counts that remember how often all jobs were counted."""

    def __init__(self, url: str, monkeypatch: pytest.MonkeyPatch) -> None:
        super().__init__()
        self.url = url
        self.full = 0
        execute = snapshot.rows

        def watched(sql: str, values: Any = None) -> Any:
            self.full += sql == counting._ALL
            return execute(sql, values)

        monkeypatch.setattr(counting, "rows", watched)

    def truth(self) -> dict[Kind, int]:
        return {Kind(*kind): number for *kind, number in read(self.url, counting._ALL)}

    def close(self) -> None:
        """Nothing to do."""


def test_nothing_is_counted_in_an_empty_table(counts: Watched) -> None:
    assert counts.read() == counts.read() == {}


def test_each_change_is_counted_and_all_jobs_only_once(counts: Watched) -> None:
    waiting = queued_job(queue="high")
    assert counts.read() == {("PROBE", "high", "queued"): 1}

    claim = claimed_job(type="PROBE")
    journal.commit([Cancel(waiting)])
    queued_job(type="OTHER")
    assert counts.read() == {
        ("PROBE", "high", "cancelled"): 1,
        ("PROBE", "default", "running"): 1,
        ("OTHER", "default", "queued"): 1,
    }
    settle(claim, Event.FAILED)
    assert counts.read() == counts.truth()
    assert counts.full == 1


def test_what_is_not_committed_yet_counts_when_it_is(counts: Watched) -> None:
    queued_job()
    with closing(psycopg2.connect(counts.url)) as open_one, open_one.cursor() as cursor:
        cursor.execute("SELECT pg_current_xact_id()")  # older than all that follows
        assert counts.read() == {("PROBE", "default", "queued"): 1}
        queued_job()
        assert counts.read() == {("PROBE", "default", "queued"): 2}
        cursor.execute(
            "INSERT INTO jobs (id, type, status, priority, queue, payload, dispatched_at, created_at, updated_at)"
            " VALUES (gen_random_uuid(), 'LATE', 'queued', 'high', 'high', '{}', now(), now(), now()) RETURNING id"
        )
        cursor.execute(
            "INSERT INTO transitions (job_id, event, to_status, attempt, at)"
            " VALUES (%s, 'enqueued', 'queued', 0, now())",
            cursor.fetchone(),
        )
        assert counts.read() == {("PROBE", "default", "queued"): 2}
        open_one.commit()

    assert counts.read() == {("PROBE", "default", "queued"): 2, ("LATE", "high", "queued"): 1}
    assert counts.full == 1


def test_too_much_news_makes_a_new_count(counts: Watched) -> None:
    queued_job()
    counts.read()
    counts._most_news = 5
    for _ in range(4):
        queued_job()
    assert counts.read() == counts.truth()
    assert counts.full == 1
    for _ in range(5):
        queued_job()

    assert counts.read() == counts.truth()
    assert counts.full == 2


def test_a_full_count_that_fails_leaves_the_one_before_as_it_was(
    counts: Watched, monkeypatch: pytest.MonkeyPatch
) -> None:
    queued_job()
    counts.read()
    queued_job()
    with monkeypatch.context() as patched:
        patched.setattr(counting, "_ALL", "SELECT 1 / 0, count(*) FROM jobs")
        counts._until, until = 0.0, counts._until
        with pytest.raises(DataError, match="division by zero"):
            counts.read()
    counts._until = until

    assert counts.read() == counts.truth()
    assert counts.full == 2


def test_counts_are_exact_while_writers_race(counts: Watched) -> None:
    stop = threading.Event()
    wrong: list[Any] = []

    def live() -> None:
        try:
            while not stop.is_set():
                claim = claimed_job()
                settle(claim, random.choice((Event.FAILED, Event.COMPLETED)))  # noqa: S311
                journal.commit([Cancel(queued_job(queue="high")), Cancel(queued_job())])
        except Exception as error:
            wrong.append(error)
        finally:
            database.close()

    writers = [threading.Thread(target=live) for _ in range(3)]
    for writer in writers:
        writer.start()
    checked = 0
    try:
        while checked < 60:
            # No writer stands still, so what was true lies between two looks; each number of ended jobs only grows.
            before, counted, after = counts.truth(), counts.read(), counts.truth()
            for status in ("completed", "failed", "cancelled"):
                kind = Kind("PROBE", "default", status)
                low, number, high = (numbers.get(kind, 0) for numbers in (before, counted, after))
                assert low <= number <= high
            checked += 1
    finally:
        stop.set()
        for writer in writers:
            writer.join(20)

    assert wrong == []
    assert counts.read() == counts.truth()
    assert counts.truth().keys() >= {("PROBE", "default", "completed"), ("PROBE", "default", "failed")}
    assert counts.full == 1
