"""Several keepers at once, and keepers that are killed: what they do is done once, and never by half."""

import random
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest
from peewee import PeeweeException

from jobplatform import journal
from jobplatform.death_watch import DeathWatch
from jobplatform.journal import Claim, Claimed, workers
from jobplatform.keeper import Keeper
from jobplatform.models import database
from jobplatform.settings import Settings
from jobplatform.states import Event
from tests.services.invariants import assert_sound
from tests.services.journal import (
    a_claim,
    claimed_job,
    connected,
    history,
    live_worker,
    new_job,
    open_jobs,
    read,
    settle,
)
from tests.services.patience import eventually

_GATE = 42
_LIMIT = 3
_CUTS = [1, 2, 40, 100, 101, 102, 250, 400, 700, 1_000]


def crew(url: str, number: int, act: Callable[[], None]) -> None:
    """So many threads, each with a connection of its own, do the same thing at the same moment. None may fail."""
    ready = threading.Barrier(number)
    failures: list[BaseException] = []

    def run() -> None:
        with connected(url):
            ready.wait(10)
            try:
                act()
            except BaseException as error:
                failures.append(error)

    threads = [threading.Thread(target=run) for _ in range(number)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []


def die_at_work(url: str, *, dead: int, jobs: int, kinds: int = 4) -> None:
    """So many workers die, each of which ran so many jobs. Their jobs differ in what is to become of them."""
    claims = []
    for worker in range(1, dead + 1):
        live_worker(worker, broker=f"broker {worker}")
        made = [new_job(on_crash="fail" if n % kinds == 1 else "retry") for n in range(jobs)]
        open_jobs(*made)
        claims += [Claim(job.id, "PROBE", a_claim(job.id).token, worker, 2) for job in made]
    journal.commit(claims)
    journal.commit([journal.Cancel(claim.job_id) for claim in claims[2::kinds]])
    read(url, "UPDATE workers SET last_seen_at = now() - interval '10 s' WHERE id <= %s", [dead])
    read(url, "UPDATE workers SET stopping_at = now() WHERE id <= %s AND id %% 3 = 0", [dead])


@pytest.fixture
def _postgres_is_old(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(workers, "seconds_since_postgres_started", lambda: 3_600.0)


@pytest.mark.usefixtures("_postgres_is_old")
def test_several_keepers_see_the_same_deaths_and_record_each_once(journal_url: str) -> None:
    die_at_work(journal_url, dead=12, jobs=40)
    brokers: list[str] = []
    rescued: list[str] = []
    hints: list[str] = []

    def keep() -> None:
        watch = DeathWatch(3_000, 600_000)
        for _ in range(4):
            brokers.extend(watch.look())
            taken, sent = journal.rescue(_LIMIT, most=70)
            rescued.extend(job.job_id for job in taken)
            hints.extend(hint.job_id for hint in sent)

    crew(journal_url, 5, keep)

    assert Counter(brokers) == {f"broker {worker}": 1 for worker in range(1, 13)}
    assert len(rescued) == len(set(rescued)) == 480
    assert len(hints) == len(set(hints)) == 480 - len(read(journal_url, "SELECT 1 FROM jobs WHERE status <> 'queued'"))
    assert sorted(
        read(journal_url, "SELECT event, count(*) FROM transitions WHERE from_status = 'running' GROUP BY 1")
    ) == [
        ("cancel_requested", 120),
        ("cancelled", 120),
        ("failed", 120),
        ("interrupted", 80),
        ("rescued", 160),
    ]


@pytest.mark.usefixtures("_postgres_is_old")
def test_keepers_workers_and_ghosts_at_once_leave_every_history_legal(journal_url: str) -> None:
    """Claims by the living, late outcomes of the dead, and three keepers that take back in between."""
    jobs = [new_job() for _ in range(60)]
    open_jobs(*jobs)
    numbers = iter(range(1, 10_000))
    lock = threading.Lock()
    keeping = threading.Event()
    keeping.set()
    keepers = threading.Thread(
        target=crew, args=[journal_url, 3, lambda: _while(keeping, lambda: journal.rescue(1_000, most=20))]
    )
    keepers.start()

    def work() -> None:
        chance = random.Random(threading.get_ident())  # noqa: S311
        for _ in range(25):
            with lock:
                worker = next(numbers)
            live_worker(worker)
            claims = [Claim(j.id, "PROBE", a_claim(j.id).token, worker, 1_000) for j in chance.sample(jobs, 12)]
            answers, _ = journal.commit(claims)
            mine = [(c, a.attempt) for c, a in zip(claims, answers, strict=True) if isinstance(a, Claimed)]
            database.execute_sql(
                "UPDATE workers SET ended_at = clock_timestamp(), died = true WHERE id = %s", (worker,)
            )
            for claim, attempt in chance.sample(mine, len(mine) // 2):
                settle(claim, chance.choice([Event.INTERRUPTED, Event.RETRY_PLANNED]), attempt)
            journal.release()

    try:
        crew(journal_url, 4, work)
    finally:
        keeping.clear()
        keepers.join()

    assert assert_sound(journal_url) == 60
    told = dict(read(journal_url, "SELECT event, count(*) FROM transitions GROUP BY event"))
    assert told["rescued"] > 50
    assert told["rescued"] == read(journal_url, "SELECT sum(crashes)::int FROM jobs")[0][0]


def _while(keeping: threading.Event, act: Callable[[], object]) -> None:
    while keeping.is_set():
        act()


def test_p2_a_job_that_went_to_a_live_worker_while_a_keeper_looked_is_left_to_it(database_url: str) -> None:
    """The dead worker's own outcome, and then the next claim, come between the keeper's look and its lock."""
    with connected(database_url):
        claim = claimed_job()
        read(database_url, "UPDATE workers SET ended_at = now(), died = true")
        live_worker(8_008)
        # A keeper that collects the last lines of a job stands still there until the gate opens.
        read(
            database_url,
            "ALTER TABLE job_logs RENAME TO lines; CREATE VIEW job_logs AS"
            f" SELECT * FROM lines WHERE (SELECT pg_advisory_lock_shared({_GATE}) IS NOT NULL)",
        )
        rescued: list[object] = []
        database.execute_sql(f"SELECT pg_advisory_lock({_GATE})")
        keeper = threading.Thread(target=crew, args=[database_url, 1, lambda: rescued.append(journal.rescue(_LIMIT))])
        keeper.start()
        eventually(lambda: read(database_url, f"SELECT 1 FROM pg_locks WHERE objid = {_GATE} AND NOT granted"))

        settle(claim, Event.INTERRUPTED)
        (answer,), _ = journal.commit([Claim(claim.job_id, "PROBE", a_claim(claim.job_id).token, 8_008, 2)])
        assert isinstance(answer, Claimed)
        database.execute_sql(f"SELECT pg_advisory_unlock({_GATE})")
        keeper.join()

        assert rescued == [([], [])]
        assert history(database_url, claim.job_id) == ["enqueued", "started", "interrupted", "started"]


@contextmanager
def cut_at_writes(url: str, numbers: list[int]) -> Iterator[None]:
    """Cuts the connection that does the nth write to jobs or transitions, in the middle of its statement."""
    read(url, "CREATE SEQUENCE writes")
    read(
        url,
        f"""CREATE FUNCTION cut() RETURNS trigger LANGUAGE plpgsql AS $$
            BEGIN
                IF nextval('writes') = ANY('{{{",".join(map(str, numbers))}}}') THEN
                    PERFORM pg_terminate_backend(pg_backend_pid()), pg_sleep(60);
                END IF;
                RETURN NEW;
            END $$""",
    )
    read(url, "CREATE TRIGGER cut BEFORE UPDATE ON jobs FOR EACH ROW EXECUTE FUNCTION cut()")
    read(url, "CREATE TRIGGER cut AFTER INSERT ON transitions FOR EACH ROW EXECUTE FUNCTION cut()")
    try:
        yield
    finally:
        read(url, "DROP FUNCTION cut CASCADE")
        read(url, "DROP SEQUENCE writes")


@pytest.mark.usefixtures("_postgres_is_old")
def test_a_keeper_whose_connection_is_cut_in_the_middle_of_a_tick_leaves_nothing_half_done(
    journal_url: str, redis_url: str
) -> None:
    """Cut at the first rows of a statement, within it, and with it done but not committed. Nothing is done twice."""
    die_at_work(journal_url, dead=10, jobs=100)
    open_jobs(*[new_job(delay_ms=1) for _ in range(400)])
    keeper = Keeper(Settings(database_url=journal_url, redis_url=redis_url, keeper_tick=10, output_dir="unused"))
    keeper.tick()  # it signs on; of what is due, one batch is done

    cuts = 0

    def is_done() -> bool:
        nonlocal cuts
        try:
            database.connect(reuse_if_open=True)
            keeper.tick()
        except PeeweeException:
            cuts += 1
            database.close()
        return not read(journal_url, "SELECT 1 FROM jobs WHERE status IN ('running', 'scheduled')")

    with cut_at_writes(journal_url, _CUTS):
        eventually(is_done)

    assert cuts == len(_CUTS)
    ended = "SELECT count(*), count(DISTINCT job_id) FROM transitions WHERE from_status = 'running'"
    assert read(journal_url, f"{ended} AND to_status <> 'running'") == [(1_000, 1_000)]
    assert read(journal_url, "SELECT count(*) FROM transitions WHERE event = 'released'") == [(400,)]
