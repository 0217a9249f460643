"""Worker rows: on record before they are seen, beating while they live, and declared dead once."""

import os
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from typing import Any

import psycopg2
import psycopg2.extensions
import pytest

from jobplatform import journal
from jobplatform.connection import give_up_connection, open_connection
from jobplatform.journal import Cancel, workers
from jobplatform.models import database
from tests.services.journal import WORKER, claimed_job, live_worker, read
from tests.services.patience import eventually

#: Milliseconds without a beat.
SILENCE, FROZEN = 3_000, 600_000


def register() -> int:
    return workers.register("1.0", "a broker", ["high", "default"], ["PROBE"], 4)


def beat(worker: int, *, stopping: bool = False) -> bool:
    return workers.beat(worker, stopping=stopping, memory=1, peak_memory=2)


def silent(url: str, worker: int, seconds: float) -> None:
    """Let it have beaten last so long ago."""
    read(
        url,
        "UPDATE workers SET last_seen_at = clock_timestamp() - %s * interval '1 s' WHERE id = %s",
        [seconds, worker],
    )


def holders(url: str, worker: int) -> list[int]:
    """The backends that hold a worker's lock."""
    found = read(
        url,
        "SELECT pid FROM pg_locks WHERE locktype = 'advisory' AND classid = %s AND objid = %s AND granted",
        [workers.LOCK_SPACE, worker],
    )
    return [pid for (pid,) in found]


def backend() -> int:
    ((pid,),) = database.execute_sql("SELECT pg_backend_pid()").fetchall()
    assert isinstance(pid, int)
    return pid


def end_backend(url: str, pid: int) -> None:
    """As a restart of Postgres, or a cut connection, would."""
    read(url, "SELECT pg_terminate_backend(%s)", [pid])
    eventually(lambda: not read(url, "SELECT 1 FROM pg_stat_activity WHERE pid = %s", [pid]))


def looks(worker: int) -> list[workers.Look]:
    return [look for look in workers.look(SILENCE, FROZEN) if look.worker == worker]


@contextmanager
def lock_of(url: str, worker: int) -> Iterator[psycopg2.extensions.connection]:
    """Somebody else's connection that holds a worker's lock."""
    with closing(psycopg2.connect(url)) as connection, connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_lock(%s, %s)", [workers.LOCK_SPACE, worker])
        yield connection


def test_a_worker_is_on_record_with_what_it_is_and_can_do(journal_url: str) -> None:
    worker = register()

    columns = "pid, version, broker, queues, types, threads, started_at = last_seen_at, stopping_at, ended_at, died"
    ((pid, *row),) = read(journal_url, f"SELECT {columns} FROM workers WHERE id = %s", [worker])
    assert pid == os.getpid()
    assert row[:5] == ["1.0", "a broker", ["high", "default"], ["PROBE"], 4]
    assert row[6:] == [None, None, False]


def test_p17_the_numbers_of_workers_are_never_used_twice(journal_url: str) -> None:
    """Not when the row is gone, and not when its insert was taken back."""
    first = register()
    workers.sign_off(first)
    read(journal_url, "DELETE FROM workers")
    with database.atomic() as transaction:
        taken_back = register()
        transaction.rollback()

    assert first < taken_back < register()


