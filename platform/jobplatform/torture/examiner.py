"""Compares the record with the outside: what was promised, what was done, and to whom harm was done."""

import hashlib
from collections import Counter, defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Final, NamedTuple

from jobplatform.states import FINAL, Event, Status
from jobplatform.torture.effects import DIES, EFFECT, START, Line
from jobplatform.torture.oracle import CUT, Harm, Oracle
from jobplatform.torture.probes import FOLLOW, PROBES
from jobplatform.torture.record import Record, Row, Step

_ENDS: Final = {probe.type: probe.ends for probe in PROBES} | {FOLLOW: "completed"}
#: How long a process may still be seen alive after its death was declared: the watch looks ten times a second.
_SLACK: Final = 1.0
#: How long a process may take to show that it lives, once nothing keeps it any more.
_BACK: Final = 2.0


class Rescue(NamedTuple):
    """A job whose process was killed: the seconds from then until it was taken back, and until it ran again."""

    taken: float
    again: float
    #: Whether both servers were there all the time.
    calm: bool
    #: Whether it had killed so many workers that it may not run beside another such job, and had to wait (P22).
    suspect: bool
    story: str


class Examiner:
    """Each method gives the faults that it finds, one line for each."""

    def __init__(
        self,
        record: Record,
        oracle: Oracle,
        effects: list[Line],
        last_seen: dict[int, float],
        crash_limit: int,
        output: Path,
    ) -> None:
        self._record = record
        self._oracle = oracle
        self._last_seen = last_seen
        self._crash_limit = crash_limit
        self._output = output
        self._effects: dict[str, list[Line]] = defaultdict(list)
        self._starts: dict[str, list[Line]] = defaultdict(list)
        self._suicides = [line for line in effects if line.what.startswith(DIES)]
        for line in effects:
            if line.what == EFFECT:
                self._effects[line.job_id].append(line)
            elif line.what == START:
                self._starts[line.job_id].append(line)

    def lost(self) -> Iterator[str]:
        """Accepted, and not on record (I1)."""
        for job in self._oracle.accepted.values():
            if job.job_id not in self._record.jobs:
                yield f"{job.type} {job.job_id} was accepted, and is not on record"

    def stuck(self) -> Iterator[str]:
        """Not final by the deadline, though all was healed (I1, I9)."""
        for row in self._record.jobs.values():
            if row.status not in FINAL:
                yield f"{row.type} {row.job_id} is {row.status} after {self._story(row.job_id)}"

    def ended_otherwise(self) -> Iterator[str]:
        """Ended in another way than its type does: only a cancel or ``crash_limit`` deaths may do that."""
        for row in self._record.jobs.values():
            if row.status == _ENDS[row.type] or row.status not in FINAL:
                continue
            cancelled = row.status == Status.CANCELLED and row.job_id in self._oracle.cancelled
            if not cancelled and not self._gave_up(row):
                yield f"{row.type} {row.job_id} is {row.status} after {self._story(row.job_id)}: {row.error}"

    def poison_not_quarantined(self) -> Iterator[str]:
        """A poison job ends after exactly ``crash_limit`` deaths."""
        for row in self._record.jobs.values():
            if row.type == "PROBE_POISON" and row.status == Status.FAILED and row.crashes != self._crash_limit:
                yield f"{row.job_id} is failed after {row.crashes} deaths: {self._story(row.job_id)}"

    def without_effect(self) -> Iterator[str]:
        """Completed, and the attempt that completed it did nothing (I2)."""
        for row in self._record.jobs.values():
            done = [step.attempt for step in self._history(row.job_id) if step.event == Event.COMPLETED]
            if done and done[0] not in {line.attempt for line in self._effects[row.job_id]}:
                yield f"{row.type} {row.job_id} is completed by attempt {done[0]}, which had no effect"

    def unclaimed_runs(self) -> Iterator[str]:
        """Run under an attempt that nobody had claimed, or by a process that had not (I2, I5)."""
        for job_id, lines in self._starts.items():
            claimed = {
                step.attempt: self._record.workers[step.worker].pid
                for step in self._history(job_id)
                if step.event == Event.STARTED and step.worker in self._record.workers
            }
            for line in lines:
                if claimed.get(line.attempt) != line.pid:
                    yield f"{job_id} attempt {line.attempt} ran in process {line.pid}, claimed were {claimed}"
            for attempt, times in Counter(line.attempt for line in lines).items():
                if times > 1:
                    yield f"{job_id} attempt {attempt} ran {times} times"

    def unasked(self) -> Iterator[str]:
        """On record, though nobody asked, or twice for one request (I3, I6)."""
        numbers: Counter[int] = Counter()
        accepted = {job.number for job in self._oracle.accepted.values()}
        for row in self._record.jobs.values():
            if row.type == FOLLOW:
                continue
            number = int(row.payload["number"])
            numbers[number] += 1
            why = self._oracle.unknown.get(number)
            if number not in accepted and (why is None or why.startswith("4")):
                yield f"{row.type} {row.job_id} (number {number}) exists; its POST was answered {why}"
        for number, times in numbers.items():
            if times > 1:
                yield f"number {number} is {times} jobs"

    def follow_ups(self) -> Iterator[str]:
        """One follow-up for each completed PROBE_CHAIN, and none for others (P13)."""
        sent = Counter(row.payload["message"]["message_id"] for row in self._rows(FOLLOW))
        for row in self._rows("PROBE_CHAIN"):
            expected = int(row.status == Status.COMPLETED)
            if sent[row.job_id] != expected:
                yield f"PROBE_CHAIN {row.job_id} is {row.status} and has {sent[row.job_id]} follow-ups"

    def early(self) -> Iterator[str]:
        """Begun before its time."""
        for job in self._oracle.accepted.values():
            for step in self._history(job.job_id):
                if job.run_at is not None and step.event == Event.STARTED and step.at < job.run_at:
                    yield f"{job.type} {job.job_id} began {job.run_at - step.at:.3f} s early"

    def twice_despite_fail(self) -> Iterator[str]:
        """Run again though ``on_crash="fail"`` (P21)."""
        for row in self._record.jobs.values():
            if row.on_crash == "fail" and len(self._starts[row.job_id]) > 1:
                yield f"{row.type} {row.job_id} ran {len(self._starts[row.job_id])} times: {self._story(row.job_id)}"

    def files(self) -> Iterator[str]:
        """A completed PROBE_FILE whose file is not there, or not whole (P27)."""
        for row in self._rows("PROBE_FILE"):
            if row.status == Status.COMPLETED:
                file = self._output / Path(row.result["path"]).name
                if not file.is_file() or hashlib.sha256(file.read_bytes()).hexdigest() != row.result["sha256"]:
                    yield f"{row.job_id}: {file.name} is missing or damaged"

    def declared_dead_alive(self) -> Iterator[str]:
        """Workers that were declared dead, though they lived and nothing kept them from showing it (P18)."""
        for worker in self._record.workers.values():
            if not worker.died or worker.ended_at is None:
                continue
            lived = self._last_seen.get(worker.pid, 0.0) > worker.ended_at + _SLACK
            if lived and not self._was_hindered(worker.pid, worker.ended_at):
                yield f"worker {worker.id} (process {worker.pid}) at {worker.ended_at:.3f}; done to it: " + ", ".join(
                    f"{harm.what} {harm.at:.3f} to {harm.until:.3f}" for harm in self._harms_of(worker.pid)
                )

    def unexplained(self) -> list[str]:
        """Effects that happened once more, for no reason that is known (I7)."""
        return [why for cause, why in self._extra_effects() if cause is None]

    def duplicates(self) -> Counter[str]:
        """Effects that happened once more, by their causes (I7)."""
        return Counter(cause for cause, _ in self._extra_effects() if cause is not None)

    def rescues(self) -> list[Rescue]:
        """What became of each job that a process ran when it met a violent end."""
        ends = [(harm.at, pid) for harm in self._oracle.harms if harm.what == "killed" for pid in harm.pids or ()]
        ends += [(line.at, line.pid) for line in self._suicides]
        rescues = []
        for history in self._record.histories.values():
            for start, end, again in _reruns(history):
                worker = self._record.workers.get(start.worker or 0)
                died_at = [at for at, pid in ends if worker and pid == worker.pid and start.at <= at < end.at]
                if died_at:
                    began = min(died_at)
                    crashes = sum(step.event == Event.RESCUED and step.at <= end.at for step in history)
                    rescues.append(
                        Rescue(
                            end.at - began,
                            again.at - began,
                            self._undisturbed(began, again.at),
                            crashes >= self._crash_limit - 1,
                            self._story(start.job_id),
                        )
                    )
        return sorted(rescues, key=lambda rescue: -rescue.again)

    def given_up(self) -> int:
        """Innocent jobs whose workers were killed ``crash_limit`` times."""
        return sum(row.type != "PROBE_POISON" and row.on_crash != "fail" for row in self._crashed())

    def _was_hindered(self, pid: int, at: float) -> bool:
        """Whether something kept a process from showing that it lives.

        A brief freeze does not, as the lock stays: unless the connection that holds it is cut meanwhile, or was just
        before. Nobody takes it again on a new one until the process goes on.
        """
        harms = [harm for harm in self._harms_of(pid) if harm.at <= at]
        lasting = [harm for harm in harms if at <= harm.until + _BACK]
        if any(harm.what in ("frozen", "cut off") for harm in lasting):
            return True
        stops = [harm.at for harm in lasting if harm.what == "frozen briefly"]
        return any(harm.what == CUT and harm.at >= stop - _BACK for harm in harms for stop in stops)

    def _harms_of(self, pid: int) -> list[Harm]:
        return [harm for harm in self._oracle.harms if harm.pids is not None and pid in harm.pids]

    def _undisturbed(self, begin: float, end: float) -> bool:
        """Whether both servers were there all the time, and the keepers did not wait for the end of a grace."""
        return not any(h.pids is None and h.at - 1 <= end and begin <= h.until for h in self._oracle.harms)

    def _extra_effects(self) -> Iterator[tuple[str | None, str]]:
        for job_id, lines in self._effects.items():
            if len(lines) < 2:
                continue
            ends = {step.attempt: step for step in self._history(job_id) if _ends_attempt(step)}
            seen: set[int] = set()
            for line in lines:
                end = ends.get(line.attempt)
                if line.attempt in seen or end is None:
                    yield None, f"{job_id} attempt {line.attempt}: {self._story(job_id)}"
                elif end.event != Event.COMPLETED:
                    cause = self._cause(line, end)
                    yield cause, f"{job_id} attempt {line.attempt} ended {end.event}: {self._story(job_id)}"
                seen.add(line.attempt)

    def _cause(self, line: Line, end: Step) -> str | None:
        """Why the attempt's outcome did not count, though its effect had happened."""
        gave_up = end.event == Event.FAILED and self._gave_up(self._record.jobs[end.job_id])
        if not gave_up and end.event not in (Event.RESCUED, Event.INTERRUPTED):
            return None
        for suicide in self._suicides:
            if suicide.pid == line.pid and line.at <= suicide.at <= end.at:
                return f"{end.event}, as its process died at {suicide.what.removeprefix(DIES)}"
        for harm in self._oracle.harms:
            if harm.what == CUT:  # which by itself costs no attempt
                continue
            if harm.pids is not None and line.pid in harm.pids and harm.at <= end.at and line.at <= harm.until + 1:
                return f"{end.event}, as its process was {harm.what}"
        if end.event == Event.INTERRUPTED or self._last_seen.get(line.pid, 0.0) <= end.at:
            return f"{end.event}, as its process stopped with its group"
        return None

    def _gave_up(self, row: Row) -> bool:
        return row in self._crashed()

    def _crashed(self) -> list[Row]:
        return [
            row
            for row in self._record.jobs.values()
            if row.status == Status.FAILED
            and (row.error or {}).get("kind") == "crashed"
            and (row.on_crash == "fail" or row.crashes == self._crash_limit)
        ]

    def _rows(self, type: str) -> Iterator[Row]:  # noqa: A002
        return (row for row in self._record.jobs.values() if row.type == type)

    def _history(self, job_id: str) -> list[Step]:
        return self._record.histories.get(job_id, [])

    def _story(self, job_id: str) -> str:
        """The job's events, each with its attempt and worker, and the seconds since it was accepted."""
        history = self._history(job_id)
        return f"…{job_id[-6:]} " + ", ".join(
            f"{step.event}{f' {step.attempt} by {step.worker}' if step.worker else ''} {step.at - history[0].at:.1f}"
            for step in history
        )


def _ends_attempt(step: Step) -> bool:
    return step.before == Status.RUNNING and step.after != Status.RUNNING


def _reruns(history: list[Step]) -> Iterator[tuple[Step, Step, Step]]:
    """Each attempt that was taken back, with its start, its end and the start of the next."""
    starts = {step.attempt: step for step in history if step.event == Event.STARTED}
    for step in history:
        if step.event in (Event.RESCUED, Event.INTERRUPTED) and step.attempt in starts and step.attempt + 1 in starts:
            yield starts[step.attempt], step, starts[step.attempt + 1]
