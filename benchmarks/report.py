"""The figures of some rounds as tables: medians, with their range, beside the prototype's."""

from collections.abc import Sequence
from statistics import median
from typing import Any, Final

from benchmarks.meter import PARTS
from benchmarks.workloads import Measured

_TITLES: Final = {
    "w0": "GET /health, the yardstick",
    "w1": "accept, no worker",
    "w3": "drain",
    "w2": "end to end",
    "w4": "read",
    "w5": "idle, one job each 50 ms",
    "w6": "idle, per second",
}

#: What a prototype of the same shape cost on a machine of the same kind, in the order of the parts.
_PROTOTYPE: Final = {
    "w0": (143, 0, 0, 0),
    "w1": (292, 0, 94, 31),
    "w3": (0, 460, 197, 23),
    "w2": (340, 526, 360, 68),
    "w4": (192, 1, 35, 0),
}
_PROTOTYPE_PICK_UP: Final = {"started": 6.7, "completed": 8.1}


def report(rounds: Sequence[dict[str, Measured]]) -> str:
    """The tables."""
    of = {name: [one[name] for one in rounds] for name in rounds[0]}
    return "\n".join((*_bills(of), "", *_speeds(of), "", *_pick_up(of["w5"]), "", *_memory(of["redis_memory"])))


def spread(values: Sequence[float]) -> str:
    """The median, with the least and the most of several. Nothing of none."""
    if not values:
        return ""
    text = _short(median(values))
    return text if len(values) == 1 else f"{text} ({_short(min(values))}..{_short(max(values))})"


def _bills(of: dict[str, list[Measured]]) -> list[str]:
    lines = [
        "CPU, microseconds per job (w0, w4: per request; w6: per second): median (least..most), prototype below",
        "The yardstick tells how fast the machine is just now: divide a ratio by its ratio to compare machines",
        _row("", *PARTS, "total", "ratio"),
    ]
    for name, title in _TITLES.items():
        bills = [one["cpu"] for one in of[name]]
        totals = [sum(bill.values()) for bill in bills]
        reference = _PROTOTYPE.get(name)
        ratio = f"{median(totals) / sum(reference):.2f}" if reference else ""
        lines.append(
            _row(f"{name} {title}", *(spread([bill[p] for bill in bills]) for p in PARTS), spread(totals), ratio)
        )
        if reference:
            lines.append(_row("", *map(str, reference), str(sum(reference)), ""))
    return lines


def _speeds(of: dict[str, list[Measured]]) -> list[str]:
    lines = [
        "Speed; what the load client and others used is in cores",
        _row("", "per second", "p50 ms", "p99 ms", "client", "others", "steal"),
    ]
    for name in ("w0", "w1", "w3", "w2", "w4"):
        columns = ("rate", "p50_ms", "p99_ms", "client_cpu", "others", "steal")
        lines.append(
            _row(f"{name} {_TITLES[name]}", *(spread([one[c] for one in of[name] if c in one]) for c in columns))
        )
    return lines


def _pick_up(w5: list[Measured]) -> list[str]:
    lines = ["On an idle stack, milliseconds from before the POST", _row("", "p50", "p99", "prototype")]
    for name in ("accepted", "started", "completed"):
        spreads = [spread([one[f"{name}_{p}_ms"] for one in w5]) for p in ("p50", "p99")]
        lines += [_row(name, *spreads, str(_PROTOTYPE_PICK_UP.get(name, "")))]
    return lines


def _memory(memory: list[Measured]) -> list[str]:
    lines = ["Bytes in Redis per queued job"]
    lines += [_row(name.replace("_", " "), spread([one[name] for one in memory])) for name in memory[0]]
    return lines


def _row(title: str, *cells: str) -> str:
    return f"{title:<31}" + "".join(f"{cell:>25}" for cell in cells)


def _short(value: Any) -> str:
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.1f}" if abs(value) >= 10 else f"{value:.2f}"
