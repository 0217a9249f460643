"""Group commit, and what it does when Postgres does not answer, answers too late, or refuses."""

import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, ClassVar

import psycopg2
import pytest

from jobplatform.answer import Answer
from jobplatform.errors import DatabaseUnavailable, JobIdTaken, RefusedByDatabase, SchemaMissing
from jobplatform.journal import Claimed, Hint, LogLine, Open, Progress, Settled
from jobplatform.local.postgres import Postgres
from jobplatform.models import connect_to, database
from jobplatform.states import Event
from jobplatform.writer import Writer
from tests.services.journal import (
    a_claim,
    claimed_job,
    column,
    connected,
    history,
    new_job,
    outcome,
    queued_job,
    read,
    settle,
    status,
)
from tests.services.patience import eventually
from tests.services.proxy import Proxy, proxy_before

_WRITERS = "FROM pg_stat_activity WHERE datname = current_database() AND application_name = 'jobplatform'"


@dataclass
class Sent:
    """What a writer sent to Redis."""

    hints: list[Hint] = field(default_factory=list)

    def __call__(self, hints: Sequence[Hint]) -> None:
        self.hints += hints


@contextmanager
def a_writer(send: Any = None) -> Iterator[Writer]:
    writer = Writer(send or Sent())
    try:
        yield writer
    finally:
        assert writer.close(10)


@pytest.fixture
def writer(journal_url: str) -> Iterator[Writer]:  # noqa: ARG001
    with a_writer() as writer:
        yield writer


@pytest.fixture
def proxy(journal_url: str) -> Iterator[Proxy]:
    """What every new connection of the models goes through."""
    with proxy_before(journal_url) as proxy:
        connect_to(proxy.url(journal_url))
        yield proxy
        connect_to(journal_url)


def answer_of(future: "Answer[Any]") -> Any:
    return future.result(15)


def cut_connections(url: str) -> int:
    """End the sessions of every writer; how many there were."""
    return len(read(url, f"SELECT pg_terminate_backend(pid) {_WRITERS}"))


def test_hints_are_sent_after_the_commit_and_before_the_answer(journal_url: str) -> None:
    seen = []

    def send(hints: Sequence[Hint]) -> None:
        seen.append((status(journal_url, hints[0].job_id), asked.done()))

    with a_writer(send) as writer:
        asked: Answer[Any] = Answer()
        asked = writer.put(Open([new_job()]))
        answer_of(asked)

    assert seen == [("queued", False)]


def test_what_gathers_during_a_commit_goes_into_the_next_one(journal_url: str) -> None:
    """While the first commit waits for a row, a hundred items come together."""
    claim = claimed_job()
    with a_writer() as writer:
        with _row_locked(journal_url, claim.job_id):
            first = writer.put(outcome(claim))
            eventually(lambda: read(journal_url, f"SELECT 1 {_WRITERS} AND wait_event_type = 'Lock'"))
            others = [writer.put(Open([new_job()])) for _ in range(100)]
        for future in (first, *others):
            answer_of(future)

    ((commits,),) = read(
        journal_url,
        "SELECT count(DISTINCT xid::text) FROM transitions WHERE event = 'enqueued' AND job_id <> %s",
        [claim.job_id],
    )
    assert commits == 1


@contextmanager
def _row_locked(url: str, job_id: str) -> Iterator[None]:
    connection = psycopg2.connect(url)
    with connection.cursor() as cursor:
        cursor.execute("SELECT 1 FROM jobs WHERE id = %s FOR UPDATE", [job_id])
        yield
    connection.rollback()
    connection.close()


