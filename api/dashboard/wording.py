"""Values as people read them: durations, numbers, sizes, times."""

from datetime import UTC, datetime
from typing import Final

from markupsafe import Markup

_SIZES: Final = ("B", "kB", "MB", "GB", "TB")


def duration(seconds: float | None) -> str:
    """A length of time in at most two units; a dash for None."""
    if seconds is None:
        return "—"
    if seconds < 0:
        return f"−{duration(-seconds)}"  # noqa: RUF001
    if seconds < 0.9995:
        return f"{round(seconds * 1000)} ms"
    if seconds < 9.95:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3_600:
        return f"{whole // 60} min {whole % 60:02} s"
    if whole < 86_400:
        return f"{whole // 3_600} h {whole % 3_600 // 60:02} min"
    return f"{whole // 86_400} d {whole % 86_400 // 3_600} h"


def between(begin: datetime | None, end: datetime | None) -> float | None:
    """The seconds from one time to another, not below zero; None where one has not come."""
    return None if begin is None or end is None else max((end - begin).total_seconds(), 0.0)


def number(value: float | None) -> str:
    """A number with its thousands apart; a dash for None."""
    if value is None:
        return "—"
    text = f"{value:,}" if isinstance(value, int) else f"{value:,.1f}"
    return text.replace(",", "\u202f")  # a narrow space that does not break


def size(count: int | None) -> str:
    """So many bytes, in the unit that fits; a dash for None."""
    if count is None:
        return "—"
    value = float(count)
    for unit in _SIZES:
        if value < 999.5 or unit == _SIZES[-1]:
            break
        value /= 1_000
    return f"{count} B" if unit == "B" else f"{value:.3g} {unit}"


def plural(count: int, one: str, many: str = "") -> str:
    """``1 job``, ``2 jobs``."""
    return f"{number(count)} {one if count == 1 else many or f'{one}s'}"


def short(job_id: str) -> str:
    """So much of an id as tells it from its neighbours: those of one moment begin alike, so it is the end."""
    return f"…{job_id[-8:]}"


def exact(at: datetime) -> str:
    """A time to the millisecond, in UTC."""
    return f"{at.astimezone(UTC):%Y-%m-%d %H:%M:%S}.{at.microsecond // 1000:03} UTC"


def time(at: datetime | None, style: str = "relative") -> Markup:
    """A time as an element that the page's script turns into the viewer's zone; a dash for None.

    ``style`` is ``relative`` (3 min ago), ``clock`` (the time of day, with the date where it is not today) or
    ``exact`` (to the millisecond).
    """
    if at is None:
        return Markup('<span class="none">—</span>')
    utc = at.astimezone(UTC)
    said = exact(at)
    shown = said if style == "exact" else said[:19]
    # Nothing in it comes from people: to escape it would take most of the time that a page of them takes.
    moment = f"{said[:10]}T{said[11:19]}.{utc.microsecond:06}Z"
    return Markup(f'<time datetime="{moment}" title="{said}" data-time="{style}">{shown}</time>')  # noqa: S704
