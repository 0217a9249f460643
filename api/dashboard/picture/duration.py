"""How long something took, in as many words as a person can grasp."""

from datetime import datetime


def words(seconds: float) -> str:
    """A duration: two units at the most, and three digits where there is only one."""
    if seconds < 0.001:
        return "0 ms" if seconds <= 0 else "<1 ms"
    if seconds < 0.9995:
        return f"{seconds * 1000:.0f} ms"
    if seconds < 59.95:
        return f"{seconds:.{2 if seconds < 9.995 else 1}f}".rstrip("0").rstrip(".") + " s"
    for unit, name, part, part_name in ((86_400, "d", 3_600, "h"), (3_600, "h", 60, "min"), (60, "min", 1, "s")):
        parts = round(seconds / part)
        if parts * part >= unit:
            whole, rest = divmod(parts, unit // part)
            return f"{whole} {name} {rest} {part_name}" if rest else f"{whole} {name}"
    return "1 min"


def between(begins: datetime, ends: datetime) -> str:
    """The same of what lies between two times."""
    return words((ends - begins).total_seconds())
