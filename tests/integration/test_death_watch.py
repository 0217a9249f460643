"""The death watch: two looks at a free lock, and silence; and when looks do not count (P18)."""

import os
import tempfile
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from signal import SIGKILL

import psycopg2
import pytest
from peewee import OperationalError

from jobplatform.connection import open_connection
from jobplatform.death_watch import GRACE, DeathWatch
from jobplatform.journal import workers
from jobplatform.local.ports import free_port
from jobplatform.local.postgres import Postgres
from jobplatform.models import connect_to, database
from tests.services.journal import WORKER, live_worker, read
from tests.services.patience import eventually

SILENCE, FROZEN = 3_000, 60_000


class Clock:
    """A clock that stands still until it is moved. Seconds."""

    def __init__(self) -> None:
        self.now = 1_000.0

    def __call__(self) -> float:
        return self.now


class Watched:
    """A death watch over one worker, which can be cut off, and can fall silent."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.clock = Clock()
        self.watch = self.another()
        live_worker(WORKER)

    def another(self) -> DeathWatch:
        return DeathWatch(SILENCE, FROZEN, self.clock)

    def silent(self, seconds: float, worker: int = WORKER) -> None:
        read(
            self.url,
            "UPDATE workers SET last_seen_at = clock_timestamp() - %s * interval '1 s' WHERE id = %s",
            [seconds, worker],
        )

    @contextmanager
    def locked(self, worker: int = WORKER) -> Iterator[None]:
        with closing(psycopg2.connect(self.url)) as connection, connection.cursor() as cursor:
            cursor.execute("SELECT pg_advisory_lock(%s, %s)", [workers.LOCK_SPACE, worker])
            yield

    def dead(self) -> list[int]:
        return [number for (number,) in read(self.url, "SELECT id FROM workers WHERE died ORDER BY id")]


@pytest.fixture
def watched(journal_url: str, monkeypatch: pytest.MonkeyPatch) -> Watched:
    """Postgres has been up for an hour, unless a test says otherwise."""
    monkeypatch.setattr(workers, "seconds_since_postgres_started", lambda: 3_600.0)
    return Watched(journal_url)


def test_p18_two_looks_at_a_free_lock_and_silence_make_a_death(watched: Watched) -> None:
    watched.silent(4)

    assert watched.watch.look() == []
    assert watched.watch.look() == ["none"], "the broker's name of the dead worker"
    assert watched.dead() == [WORKER]
    assert watched.watch.look() == [], "once"


def test_p18_no_death_without_a_free_lock(watched: Watched) -> None:
    """A worker that is so busy that it cannot beat has its lock all the same."""
    watched.silent(59)
    with watched.locked():
        assert [watched.watch.look() for _ in range(5)] == [[]] * 5

    assert watched.dead() == []


def test_p18_no_death_without_silence(watched: Watched) -> None:
    """A worker whose lifeline was cut beats again before it has its lock."""
    for _ in range(5):
        watched.silent(2.5)
        assert watched.watch.look() == []

    assert watched.dead() == []


def test_p18_silence_need_not_have_begun_at_the_first_look(watched: Watched) -> None:
    watched.watch.look()
    watched.silent(4)

    assert watched.watch.look() == ["none"]


def test_p18_two_looks_in_a_row(watched: Watched) -> None:
    """Between two looks at a free lock the worker had it again."""
    watched.silent(4)
    for _ in range(3):
        assert watched.watch.look() == []
        with watched.locked():
            assert watched.watch.look() == []

    assert watched.dead() == []


def test_p18_each_worker_has_two_looks_of_its_own(watched: Watched) -> None:
    watched.silent(4)
    watched.watch.look()
    live_worker(8_008, broker="another")
    watched.silent(4, 8_008)

    assert watched.watch.look() == ["none"]
    assert watched.watch.look() == ["another"]


def test_p18_another_keepers_look_does_not_count(watched: Watched) -> None:
    watched.silent(4)
    other = watched.another()

    assert watched.watch.look() == []
    assert other.look() == []
    assert other.look() == ["none"]
    assert watched.watch.look() == [], "and a death is declared once"


def test_p18_who_is_without_a_beat_for_too_long_is_frozen_though_it_has_its_lock(watched: Watched) -> None:
    with watched.locked():
        watched.silent(59)
        assert watched.watch.look() == []
        watched.silent(61)
        assert watched.watch.look() == [], "the machine may have slept, and the worker has not had time to beat"
        watched.clock.now += SILENCE / 1000

        assert watched.watch.look() == ["none"]

    assert watched.dead() == [WORKER]


def test_p18_a_worker_that_has_ended_by_itself_does_not_die(watched: Watched) -> None:
    workers.sign_off(WORKER)
    watched.silent(100)

    assert [watched.watch.look() for _ in range(3)] == [[]] * 3
    assert watched.dead() == []


@pytest.mark.parametrize("silence", [4, 100], ids=["dead", "frozen"])
def test_p18_looks_do_not_count_soon_after_postgres_start(
    watched: Watched, monkeypatch: pytest.MonkeyPatch, silence: float
) -> None:
    """All locks are free then, and nobody could beat."""
    watched.silent(silence)
    monkeypatch.setattr(workers, "seconds_since_postgres_started", lambda: GRACE - 0.1)
    assert [watched.watch.look() for _ in range(5)] == [[]] * 5

    monkeypatch.setattr(workers, "seconds_since_postgres_started", lambda: GRACE)
    looks = [watched.watch.look() for _ in range(2)]

    assert looks == [[], ["none"]]


def test_p18_a_restart_of_postgres_takes_back_the_look_before_it(
    watched: Watched, monkeypatch: pytest.MonkeyPatch
) -> None:
    watched.silent(4)
    watched.watch.look()
    monkeypatch.setattr(workers, "seconds_since_postgres_started", lambda: 1.0)
    watched.watch.look()
    monkeypatch.setattr(workers, "seconds_since_postgres_started", lambda: GRACE)

    assert watched.watch.look() == []


def test_p18_postgres_says_when_it_started(journal_url: str) -> None:
    ((earlier,),) = read(journal_url, "SELECT extract(epoch FROM now() - pg_postmaster_start_time())::float8")

    assert 0 < workers.seconds_since_postgres_started() < earlier + 60


@pytest.fixture
def own_postgres() -> Iterator[Postgres]:
    """A server that no other test has to do with."""
    with tempfile.TemporaryDirectory(prefix="jobplatform-tests-") as folder:
        Path(folder).chmod(0o711)
        server = Postgres(Path(folder) / "postgres", free_port(), on_line=lambda _: None)
        server.start()
        try:
            yield server
        finally:
            server.stop()


def test_p18_a_crash_of_one_of_its_processes_counts_as_a_start_of_postgres(own_postgres: Postgres) -> None:
    """A keeper that is new then has lost no connection, and would find all workers without a lock."""
    connect_to(own_postgres.url("postgres"))
    try:
        open_connection()
        eventually(lambda: workers.seconds_since_postgres_started() > 1)
        ((process,),) = database.execute_sql("SELECT pg_backend_pid()").fetchall()
        os.kill(process, SIGKILL)
        database.close()

        eventually(_connects, what="Postgres, after its recovery")
        ((up,),) = database.execute_sql("SELECT extract(epoch FROM now() - pg_postmaster_start_time())::float8")
        assert workers.seconds_since_postgres_started() < up - 1
    finally:
        database.close()


def _connects() -> bool:
    with suppress(OperationalError):
        open_connection()
    return not database.is_closed()


@pytest.mark.parametrize("silence", [4, 100], ids=["dead", "frozen"])
def test_p18_looks_do_not_count_soon_after_the_keeper_was_cut_off(watched: Watched, silence: float) -> None:
    """Whoever was cut off with it gets the same time to return."""
    watched.silent(silence)
    watched.watch.connection_was_lost()

    for _ in range(5):
        assert watched.watch.look() == []
        watched.clock.now += GRACE / 5 - 0.01
    assert watched.dead() == []

    watched.clock.now += 0.06
    looks = [watched.watch.look() for _ in range(2)]
    assert looks == [[], ["none"]]


def test_p18_the_cut_takes_back_the_look_before_it(watched: Watched) -> None:
    watched.silent(4)
    watched.watch.look()
    watched.watch.connection_was_lost()
    watched.clock.now += GRACE

    assert watched.watch.look() == []
    assert watched.watch.look() == ["none"]


def test_p18_each_cut_begins_the_grace_anew(watched: Watched) -> None:
    watched.silent(4)
    for _ in range(3):
        watched.watch.connection_was_lost()
        watched.clock.now += GRACE - 1
        assert [watched.watch.look() for _ in range(2)] == [[], []]


def test_many_workers_die_at_once(watched: Watched) -> None:
    for number in range(1, 101):
        live_worker(number, broker=f"broker {number}")
    read(watched.url, "UPDATE workers SET last_seen_at = now() - interval '4 s' WHERE id <> %s", [WORKER])

    assert watched.watch.look() == []
    assert sorted(watched.watch.look()) == sorted(f"broker {number}" for number in range(1, 101))
    assert WORKER not in watched.dead()
