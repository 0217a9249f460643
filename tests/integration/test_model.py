"""The journal against a model: whatever comes in whatever order, the row is what the model says, and so is its history.

The same examples every time. With ``--hypothesis-seed=N`` others, those of that seed; a failure prints its steps.
"""

import json
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing
from typing import Any
from uuid import uuid4

import psycopg2
import psycopg2.extras
import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from jobplatform import journal
from jobplatform.errors import JobIdTaken
from jobplatform.journal import (
    Cancel,
    Claim,
    Claimed,
    Hint,
    Item,
    Open,
    Progress,
    Resubmit,
    Settle,
    workers,
)
from jobplatform.journal.hint import stamp_of
from jobplatform.journal.settle import OUTCOMES
from jobplatform.states import Event, Status
from tests.services.invariants import assert_sound
from tests.services.journal import live_worker, new_job
from tests.services.journal_model import CRASH_LIMIT, SUSPECT_FROM, Job, Model, Worker

UNKNOWN = "00000000-0000-4000-8000-000000000000"
ERROR = '{"kind": "error"}'


class Machine(RuleBasedStateMachine):
    """Does everything to the journal and to the model alike, and compares."""

    def __init__(self, url: str, connection: psycopg2.extensions.connection) -> None:
        super().__init__()
        self.url = url
        self.connection = connection
        self.run_sql("TRUNCATE jobs, transitions, workers, job_logs, payload_versions")
        self.model = Model()
        self.hints: list[str] = [UNKNOWN]
        self.granted: list[tuple[Claim, int]] = []
        self.last: list[Item] = []

    @initialize(crashes=st.sampled_from([0, 0, 1, 2, 3]), on_crash=st.sampled_from(["retry", "retry", "fail"]))
    def begin(self, crashes: int, on_crash: str) -> None:
        """Two jobs, that have killed their workers before."""
        self.start_worker()
        self.commit([Open([new_job(), new_job(on_crash=on_crash)])])
        for _ in range(crashes):
            number = max(self.model.workers)
            self.commit([self.a_claim(job_id, number) for job_id in self.queued()])
            self.end(number, "dies")
            self.rescue()
            self.start_worker()

    # What is done.

    @rule(data=st.data())
    def open(self, data: st.DataObject) -> None:
        self.commit([self.some_open(data)])

    @rule(data=st.data())
    def claim(self, data: st.DataObject) -> None:
        self.commit(self.some_claims(data))

    @precondition(lambda self: self.queued())
    @rule(data=st.data())
    def claim_what_waits(self, data: st.DataObject) -> None:
        if not any(map(self.model.lives, self.model.workers)):
            self.start_worker()
        number = max(filter(self.model.lives, self.model.workers))
        self.commit([self.a_claim(data.draw(st.sampled_from(self.queued())), number)])

    @precondition(lambda self: self.granted)
    @rule(data=st.data())
    def settle(self, data: st.DataObject) -> None:
        self.commit([self.some_settle(data, self.granted)])

    @precondition(lambda self: self.running())
    @rule(data=st.data())
    def settle_what_runs(self, data: st.DataObject) -> None:
        self.commit([self.some_settle(data, self.running())])

    @rule(data=st.data())
    def cancel_or_note_progress(self, data: st.DataObject) -> None:
        items: list[Item] = [self.some_cancel(data)]
        if self.running():
            items += [Cancel(self.running()[-1][0].job_id), self.some_progress(data), self.some_progress(data)]
        self.commit([data.draw(st.sampled_from(items))])

    @precondition(lambda self: self.ended())
    @rule(data=st.data())
    def resubmit(self, data: st.DataObject) -> None:
        count = data.draw(st.integers(1, 3))
        self.commit([self.some_resubmit(data) for _ in range(count)])

    @rule(data=st.data())
    def commit_a_mixed_batch(self, data: st.DataObject) -> None:
        items: list[Item] = [*self.some_claims(data), self.some_open(data), self.some_cancel(data)]
        items += [self.some_resubmit(data)] if data.draw(st.booleans()) else []
        if self.granted:
            items += [self.some_settle(data, self.running() or self.granted), self.some_progress(data)]
        self.commit(data.draw(st.permutations(items)))

    @precondition(lambda self: self.last)
    @rule()
    def repeat_what_was_committed_as_its_answer_was_lost(self) -> None:
        self.commit(self.last)

    @rule(data=st.data())
    def release(self, data: st.DataObject) -> None:
        waiting = [i for i, job in self.model.jobs.items() if job.status in (Status.SCHEDULED, Status.RETRYING)]
        if waiting:
            due = data.draw(st.sampled_from(waiting))
            self.run_sql("UPDATE jobs SET run_at = now() - interval '1 s' WHERE id = %s", due)
            self.model.jobs[due].due = True
        self.expect_hints(journal.release(), self.model.release())

    @rule()
    def resend(self) -> None:
        ((now,),) = self.run_sql("SELECT clock_timestamp()")
        self.expect_hints(journal.resend("default", now, 0), self.model.resend())

    @rule()
    def rescue(self) -> None:
        rescued, hints = journal.rescue(CRASH_LIMIT)
        expected, expected_hints = self.model.rescue()
        assert sorted(rescued) == sorted(expected)
        self.expect_hints(hints, expected_hints)

    # What becomes of workers.

    @rule()
    def start_worker(self) -> None:
        number = len(self.model.workers) + 1
        live_worker(number, types=["PROBE"], queues=["default"])
        self.model.workers[number] = Worker()

    @rule(data=st.data(), end=st.sampled_from(["stops", "signs off", "dies", "dies stopping", "is not on record"]))
    def end_worker(self, data: st.DataObject, end: str) -> None:
        numbers = sorted(self.model.workers, key=lambda number: (self.model.lives(number), number), reverse=True)
        self.end(data.draw(st.sampled_from(numbers)), end)

    @precondition(lambda self: self.running())
    @rule(data=st.data(), end=st.sampled_from(["dies", "dies", "dies", "dies stopping", "is not on record"]))
    def crash(self, data: st.DataObject, end: str) -> None:
        claim, _ = data.draw(st.sampled_from(self.running()))
        self.end(claim.worker, end)
        if data.draw(st.booleans()):
            self.rescue()

    def end(self, number: int, how: str) -> None:
        worker, lives = self.model.workers[number], self.model.lives(number)
        if "stop" in how:
            assert workers.beat(number, stopping=True, memory=None, peak_memory=None) == lives
            worker.stopping |= lives
        if how == "signs off":
            workers.sign_off(number)
            worker.stopping |= lives
            worker.alive = False
        if "dies" in how:
            self.run_sql("UPDATE workers SET last_seen_at = now() - interval '5 s' WHERE id = %s", number)
            assert bool(workers.declare_dead([number], 3_000)) == lives
            worker.alive = False
        if how == "is not on record":
            self.run_sql("DELETE FROM workers WHERE id = %s", number)
            worker.on_record = False

    # What is compared.

    @invariant()
    def rows_and_histories_are_the_models_and_agree(self) -> None:
        columns = (
            "id::text, status, attempts, retries, crashes, resends, cancel_requested, worker, token::text, result,"
            " progress, error, payload::text, ARRAY(SELECT payload::text FROM payload_versions AS v"
            " WHERE v.job_id = jobs.id ORDER BY version) AS versions"
        )
        rows = {row["id"]: row for row in self.read(f"SELECT {columns} FROM jobs")}
        histories: dict[str, list[Any]] = {job_id: [] for job_id in rows}
        for step in self.read("SELECT *, job_id::text AS job, token::text AS claim FROM transitions ORDER BY id"):
            histories[step["job"]].append(step)
        assert rows.keys() == self.model.jobs.keys()
        for job_id, job in self.model.jobs.items():
            self.compare(job, rows[job_id], histories[job_id])
            self.fold(rows[job_id], histories[job_id])
        self.look_for_suspects(rows.values())

    def compare(self, job: Job, row: dict[str, Any], history: Sequence[dict[str, Any]]) -> None:
        counters = ("attempts", "retries", "crashes", "resends")
        names = (
            "status",
            *counters,
            "cancel_requested",
            "worker",
            "token",
            "result",
            "progress",
            "payload",
            "versions",
        )
        assert {name: row[name] for name in names} == {name: getattr(job, name) for name in names}
        if job.status is Status.FAILED:
            assert row["error"]["kind"] == job.error
        told = [(s["event"], s["from_status"], s["to_status"], s["attempt"], s["claim"]) for s in history]
        assert told == job.history

    def fold(self, row: dict[str, Any], history: Sequence[dict[str, Any]]) -> None:
        """What the transitions alone say of the row."""
        events = [step["event"] for step in history]
        since = events[max((n for n, event in enumerate(events) if event == Event.RESUBMITTED), default=0) :]
        ends = {step["event"]: step["detail"] or {} for step in history}
        assert row["status"] == history[-1]["to_status"]
        assert row["attempts"] == events.count(Event.STARTED)
        assert row["retries"] == since.count(Event.RETRY_PLANNED)
        # The death that ends a job is told as a failure or as a cancel.
        assert 0 <= row["crashes"] - since.count(Event.RESCUED) <= (row["status"] in ("failed", "cancelled"))
        if row["status"] == Status.COMPLETED:
            assert row["result"] == ends[Event.COMPLETED].get("result")
        if row["status"] == Status.FAILED:
            assert row["error"] == ends[Event.FAILED]["error"]

    def look_for_suspects(self, rows: Iterable[dict[str, Any]]) -> None:
        """Never two in one worker (P22)."""
        suspects = [row["worker"] for row in rows if row["status"] == "running" and row["crashes"] >= SUSPECT_FROM]
        assert len(suspects) == len(set(suspects))

    def teardown(self) -> None:
        assert_sound(self.url)

    # How.

    def queued(self) -> list[str]:
        return [job_id for job_id, job in self.model.jobs.items() if job.status is Status.QUEUED]

    def ended(self) -> list[str]:
        return [i for i, job in self.model.jobs.items() if job.status in (Status.FAILED, Status.CANCELLED)]

    def running(self) -> list[tuple[Claim, int]]:
        return [one for one in self.granted if self.model.jobs[one[0].job_id].holds(one[1], one[0].token)]

    def some_open(self, data: st.DataObject) -> Open:
        """One or two jobs, now and then under an id that is taken."""
        delays = data.draw(st.lists(st.sampled_from([None, 0, -5, 3_600_000]), min_size=1, max_size=2))
        on_crash = data.draw(st.sampled_from(["retry"] * 3 + ["fail"]))
        if data.draw(st.integers(0, 9)) == 9:
            return Open([new_job(id=data.draw(st.sampled_from([*self.model.jobs])), payload='{"other": 1}')])
        return Open([new_job(delay_ms=delay, on_crash=on_crash) for delay in delays])

    def some_claims(self, data: st.DataObject) -> list[Claim]:
        """By hints of any age, in any order, some of them twice."""
        ids = data.draw(st.lists(st.sampled_from([*self.queued() * 2, *self.hints]), min_size=1, max_size=4))
        kind = data.draw(st.sampled_from(["PROBE"] * 9 + ["OTHER"]))
        worker = data.draw(st.sampled_from(sorted(self.model.workers, reverse=True)))
        return [self.a_claim(job_id, worker, kind) for job_id in ids]

    @staticmethod
    def a_claim(job_id: str, worker: int, kind: str = "PROBE") -> Claim:
        return Claim(job_id, kind, str(uuid4()), worker, SUSPECT_FROM)

    def some_settle(self, data: st.DataObject, attempts: Sequence[tuple[Claim, int]]) -> Settle:
        claim, attempt = data.draw(st.sampled_from(attempts))
        event = data.draw(st.sampled_from([*OUTCOMES, Event.RETRY_PLANNED, Event.INTERRUPTED]))
        given: dict[str, Any] = {}
        if event is Event.COMPLETED:
            given["result"] = data.draw(st.sampled_from([None, '{"n": 1}', "[]"]))
        if event in (Event.FAILED, Event.RETRY_PLANNED):
            given["error"] = ERROR
        if event is Event.RETRY_PLANNED:
            given["delay_ms"] = data.draw(st.sampled_from([0, 3_600_000]))
        if data.draw(st.booleans()):
            given["progress"] = '{"done": 2}'
        if data.draw(st.integers(0, 4)) == 4:
            given["follow_ups"] = [new_job()]
        return Settle(claim.job_id, "PROBE", "default", attempt, claim.token, claim.worker, event, **given)

    def some_progress(self, data: st.DataObject) -> Progress:
        claim, attempt = data.draw(st.sampled_from(self.running() or self.granted))
        return Progress(claim.job_id, attempt, claim.token, json.dumps({"done": data.draw(st.integers(0, 9))}))

    def some_cancel(self, data: st.DataObject) -> Cancel:
        return Cancel(data.draw(st.sampled_from([UNKNOWN, *self.model.jobs])))

    def some_resubmit(self, data: st.DataObject) -> Resubmit:
        job_id = data.draw(st.sampled_from([*self.ended() * 4, UNKNOWN, *self.model.jobs]))
        return Resubmit(job_id, payload=data.draw(st.sampled_from([None, None, '{"n": 1}', '{"n": 2}'])))

    def commit(self, items: Sequence[Item]) -> None:
        answers, hints = journal.commit(items)
        expected, expected_hints = self.model.commit(items)
        for item, answer, wanted in zip(items, answers, expected, strict=True):
            if isinstance(wanted, set):
                assert answer in wanted
            elif wanted is JobIdTaken:
                assert isinstance(answer, JobIdTaken)
            else:
                assert self.essence(answer) == wanted, item
            if isinstance(item, Claim) and isinstance(answer, Claimed):
                self.granted.append((item, answer.attempt))
        self.expect_hints(hints, expected_hints)
        self.last = list(items)

    @staticmethod
    def essence(answer: Any) -> Any:
        if isinstance(answer, Claimed):
            return answer.attempt, answer.retries
        if isinstance(answer, list):
            return [(opened.id, opened.status) for opened in answer]
        return answer

    def expect_hints(self, hints: Sequence[Hint], expected: Sequence[str]) -> None:
        """Each with the stamp of its row, unless the same commit has queued the row again since."""
        assert sorted(hint.job_id for hint in hints) == sorted(expected)
        stamps = dict(
            self.run_sql("SELECT id::text, dispatched_at FROM jobs WHERE id = ANY(%s::uuid[])", list(expected))
        )
        for hint in hints:
            assert hint.stamp == stamp_of(stamps[hint.job_id]) or expected.count(hint.job_id) > 1
        self.hints += expected

    def run_sql(self, sql: str, *values: Any) -> list[tuple[Any, ...]]:
        with self.connection.cursor() as cursor:
            cursor.execute(sql, values or None)
            return list(cursor.fetchall()) if cursor.description else []

    def read(self, sql: str) -> list[dict[str, Any]]:
        with self.connection.cursor(cursor_factory=psycopg2.extras.RealDictCursor) as cursor:
            cursor.execute(sql)
            return [dict(row) for row in cursor.fetchall()]


@pytest.fixture
def connection(journal_url: str) -> Iterator[psycopg2.extensions.connection]:
    with closing(psycopg2.connect(journal_url)) as made:
        made.autocommit = True
        yield made


def test_whatever_happens_the_rows_and_the_history_are_the_models(
    journal_url: str, connection: psycopg2.extensions.connection, request: pytest.FixtureRequest
) -> None:
    seed = request.config.getoption("hypothesis_seed")
    told: Counter[str] = Counter()

    class Here(Machine):
        def __init__(self) -> None:
            super().__init__(journal_url, connection)

        def teardown(self) -> None:
            super().teardown()
            told.update(event for job in self.model.jobs.values() for event, *_ in job.history)

    run_state_machine_as_test(
        Here,
        settings=settings(
            max_examples=50,
            stateful_step_count=30,
            deadline=None,
            derandomize=seed is None,
            database=None,
            suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
        ),
    )

    assert seed is not None or told.keys() == set(Event), "these examples tell of everything"
