"""The report of a run: what was done to it, and whether anything was lost."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

_MOST_LINES: Final = 20


@dataclass
class Report:
    """Sections of lines, and the invariants with what broke them."""

    title: str
    sections: list[tuple[str, list[str]]] = field(default_factory=list)
    broken: dict[str, list[str]] = field(default_factory=dict)
    repeat: str = ""

    @property
    def sound(self) -> bool:
        return not any(self.broken.values())

    def section(self, name: str, *lines: str) -> None:
        self.sections.append((name, list(lines)))

    def text(self) -> str:
        """All of it, for people."""
        lines = [self.title, "=" * len(self.title)]
        for name, content in self.sections:
            lines += ["", name, *(f"  {line}" for line in content)]
        lines += ["", "Invariants"]
        for name, faults in self.broken.items():
            lines.append(f"  {len(faults):>5}  {name}")
            lines += [f"           {fault}" for fault in faults[:_MOST_LINES]]
        lines += ["", "Nothing is lost." if self.sound else "BROKEN.", f"Repeat with: {self.repeat}"]
        return "\n".join(lines)


def quantiles(values: Sequence[float]) -> str:
    """The number of values, their median, 99th percentile and maximum, in seconds."""
    if not values:
        return "none"
    ordered = sorted(values)

    def at(share: float) -> float:
        return ordered[min(len(ordered) - 1, int(share * len(ordered)))]

    return f"{len(ordered)}: p50 {at(0.5):.2f} s, p99 {at(0.99):.2f} s, max {ordered[-1]:.2f} s"


def counted(numbers: dict[str, int]) -> list[str]:
    """One line for each, the most frequent first."""
    return [f"{times:>6}  {name}" for name, times in sorted(numbers.items(), key=lambda item: (-item[1], item[0]))]
