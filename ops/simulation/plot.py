"""Line charts as SVG, written by hand: panels below each other that share the x axis, a legend in each."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from math import ceil, floor, log10
from typing import Final
from xml.sax.saxutils import escape

_WIDTH: Final = 860
_LEFT, _RIGHT = 64, 20
_TOP, _PANEL, _GAP, _FOOT = 56, 170, 44, 56
_INK, _FAINT, _GRID = "#1b262b", "#5c6b72", "#e3e9ec"
COLOURS: Final = ("#1d6f8c", "#d9822b", "#7a8b93", "#8a4f9e", "#3f8f4f")

Points = Sequence[tuple[float, float]]


@dataclass(frozen=True, slots=True)
class Line:
    """One series, ascending in x. `steps` holds each value until the next; `fill` shades what is below."""

    name: str
    points: Points
    colour: str = COLOURS[0]
    steps: bool = False
    fill: bool = False
    dashed: bool = False


@dataclass(frozen=True, slots=True)
class Panel:
    """Lines with one y axis, from 0 (or `bottom`) to a round number above the highest point."""

    title: str
    lines: Sequence[Line]
    bottom: float = 0.0


def line_chart(
    title: str,
    panels: Sequence[Panel],
    *,
    x_ticks: Sequence[float],
    x_text: Callable[[float], str] = lambda x: f"{x:g}",
    x_title: str = "",
    note: str = "",
) -> str:
    """The SVG. The x axis runs from the first to the last of `x_ticks`; `x_text` writes a tick."""
    height = _TOP + len(panels) * (_PANEL + _GAP) - _GAP + _FOOT
    size = f'width="{_WIDTH}" height="{height}" viewBox="0 0 {_WIDTH} {height}"'
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" {size} font-family="system-ui, sans-serif" font-size="12">',
        f'<rect width="{_WIDTH}" height="{height}" fill="#ffffff"/>',
        f'<text x="16" y="24" font-size="16" font-weight="600" fill="{_INK}">{escape(title)}</text>',
    ]
    for index, panel in enumerate(panels):
        parts += _panel(panel, _TOP + index * (_PANEL + _GAP), x_ticks)
    bottom = height - _FOOT
    for x in x_ticks:
        at = _x(x, x_ticks)
        parts.append(
            f'<text x="{at:.1f}" y="{bottom + 16}" text-anchor="middle" fill="{_FAINT}">{escape(x_text(x))}</text>'
        )
    if x_title:
        parts.append(
            f'<text x="{_WIDTH - _RIGHT}" y="{bottom + 32}" text-anchor="end" fill="{_FAINT}">{escape(x_title)}</text>'
        )
    parts.append(f'<text x="16" y="{height - 10}" font-size="11" fill="{_FAINT}">{escape(note)}</text>')
    return "\n".join([*parts, "</svg>", ""])


def _panel(panel: Panel, top: float, x_ticks: Sequence[float]) -> Iterator[str]:
    highest = max((y for line in panel.lines for _, y in line.points), default=1.0)
    y_ticks = round_ticks(panel.bottom, highest)
    low, high = y_ticks[0], y_ticks[-1]

    def y_of(value: float) -> float:
        return top + _PANEL - (value - low) / (high - low) * _PANEL

    yield f'<text x="{_LEFT}" y="{top - 8}" fill="{_INK}" font-weight="600">{escape(panel.title)}</text>'
    for value in y_ticks:
        yield f'<line x1="{_LEFT}" x2="{_WIDTH - _RIGHT}" y1="{y_of(value):.1f}" y2="{y_of(value):.1f}" stroke="{_GRID}"/>'
        yield f'<text x="{_LEFT - 8}" y="{y_of(value) + 4:.1f}" text-anchor="end" fill="{_FAINT}">{value:,.10g}</text>'
    at = _WIDTH - _RIGHT
    for line in reversed(panel.lines):
        at -= 7 * len(line.name) + 30
        yield f'<line x1="{at}" x2="{at + 18}" y1="{top - 12}" y2="{top - 12}" stroke="{line.colour}" stroke-width="3"/>'
        yield f'<text x="{at + 23}" y="{top - 8}" fill="{_INK}">{escape(line.name)}</text>'
    for line in panel.lines:
        places = [(_x(x, x_ticks), y_of(min(max(y, low), high))) for x, y in line.points]
        if line.steps:
            places = [corner for one, two in pairwise(places) for corner in (one, (two[0], one[1]))] + places[-1:]
        drawn = " ".join(f"{x:.1f},{y:.1f}" for x, y in places)
        if line.fill and places:
            ground = f"{places[-1][0]:.1f},{y_of(low):.1f} {places[0][0]:.1f},{y_of(low):.1f}"
            yield f'<polygon points="{drawn} {ground}" fill="{line.colour}" fill-opacity="0.18"/>'
        dash = ' stroke-dasharray="5 4"' if line.dashed else ""
        yield f'<polyline points="{drawn}" fill="none" stroke="{line.colour}" stroke-width="1.8"{dash}/>'


def _x(x: float, x_ticks: Sequence[float]) -> float:
    return _LEFT + (x - x_ticks[0]) / (x_ticks[-1] - x_ticks[0]) * (_WIDTH - _LEFT - _RIGHT)


def round_ticks(low: float, high: float, about: int = 4) -> list[float]:
    """Round numbers from `low` or below to `high` or above, `about` so many steps apart.

    >>> round_ticks(0, 43), round_ticks(0, 0.7)
    ([0.0, 10.0, 20.0, 30.0, 40.0, 50.0], [0.0, 0.2, 0.4, 0.6, 0.8])
    """
    span = max(high - low, 1e-9)
    rough = span / about
    unit = 10.0 ** floor(log10(rough))
    step = min((unit * factor for factor in (1, 2, 5, 10)), key=lambda each: abs(each - rough))
    first, last = floor(low / step), max(ceil(high / step), floor(low / step) + 1)
    return [round(number * step, 12) for number in range(first, last + 1)]