@pytest.mark.parametrize("ending", [None, Event.COMPLETED])
def test_p1_p4_a_claim_and_an_outcome_whose_answer_is_lost_find_their_own_success(
    journal_url: str, proxy: Proxy, ending: Event | None
) -> None:
    claim = a_claim(queued_job())
    with a_writer() as writer:
        proxy.lose_answer_to(claim.token)
        claimed = answer_of(writer.put(claim))
        if ending is not None:
            proxy.lose_answer_to(claim.token)
            assert answer_of(writer.put(outcome(claim, ending))) == Settled(ending)

    assert (type(claimed), claimed.attempt) == (Claimed, 1)
    assert proxy.lost == (1 if ending is None else 2)
    assert history(journal_url, claim.job_id) == ["enqueued", "started", *([ending] if ending else [])]


def test_p4_an_open_whose_answer_is_lost_accepts_its_job_once_and_sends_its_hint(
    journal_url: str, proxy: Proxy
) -> None:
    job, sent = new_job(), Sent()
    with a_writer(sent) as writer:
        proxy.lose_answer_to(job.id)
        (opened,) = answer_of(writer.put(Open([job])))

    assert (proxy.lost, opened.id, opened.status) == (1, job.id, "queued")
    assert [hint.job_id for hint in sent.hints] == [job.id]
    assert history(journal_url, job.id) == ["enqueued"]


def test_p4_a_mixed_batch_whose_commit_gets_no_answer_is_repeated_without_a_double_transition(
    journal_url: str, proxy: Proxy
) -> None:
    ended, started, job, follow_up = claimed_job(), a_claim(queued_job()), new_job(), new_job(type="AFTER")
    with a_writer() as writer:
        proxy.lose_answer_to("COMMIT")
        with _row_locked(journal_url, claimed := claimed_job().job_id):
            first = writer.put(Progress(claimed, 1, a_claim(claimed).token, "{}"))
            eventually(lambda: read(journal_url, f"SELECT 1 {_WRITERS} AND wait_event_type = 'Lock'"))
            asked = [
                writer.put(item)
                for item in (Open([job]), started, outcome(ended, Event.FAILED, follow_ups=[follow_up]))
            ]
        answers = [answer_of(future) for future in (first, *asked)]

    assert proxy.lost == 1
    assert [type(answer) for answer in answers] == [bool, list, Claimed, Settled]
    assert answers[-1] == Settled(Event.FAILED)
    assert history(journal_url, job.id) == history(journal_url, follow_up.id) == ["enqueued"]
    assert history(journal_url, started.job_id) == ["enqueued", "started"]
    assert history(journal_url, ended.job_id) == ["enqueued", "started", "failed"]


def test_p4_a_ghosts_outcome_is_fenced(journal_url: str, writer: Writer) -> None:
    ghost = claimed_job()
    settle(ghost, Event.INTERRUPTED)

    assert answer_of(writer.put(outcome(ghost))) == Settled(Event.FENCED)

    assert history(journal_url, ghost.job_id)[-1] == "fenced"


def test_p4_a_refusal_whose_answer_is_lost_is_told_once(journal_url: str, proxy: Proxy) -> None:
    """The refusal is a transaction of its own, behind the batch's commit; the whole batch is repeated for it."""
    ghost, good, job = claimed_job(), claimed_job(), new_job()
    settle(ghost, Event.INTERRUPTED)
    with a_writer() as writer:
        proxy.lose_answer_to("'outcome'")
        with _row_locked(journal_url, good.job_id):
            first = writer.put(outcome(good))
            eventually(lambda: read(journal_url, f"SELECT 1 {_WRITERS} AND wait_event_type = 'Lock'"))
            asked = [writer.put(item) for item in (outcome(ghost), Open([job]))]
        assert answer_of(first) == Settled(Event.COMPLETED)
        assert answer_of(asked[0]) == Settled(Event.FENCED)
        assert answer_of(asked[1])[0].id == job.id

    assert proxy.lost == 1
    assert history(journal_url, ghost.job_id) == ["enqueued", "started", "interrupted", "fenced"]
    assert history(journal_url, job.id) == ["enqueued"]


