"""What the outside knows: which jobs it was promised, which it asked to stop, and what it did to whom."""

import threading
import time
from dataclasses import dataclass, field
from typing import Final, NamedTuple


class Accepted(NamedTuple):
    """A 201: from here on the job must not be lost."""

    job_id: str
    type: str
    number: int
    at: float
    #: How long the answer took, in seconds.
    took: float
    #: Not to be started before, in seconds since 1970.
    run_at: float | None


#: What is done to a process whose connections are cut in one moment. It may have new ones in the next.
CUT: Final = "cut"


class Harm(NamedTuple):
    """Something done to a process: killed, frozen, cut off, asked to stop."""

    at: float
    what: str
    #: None: to every process.
    pids: tuple[int, ...] | None
    until: float


@dataclass
class Oracle:
    """Filled by the submitter and the injector, from many threads."""

    accepted: dict[str, Accepted] = field(default_factory=dict)
    #: Numbers of POSTs without a 201: the answer's status, or what went wrong. The job may exist or not.
    unknown: dict[int, str] = field(default_factory=dict)
    #: How long a 503 or an error took.
    refusals: list[tuple[float, str, float]] = field(default_factory=list)
    cancelled: set[str] = field(default_factory=set)
    harms: list[Harm] = field(default_factory=list)
    #: How often each fault was done.
    faults: dict[str, int] = field(default_factory=dict)
    kills: dict[str, int] = field(default_factory=dict)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def accept(self, job: Accepted) -> None:
        with self.lock:
            self.accepted[job.job_id] = job

    def doubt(self, number: int, why: str, took: float) -> None:
        with self.lock:
            self.unknown[number] = why
            self.refusals.append((time.time(), why, took))

    def harm(self, what: str, pids: tuple[int, ...] | None, until: float | None = None) -> None:
        now = time.time()
        with self.lock:
            self.harms.append(Harm(now, what, pids, until or now))

    def kill(self, kind: str, pids: tuple[int, ...]) -> None:
        """Processes of a kind are being killed."""
        self.harm("killed", pids)
        with self.lock:
            self.kills[kind] = self.kills.get(kind, 0) + len(pids)

    def count(self, fault: str) -> None:
        with self.lock:
            self.faults[fault] = self.faults.get(fault, 0) + 1
