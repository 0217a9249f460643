"""What was measured of the platform and its peers as tables: medians of the rounds, with the least and the most."""

from collections.abc import Callable, Sequence
from pathlib import Path
from statistics import median
from typing import Final

from benchmarks.aims import Record, aims_table, figure_of, ratios
from benchmarks.meter import PARTS
from benchmarks.peers.peer import PEERS
from benchmarks.plots import draw_bars
from benchmarks.report import spread
from benchmarks.rounds import PLATFORM, WORKLOADS

_SPEEDS: Final = ("per second", "p50, ms", "p99, ms")
#: What the columns of speed hold, where that is not rate, p50_ms and p99_ms.
_PICK_UP: Final = (None, "completed_p50_ms", "completed_p99_ms")


def other_work(record: Record) -> float:
    """Cores that the machine lacked meanwhile: used by others than the stack and its load client, or withheld."""
    return float(record["others"] - record.get("client_cpu", 0.0) + record["steal"])


def counting(records: Sequence[Record], most: float) -> list[Record]:
    """Without those that were measured while the machine lacked more cores than that."""
    return [one for one in records if "others" not in one or other_work(one) <= most]


def comparison(records: Sequence[Record]) -> str:
    """The tables in Markdown."""
    parts = [
        f"{name}\n\n{_table(_workload(records, name))}"
        for name in WORKLOADS
        if any(one.get("workload") == name for one in records)
    ]
    parts.append(f"memory\n\n{_table(_memory(records))}")
    if len(aims := aims_table(records)) > 1:
        parts.append(f"aims\n\n{_table(aims)}")
    return "\n\n".join(parts)


def draw_comparison(records: Sequence[Record], folder: Path) -> None:
    """Pictures of each workload: medians of rates, or of times, and of bills."""
    for name in WORKLOADS:
        rate, unit = ("completed_p50_ms", "ms to a completed row") if name == "pick-up" else ("rate", "a second")
        for figure, title in ((rate, unit), ("bill", "µs of CPU for each")):
            values = {
                who: median(
                    figure_of(one, figure) for one in records if (one.get("workload"), one.get("who")) == (name, who)
                )
                for who in _contenders(records, name)
            }
            if values:
                draw_bars(folder / f"beside-{name}-{figure.partition('_')[0]}.svg", f"{name}: {title}", values)


def _workload(records: Sequence[Record], name: str) -> list[list[str]]:
    figures = _PICK_UP if name == "pick-up" else ("rate", "p50_ms", "p99_ms")
    compared = figures[0] or figures[1]
    ratio = "its rate" if figures[0] else "its p50"
    cpu = [f"{part}, µs" for part in (*PARTS, "total")]
    rows = [["", *_SPEEDS, *cpu, "client, cores", "others, cores", f"platform to {ratio}", "platform to its bill"]]
    for who in _contenders(records, name):
        its = [one for one in records if one.get("workload") == name and one["who"] == who]
        speeds = [_spread(its, lambda one, figure=figure: one.get(figure)) for figure in figures]  # type: ignore[misc]
        bills = [_spread(its, lambda one, part=part: one["cpu"][part]) for part in PARTS]  # type: ignore[misc]
        total = _spread(its, lambda one: figure_of(one, "bill"))
        shares = [_spread(its, lambda one: one.get("client_cpu")), _spread(its, other_work)]
        to_it = [
            spread(ratios(records, name, figure or "", who)) if who != PLATFORM else "" for figure in (compared, "bill")
        ]
        rows.append([_title(who), *speeds, *bills, total, *shares, *to_it])
    return rows


def _memory(records: Sequence[Record]) -> list[list[str]]:
    rows = [["peak, all processes", "api, MB", "worker, MB"]]
    for who in _contenders(records, "memory"):
        its = [one for one in records if one.get("workload") == "memory" and one["who"] == who]
        rows.append([_title(who), *(_spread(its, lambda one, of=of: one.get(of)) for of in ("api", "worker"))])  # type: ignore[misc]
    return rows


def _contenders(records: Sequence[Record], workload: str) -> list[str]:
    there = {one["who"] for one in records if one.get("workload") == workload}
    return [who for who in (PLATFORM, *PEERS) if who in there]


def _title(who: str) -> str:
    return who if who == PLATFORM else f"{who}: {PEERS[who].title}"


def _spread(records: Sequence[Record], figure: Callable[[Record], float | None]) -> str:
    return spread([value for one in records if (value := figure(one)) is not None])


def _table(rows: Sequence[Sequence[str]]) -> str:
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    lines = [
        "| " + " | ".join(f"{cell:<{width}}" for cell, width in zip(row, widths, strict=True)) + " |" for row in rows
    ]
    lines.insert(1, "|" + "|".join("-" * (width + 2) for width in widths) + "|")
    return "\n".join(lines)