def test_p5_a_value_that_the_database_refuses_fails_alone(journal_url: str, writer: Writer) -> None:
    good = [new_job() for _ in range(3)]
    bad = [new_job(payload="no JSON"), new_job(payload="NUL \0"), new_job(payload="[" * 20_000 + "]" * 20_000)]

    futures = [writer.put(Open([job])) for pair in zip(good, bad, strict=True) for job in pair]

    for future in futures[::2]:
        assert answer_of(future)[0].status == "queued"
    for future in futures[1::2]:
        with pytest.raises(RefusedByDatabase):
            answer_of(future)
    assert {i for (i,) in read(journal_url, "SELECT id::text FROM jobs")} == {job.id for job in good}


@pytest.mark.parametrize("result", ["no JSON", '"NUL \0"', "[" * 20_000 + "]" * 20_000], ids=["syntax", "NUL", "depth"])
def test_p5_an_outcome_that_the_database_refuses_fails_its_job_as_unstorable_and_no_other(
    journal_url: str, writer: Writer, result: str
) -> None:
    bad, good = claimed_job(), claimed_job()

    settled, other = writer.put(outcome(bad, result=result, follow_ups=[new_job()])), writer.put(outcome(good))

    assert (answer_of(settled), answer_of(other)) == (Settled(Event.FAILED), Settled(Event.COMPLETED))
    assert column(journal_url, bad.job_id, "error")["kind"] == "unstorable"
    assert history(journal_url, bad.job_id) == ["enqueued", "started", "failed"]
    assert history(journal_url, good.job_id) == ["enqueued", "started", "completed"]
    assert read(journal_url, "SELECT count(*) FROM jobs") == [(2,)], "no follow-up"


def test_p5_a_delay_that_the_database_refuses_fails_its_job_too(journal_url: str, writer: Writer) -> None:
    bad = claimed_job()

    settled = writer.put(outcome(bad, Event.RETRY_PLANNED, delay_ms=10**30))

    assert answer_of(settled) == Settled(Event.FAILED)
    assert column(journal_url, bad.job_id, "error")["kind"] == "unstorable"


def test_p5_an_id_that_is_taken_fails_alone(journal_url: str, writer: Writer) -> None:
    taken, fresh = queued_job(), new_job()

    refused, accepted = writer.put(Open([new_job(id=taken, payload="[]")])), writer.put(Open([fresh]))

    with pytest.raises(JobIdTaken):
        answer_of(refused)
    assert answer_of(accepted)[0].id == fresh.id
    with pytest.raises(JobIdTaken):
        answer_of(writer.put(Open([new_job(), new_job(id=taken, payload="[]")])))
    assert read(journal_url, "SELECT count(*) FROM jobs") == [(2,)]


def test_p5_a_batch_is_repeated_on_a_sound_connection(journal_url: str, writer: Writer) -> None:
    answer_of(writer.put(Open([new_job()])))
    assert cut_connections(journal_url) >= 1

    assert answer_of(writer.put(Open([new_job()])))[0].status == "queued"

    assert read(journal_url, "SELECT count(*) FROM jobs") == [(2,)]


def test_p5_cut_again_and_again_every_item_is_written_once(journal_url: str, writer: Writer) -> None:
    cut = threading.Event()

    def keep_cutting() -> None:
        while not cut.wait(0.02):
            cut_connections(journal_url)

    cutter = threading.Thread(target=keep_cutting)
    cutter.start()
    claims = []
    for _ in range(30):
        claim = a_claim(answer_of(writer.put(Open([new_job()])))[0].id)
        assert answer_of(writer.put(claim)).attempt == 1
        claims.append(claim)
    settled = [answer_of(writer.put(outcome(claim))) for claim in claims]
    cut.set()
    cutter.join()

    assert settled == [Settled(Event.COMPLETED)] * 30
    assert read(journal_url, "SELECT DISTINCT status, attempts FROM jobs") == [("completed", 1)]


