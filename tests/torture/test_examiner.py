"""The torture's examiner finds each kind of damage, and none where there is none."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from jobplatform.torture.effects import EFFECT, START, Line
from jobplatform.torture.examiner import Examiner
from jobplatform.torture.oracle import Accepted, Harm, Oracle
from jobplatform.torture.plan import STANDARD, UnknownFault, deck_of, plan
from jobplatform.torture.record import Record, Row, Step, Worker

_JOB = "0190a0b0-0000-7000-8000-000000000001"
_PID = 41


class Case:
    """One job that ran once and completed, in a world that a test may damage."""

    def __init__(self, output: Path) -> None:
        self.row = Row(_JOB, "PROBE_INSTANT", "completed", 1, 0, {"number": 7}, None, None, "retry")
        self.rows = [self.row]
        self.steps = [
            Step(_JOB, "enqueued", None, "queued", 0, None, 100.0),
            Step(_JOB, "started", "queued", "running", 1, 1, 101.0),
            Step(_JOB, "completed", "running", "completed", 1, 1, 102.0),
        ]
        self.worker = Worker(1, _PID, 90.0, None, False)
        self.oracle = Oracle()
        self.oracle.accept(Accepted(_JOB, "PROBE_INSTANT", 7, 100.0, 0.01, None))
        self.effects = [Line(101.1, _JOB, 1, _PID, START), Line(101.2, _JOB, 1, _PID, EFFECT)]
        self.last_seen = {_PID: 200.0}
        self._output = output

    def change(self, **values: Any) -> None:
        """Change the row."""
        self.rows = [self.row._replace(**values)]

    def examiner(self) -> Examiner:
        record = Record({row.job_id: row for row in self.rows}, {_JOB: self.steps}, {1: self.worker})
        return Examiner(record, self.oracle, self.effects, self.last_seen, 3, self._output)

    def findings(self) -> dict[str, list[str]]:
        examiner = self.examiner()
        return {name: list(getattr(examiner, name)()) for name in _CHECKS}


_CHECKS = (
    "lost",
    "stuck",
    "ended_otherwise",
    "poison_not_quarantined",
    "without_effect",
    "unclaimed_runs",
    "unasked",
    "follow_ups",
    "early",
    "twice_despite_fail",
    "files",
    "declared_dead_alive",
    "unexplained",
)


def _lose(case: Case) -> None:
    case.rows = []


def _leave_running(case: Case) -> None:
    case.change(status="running")


def _fail_without_reason(case: Case) -> None:
    case.change(status="failed", error={"kind": "error"})


def _cancel_unasked(case: Case) -> None:
    case.change(status="cancelled")


def _poison_too_often(case: Case) -> None:
    case.change(type="PROBE_POISON", status="failed", crashes=4)


def _forget_effect(case: Case) -> None:
    del case.effects[1]


def _run_unclaimed(case: Case) -> None:
    case.effects.append(Line(101.3, _JOB, 2, _PID, START))


def _run_in_another_process(case: Case) -> None:
    case.effects[0] = case.effects[0]._replace(pid=42)


def _accept_what_was_refused(case: Case) -> None:
    case.oracle.accepted.clear()
    case.oracle.doubt(7, "422", 0.01)


def _make_two_of_one(case: Case) -> None:
    case.rows.append(case.row._replace(job_id=_JOB.replace("1", "2")))


def _cut_chain(case: Case) -> None:
    case.change(type="PROBE_CHAIN")


def _begin_early(case: Case) -> None:
    case.oracle.accept(case.oracle.accepted[_JOB]._replace(run_at=101.5))


def _run_twice_despite_fail(case: Case) -> None:
    case.change(on_crash="fail")
    case.effects.append(Line(101.3, _JOB, 2, _PID, START))


def _lose_file(case: Case) -> None:
    case.change(type="PROBE_FILE", result={"path": "output/gone.txt", "sha256": ""})


def _bury_alive(case: Case) -> None:
    case.worker = case.worker._replace(died=True, ended_at=150.0)


def _repeat_effect(case: Case) -> None:
    case.effects.append(Line(101.3, _JOB, 1, _PID, EFFECT))


@pytest.mark.parametrize(
    ("damage", "found_by"),
    [
        (_lose, "lost"),
        (_leave_running, "stuck"),
        (_fail_without_reason, "ended_otherwise"),
        (_cancel_unasked, "ended_otherwise"),
        (_poison_too_often, "poison_not_quarantined"),
        (_forget_effect, "without_effect"),
        (_run_unclaimed, "unclaimed_runs"),
        (_run_in_another_process, "unclaimed_runs"),
        (_accept_what_was_refused, "unasked"),
        (_make_two_of_one, "unasked"),
        (_cut_chain, "follow_ups"),
        (_begin_early, "early"),
        (_run_twice_despite_fail, "twice_despite_fail"),
        (_lose_file, "files"),
        (_bury_alive, "declared_dead_alive"),
        (_repeat_effect, "unexplained"),
    ],
)
def test_each_damage_is_found(damage: Callable[[Case], None], found_by: str, tmp_path: Path) -> None:
    case = Case(tmp_path)
    assert not any(case.findings().values())

    damage(case)

    assert case.findings()[found_by] != []


def test_a_second_effect_is_explained_by_the_kill_of_the_first_ones_process(tmp_path: Path) -> None:
    case = Case(tmp_path)
    case.steps = [
        case.steps[0],
        case.steps[1],
        Step(_JOB, "rescued", "running", "queued", 1, 1, 104.0),
        Step(_JOB, "started", "queued", "running", 2, 1, 104.5),
        Step(_JOB, "completed", "running", "completed", 2, 1, 105.0),
    ]
    case.effects += [Line(104.6, _JOB, 2, _PID, START), Line(104.7, _JOB, 2, _PID, EFFECT)]
    assert case.examiner().unexplained() != []
    case.oracle.harms = [Harm(101.5, "cut", (_PID,), 101.5)]
    assert case.examiner().unexplained() != [], "a cut by itself costs no attempt"

    case.oracle.kill("worker process", (_PID,))
    case.oracle.harms = [harm._replace(at=101.5, until=101.5) for harm in case.oracle.harms]

    assert case.examiner().unexplained() == []
    assert dict(case.examiner().duplicates()) == {"rescued, as its process was killed": 1}
    (rescue,) = case.examiner().rescues()
    assert (rescue.taken, rescue.again, rescue.calm, rescue.suspect) == (2.5, 3.0, True, False)


def test_effects_of_a_job_that_was_given_up_are_explained_by_the_kills_of_their_processes(tmp_path: Path) -> None:
    case = Case(tmp_path)
    case.change(status="failed", attempts=2, crashes=3, error={"kind": "crashed"})
    case.steps = [
        case.steps[0],
        case.steps[1],
        Step(_JOB, "rescued", "running", "queued", 1, 1, 104.0),
        Step(_JOB, "started", "queued", "running", 2, 1, 104.5),
        Step(_JOB, "failed", "running", "failed", 2, 1, 107.0),
    ]
    case.effects += [Line(104.6, _JOB, 2, _PID, START), Line(104.7, _JOB, 2, _PID, EFFECT)]
    case.oracle.kill("worker process", (_PID,))
    kill = case.oracle.harms[0]

    case.oracle.harms = [kill._replace(at=at, until=at) for at in (101.5, 105.0)]
    assert dict(case.examiner().duplicates()) == {
        "rescued, as its process was killed": 1,
        "failed, as its process was killed": 1,
    }
    case.change(status="failed", attempts=2, crashes=0, error={"kind": "error"})
    assert len(case.examiner().unexplained()) == 1, "an error of its own explains nothing"


def test_a_frozen_worker_may_be_declared_dead_while_it_lives(tmp_path: Path) -> None:
    case = Case(tmp_path)
    _bury_alive(case)

    case.oracle.harm("frozen", (_PID,), until=152.0)
    case.oracle.harms = [harm._replace(at=140.0) for harm in case.oracle.harms]

    assert list(case.examiner().declared_dead_alive()) == []


@pytest.mark.parametrize(
    ("harms", "found"),
    [
        ([("frozen briefly", 147.0, 151.0)], 1),
        ([("cut", 149.0, 149.0)], 1),
        ([("frozen briefly", 147.0, 151.0), ("cut", 149.0, 149.0)], 0),
        ([("cut", 146.0, 146.0), ("frozen briefly", 147.0, 151.0)], 0),
        ([("cut", 140.0, 140.0), ("frozen briefly", 147.0, 151.0)], 1),
        ([("frozen briefly", 141.0, 144.0), ("cut", 149.0, 149.0)], 1),
        ([("frozen briefly", 147.0, 151.0), ("cut", 151.0, 151.0)], 1),
    ],
)
def test_a_worker_that_is_cut_off_while_it_is_stopped_cannot_take_its_lock_again(
    harms: list[tuple[str, float, float]], found: int, tmp_path: Path
) -> None:
    case = Case(tmp_path)
    _bury_alive(case)

    case.oracle.harms = [Harm(at, what, (_PID,), until) for what, at, until in harms]

    assert len(list(case.examiner().declared_dead_alive())) == found


def test_a_seed_gives_the_same_faults_again_and_another_seed_others() -> None:
    assert plan(STANDARD, 1, 360) == plan(STANDARD, 1, 360)
    assert plan(STANDARD, 1, 360) != plan(STANDARD, 2, 360)
    assert len(plan(STANDARD, 1, 360)) == sum(STANDARD.values())


def test_a_fault_that_does_not_exist_is_named_with_those_that_do() -> None:
    with pytest.raises(UnknownFault, match=r"There is no fault drop-tables\. There are .*kill-worker"):
        deck_of(["kill-worker", "drop-tables"])
