"""A bar chart as SVG, written by hand: one series, values at the bars' ends."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final
from xml.sax.saxutils import escape

_WIDTH: Final = 720
_LABEL_WIDTH: Final = 220
_VALUE_WIDTH: Final = 90
_ROW: Final = 34
_TOP: Final = 48
_FOOT: Final = 30
_OURS, _THEIRS = "#1d6f8c", "#b8c4c9"


def bar_chart(title: str, bars: Mapping[str, float], *, highlight: str, unit: str, note: str = "") -> str:
    """The SVG. The longest bar fills the width; `highlight` names the bar in colour."""
    longest = max(bars.values(), default=1.0) or 1.0
    room = _WIDTH - _LABEL_WIDTH - _VALUE_WIDTH
    height = _TOP + _ROW * len(bars) + _FOOT
    size = f'width="{_WIDTH}" height="{height}" viewBox="0 0 {_WIDTH} {height}"'
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" {size} font-family="system-ui, sans-serif" font-size="13">',
        f'<rect width="{_WIDTH}" height="{height}" fill="#ffffff"/>',
        f'<text x="16" y="28" font-size="16" font-weight="600" fill="#1b262b">{escape(title)}</text>',
    ]
    for index, (name, value) in enumerate(bars.items()):
        y = _TOP + index * _ROW
        width = max(1.0, value / longest * room)
        middle = y + _ROW / 2 + 4
        colour = _OURS if name == highlight else _THEIRS
        parts += [
            f'<text x="{_LABEL_WIDTH - 10}" y="{middle:.0f}" text-anchor="end" fill="#1b262b">{escape(name)}</text>',
            f'<rect x="{_LABEL_WIDTH}" y="{y + 6}" width="{width:.1f}" height="{_ROW - 12}" rx="2" fill="{colour}"/>',
            f'<text x="{_LABEL_WIDTH + width + 8:.1f}" y="{middle:.0f}" fill="#1b262b">{value:,.0f}{escape(unit)}</text>',
        ]
    parts.append(f'<text x="16" y="{height - 10}" font-size="11" fill="#5c6b72">{escape(note)}</text>')
    return "\n".join([*parts, "</svg>", ""])