def test_p5_what_waits_while_postgres_is_away_is_written_when_it_is_back(
    journal_url: str, writer: Writer, postgres_server: Postgres
) -> None:
    claim = claimed_job()
    answer_of(writer.put(LogLine(claim.job_id, 1, "connected")))
    postgres_server.stop()
    try:
        hurried = writer.put(Open([new_job()], deadline=time.monotonic() + 0.1))
        settled, opened = writer.put(outcome(claim)), writer.put(Open([new_job()]))
        with pytest.raises(DatabaseUnavailable):
            answer_of(hurried)
        assert not settled.done()
    finally:
        postgres_server.start()

    assert answer_of(settled) == Settled(Event.COMPLETED)
    assert answer_of(opened)[0].status == "queued"
    assert read(journal_url, "SELECT count(*) FROM jobs") == [(2,)], "nobody waits for the third any more"


def test_a_missing_schema_is_named(journal_url: str, writer: Writer) -> None:
    read(journal_url, "ALTER TABLE jobs RENAME TO hidden")
    try:
        with pytest.raises(SchemaMissing, match="python -m jobplatform migrate"):
            answer_of(writer.put(Open([new_job()], deadline=time.monotonic() + 0.1)))
    finally:
        read(journal_url, "ALTER TABLE hidden RENAME TO jobs")


def test_p9_every_commit_is_durable_whatever_the_servers_default(journal_url: str) -> None:
    name = journal_url.rpartition("/")[2]
    read(journal_url, f"ALTER DATABASE {name} SET synchronous_commit = off")
    try:
        assert read(journal_url, "SHOW synchronous_commit") == [("off",)]
        assert _session(journal_url, "SHOW synchronous_commit") == "on"
        assert _session(journal_url, "SHOW timezone") == "UTC"
    finally:
        read(journal_url, f"ALTER DATABASE {name} RESET synchronous_commit")


def test_p9_a_server_that_takes_no_writes_is_refused(journal_url: str, writer: Writer) -> None:
    name = journal_url.rpartition("/")[2]
    read(journal_url, f"ALTER DATABASE {name} SET default_transaction_read_only = on")
    try:
        with pytest.raises(DatabaseUnavailable, match="read-only"):
            answer_of(writer.put(Open([new_job()], deadline=time.monotonic() + 0.1)))
    finally:
        read(journal_url, f"BEGIN READ WRITE; ALTER DATABASE {name} RESET default_transaction_read_only; COMMIT")


def _session(url: str, question: str) -> Any:
    answers = []

    def ask() -> None:
        with connected(url):
            answers.append(database.execute_sql(question).fetchone()[0])

    thread = threading.Thread(target=ask)
    thread.start()
    thread.join()
    return answers[0]


@dataclass
class _Poison:
    """An item that kills the thread, as only a fault of the platform's own could."""

    deadline: ClassVar[None] = None
    size: ClassVar[int] = 0

    @property
    def locks(self) -> str:
        raise SystemExit("a fault of our own")

    def rows(self) -> Sequence[tuple[Any, ...]]:
        return ()

    def answer(self, rows: Sequence[tuple[Any, ...]]) -> tuple[Any, list[Hint]]:
        raise NotImplementedError(rows)


def test_p23_if_the_writer_dies_all_who_wait_are_told(journal_url: str) -> None:
    claim = claimed_job()
    writer = Writer(Sent())
    with _row_locked(journal_url, claim.job_id):
        first = writer.put(outcome(claim))
        eventually(lambda: read(journal_url, f"SELECT 1 {_WRITERS} AND wait_event_type = 'Lock'"))
        gathered, deadly, waiting = (writer.put(i) for i in (Open([new_job()]), _Poison(), Open([new_job()])))

    assert answer_of(first) == Settled(Event.COMPLETED)
    for future in (gathered, deadly, waiting):
        with pytest.raises(DatabaseUnavailable, match="died"):
            answer_of(future)
    assert eventually(lambda: writer.died)
