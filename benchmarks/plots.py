"""Figures as pictures: SVG files, in which every point can be read."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final, NamedTuple

import pygal
from pygal.style import Style

#: Nothing is loaded from elsewhere when a picture is looked at.
_OPTIONS: Final = {
    "js": [],
    "style": Style(
        font_family="sans-serif", background="white", plot_background="white",
        colors=("#0b62a4", "#c2410c", "#15803d", "#7e22ce", "#a16207"),
    ),
    "width": 800, "height": 400, "legend_at_bottom": True, "truncate_legend": -1, "print_values": True,
    "print_values_position": "top",
    "value_formatter": lambda value: f"{value:,.0f}" if value is not None and value >= 10 else f"{value:.2g}",
}  # fmt: skip


class Line(NamedTuple):
    """A row of points, each a size and a value."""

    name: str
    points: Sequence[tuple[float, float]]


def draw(path: Path, title: str, of: str, lines: Sequence[Line]) -> None:
    """Draw values by size: sizes are labels side by side, as they grow by factors."""
    most = max((value for line in lines for _, value in line.points), default=1)
    chart = pygal.Line(title=title, x_title=of, range=(0, 1.1 * most), margin_right=70, **_OPTIONS)
    sizes = sorted({size for line in lines for size, _ in line.points})
    chart.x_labels = [f"{size:,.0f}" for size in sizes]
    for line in lines:
        known = dict(line.points)
        chart.add(line.name, [known.get(size) for size in sizes])
    _write(chart, path)


def draw_bars(path: Path, title: str, values: Mapping[str, float]) -> None:
    """Draw a value for each of several names."""
    chart = pygal.HorizontalBar(title=title, show_legend=False, **_OPTIONS)
    chart.x_labels = list(values)
    chart.add("", list(values.values()))
    _write(chart, path)


def draw_course(path: Path, title: str, unit: str, lines: Sequence[Line]) -> None:
    """Draw values by the time at which they were seen."""
    chart = pygal.XY(title=title, x_title=unit, **{**_OPTIONS, "print_values": False, "dots_size": 1})
    for line in lines:
        chart.add(line.name, list(line.points))
    _write(chart, path)


def _write(chart: "pygal.graph.graph.Graph", path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    chart.render_to_file(str(path))