def test_p19_a_worker_holds_its_lock_before_anybody_can_see_it(
    journal_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    execute: Any = database.execute_sql
    seen = []

    def watched(sql: str, *given: Any) -> Any:
        done = execute(sql, *given)
        if "pg_advisory_lock" in sql:
            (worker,) = given[0][1:]
            seen.append(
                (holders(journal_url, worker), read(journal_url, "SELECT 1 FROM workers WHERE id = %s", [worker]))
            )
        return done

    monkeypatch.setattr(database, "execute_sql", watched)

    worker = register()

    assert seen == [([backend()], [])], "the lock is held, the row is not yet to be seen"
    assert [look.lock_is_free for look in looks(worker)] == [False]


def test_p19_the_lock_is_the_workers_own_number_and_no_hash(journal_url: str) -> None:
    worker = register()

    assert read(
        journal_url, "SELECT classid::bigint, objid::bigint, objsubid FROM pg_locks WHERE locktype = 'advisory'"
    ) == [(workers.LOCK_SPACE, worker, 2)]


def test_p19_keepers_look_without_ever_taking_the_lock(journal_url: str) -> None:
    """A second keeper would see "alive" where the first one's look holds the lock."""
    over = threading.Event()
    taken: list[int] = []

    def watch() -> None:
        with closing(psycopg2.connect(journal_url)) as connection, connection.cursor() as cursor:
            while not over.is_set():
                cursor.execute("SELECT count(*) FROM pg_locks WHERE locktype = 'advisory'")
                taken.extend(number for (number,) in cursor.fetchall() if number)

    watcher = threading.Thread(target=watch)
    watcher.start()
    for _ in range(200):
        assert [look.lock_is_free for look in workers.look(SILENCE, FROZEN)] == [True]
        workers.declare_dead([WORKER], SILENCE)
    over.set()
    watcher.join()

    assert taken == []


def test_p19_a_lock_in_another_database_or_of_another_kind_is_none_of_the_workers(
    journal_url: str, database_url: str
) -> None:
    live_worker(4)
    with (
        lock_of(database_url, 4),
        closing(psycopg2.connect(journal_url)) as connection,
        connection.cursor() as cursor,
    ):
        cursor.execute(
            "SELECT pg_advisory_lock(%s), pg_advisory_lock(%s, 5)", [workers.LOCK_SPACE << 32 | 4, workers.LOCK_SPACE]
        )

        assert [look.lock_is_free for look in looks(4)] == [True]


def test_p18_silence_and_frozen_are_told_by_the_databases_clock(journal_url: str) -> None:
    for number, seconds in ((1, 0), (2, 4), (3, 601)):
        live_worker(number)
        silent(journal_url, number, seconds)

    seen = {look.worker: (look.silent, look.frozen) for look in workers.look(SILENCE, FROZEN)}

    assert seen == {WORKER: (False, False), 1: (False, False), 2: (True, False), 3: (True, True)}


def test_who_has_ended_is_not_looked_at(journal_url: str) -> None:
    worker = register()
    workers.sign_off(worker)
    workers.declare_dead([WORKER], 0)

    assert workers.look(SILENCE, FROZEN) == []
    assert read(journal_url, "SELECT id, died FROM workers ORDER BY id") == [(worker, False), (WORKER, True)]


def test_p18_who_beats_between_the_look_and_the_declaration_lives(journal_url: str) -> None:
    worker = register()
    silent(journal_url, worker, 10)
    assert [look.silent for look in looks(worker)] == [True]

    assert beat(worker)

    assert workers.declare_dead([worker], SILENCE) == {}
    silent(journal_url, worker, 10)
    assert workers.declare_dead([worker], SILENCE) == {worker: "a broker"}
    assert workers.declare_dead([worker], SILENCE) == {}, "once"


def test_p17_the_beat_of_a_worker_that_was_declared_dead_says_so_and_changes_nothing(journal_url: str) -> None:
    worker = register()
    silent(journal_url, worker, 10)
    workers.declare_dead([worker], SILENCE)
    before = read(journal_url, "SELECT * FROM workers WHERE id = %s", [worker])

    assert not beat(worker)
    assert not beat(worker, stopping=True)
    workers.sign_off(worker)

    assert read(journal_url, "SELECT * FROM workers WHERE id = %s", [worker]) == before


@pytest.mark.usefixtures("journal_url")
def test_a_beat_without_a_row_says_so() -> None:
    assert not beat(12_345)


def test_a_beat_tells_of_memory(journal_url: str) -> None:
    worker = register()
    ((before,),) = read(journal_url, "SELECT last_seen_at FROM workers WHERE id = %s", [worker])

    assert beat(worker)

    ((seen, *memory),) = read(
        journal_url, "SELECT last_seen_at, memory, peak_memory FROM workers WHERE id = %s", [worker]
    )
    assert seen > before
    assert memory == [1, 2]


def test_p21_the_first_beat_of_a_stopping_worker_sets_the_mark_and_later_ones_leave_it(journal_url: str) -> None:
    worker = register()
    marks = []
    for stopping in (False, True, True):
        beat(worker, stopping=stopping)
        ((mark,),) = read(journal_url, "SELECT stopping_at FROM workers WHERE id = %s", [worker])
        marks.append(mark)

    assert marks[0] is None
    assert marks[1] == marks[2] is not None


def test_p21_a_worker_that_signs_off_was_stopping(journal_url: str) -> None:
    """Even where it ended before its next beat could say so: what it leaves behind was interrupted, not killed."""
    worker = register()

    workers.sign_off(worker)

    assert read(journal_url, "SELECT stopping_at <= ended_at, died FROM workers WHERE id = %s", [worker]) == [
        (True, False)
    ]


def test_p20_a_beat_on_a_new_connection_takes_the_lock_again(journal_url: str) -> None:
    worker = register()
    end_backend(journal_url, lost := backend())
    assert holders(journal_url, worker) == []
    give_up_connection()
    open_connection()

    assert beat(worker)

    assert holders(journal_url, worker) == [backend()]
    assert lost != backend()


def test_p20_a_lock_that_the_lost_connection_still_holds_is_taken_by_a_later_beat(journal_url: str) -> None:
    """Postgres has not yet noticed that the old connection is gone: the beat does not wait for it."""
    live_worker(5)
    with lock_of(journal_url, 5) as old:
        assert beat(5)
        assert holders(journal_url, 5) == [old.info.backend_pid]

    eventually(lambda: beat(5) and holders(journal_url, 5) == [backend()])


def test_p20_beats_do_not_pile_up_locks(journal_url: str) -> None:
    worker = register()
    for _ in range(5):
        beat(worker)

    database.execute_sql("SELECT pg_advisory_unlock(%s, %s)", (workers.LOCK_SPACE, worker))

    assert holders(journal_url, worker) == []


@pytest.mark.usefixtures("journal_url")
def test_p20_postgres_itself_looks_after_a_connection_whose_host_is_gone() -> None:
    """Else the lock of a host that lost its power would be held for hours."""
    seconds = {}
    for name in ("idle", "interval", "count"):
        ((value,),) = database.execute_sql(f"SHOW tcp_keepalives_{name}").fetchall()
        seconds[name] = int(value)

    assert 0 < seconds["idle"] + seconds["interval"] * seconds["count"] <= 15


@pytest.mark.usefixtures("journal_url")
def test_only_what_runs_is_held() -> None:
    claim = claimed_job()
    journal.commit([Cancel(claim.job_id)])

    (held,) = workers.held_by(WORKER)

    assert held == workers.Held(claim.job_id, "PROBE", "default", 1, claim.token, WORKER, cancel_requested=True)
    assert workers.held_by(WORKER + 1) == []
