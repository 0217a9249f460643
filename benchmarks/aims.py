"""What the platform is to reach beside its peers, and whether it does."""

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any, Final

from benchmarks.report import spread

Record = dict[str, Any]


@dataclass(frozen=True)
class Aim:
    """A ratio of the platform to a peer in the same round."""

    title: str
    workload: str
    figure: str
    peer: str
    #: At least, or at most where less is better.
    bound: float
    hoped: float
    less_is_better: bool = False

    def reached(self, ratio: float) -> bool:
        return ratio <= self.bound if self.less_is_better else ratio >= self.bound


AIMS: Final = (
    Aim("accept, POST/s", "accept", "rate", "bullmq", 2.5, 3.5),
    Aim("status read, GET/s", "read", "rate", "bullmq", 4, 5),
    Aim("drain, jobs/s", "drain", "rate", "bullmq", 2.2, 3),
    Aim("end to end, jobs/s", "end-to-end", "rate", "bullmq", 1.8, 2.5),
    Aim("POST to completed row, p50", "pick-up", "completed_p50_ms", "bullmq", 1, 0.67, less_is_better=True),
    Aim("end to end, CPU per job", "end-to-end", "bill", "bullmq", 0.5, 0.4, less_is_better=True),
    Aim("drain, jobs/s", "drain", "rate", "dramatiq", 4.5, 4.5),
    Aim("drain, jobs/s", "drain", "rate", "bare", 0.85, 0.85),
)


def ratios(records: Sequence[Record], workload: str, figure: str, peer: str) -> list[float]:
    """The platform's figure by the peer's, in each round that has both."""
    found = {(one["round"], one["who"]): figure_of(one, figure) for one in records if one.get("workload") == workload}
    rounds = sorted({number for number, _ in found})
    return [
        found[number, "platform"] / found[number, peer]
        for number in rounds
        if (number, "platform") in found and (number, peer) in found
    ]


def figure_of(record: Record, figure: str) -> float:
    """A figure by its name; ``bill`` is the CPU of all parts in sum."""
    return float(sum(record["cpu"].values()) if figure == "bill" else record[figure])


def aims_table(records: Sequence[Record]) -> list[list[str]]:
    """A head, and a row for each aim of which there is a ratio."""
    rows = [["the platform to a peer", "peer", "is to be", "hoped for", "is", "reached"]]
    for aim in AIMS:
        if found := ratios(records, aim.workload, aim.figure, aim.peer):
            bound = f"at most {aim.bound}" if aim.less_is_better else f"at least {aim.bound}"
            reached = "yes" if aim.reached(median(found)) else "no"
            rows.append([aim.title, aim.peer, bound, str(aim.hoped), spread(found), reached])
    return rows
