"""Figures and strangers' text as pages write them. Pure.

Templates escape markup. What is left are characters that a browser obeys or hides in text: directions of writing, controls and
what is not seen become escapes here, as on terminals (ops/cli/plain.py).
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from markupsafe import Markup

from ops.cli.plain import plain


def shown(value: Any) -> Any:
    """What an expression of a template writes."""
    if value is None:
        return ""
    return plain(value) if type(value) is str else value


def moment(unix_ms: float | None) -> Markup:
    """A time as an element; the browser's script shows it in its own zone, without one it is UTC.

    >>> moment(1_700_000_000_123)
    Markup('<time datetime="2023-11-14T22:13:20.123Z">2023-11-14 22:13:20.123</time>')
    """
    if not unix_ms:
        return Markup("–")
    at = datetime.fromtimestamp(unix_ms / 1000, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    return Markup('<time datetime="{}">{}</time>').format(at, at[:-1].replace("T", " "))


def duration(seconds: float | None) -> str:
    """A duration in the unit that reads best.

    >>> duration(0.0004), duration(0.25), duration(12.34), duration(200), duration(90_000), duration(None)
    ('0.4 ms', '250 ms', '12.3 s', '3 min 20 s', '25 h 0 min', '–')
    """
    if seconds is None:
        return "–"
    if seconds < 0.01:
        return f"{seconds * 1000:.1f} ms"
    if seconds < 1:
        return f"{seconds * 1000:.0f} ms"
    if seconds < 60:
        return f"{seconds:.1f} s"
    if seconds < 3600:
        return f"{seconds // 60:.0f} min {seconds % 60:.0f} s"
    return f"{seconds // 3600:.0f} h {seconds % 3600 // 60:.0f} min"


def count(number: float | None) -> str:
    """A number with separators, as many digits as it needs.

    >>> count(12345), count(0.5), count(3.0), count(None)
    ('12,345', '0.5', '3', '–')
    """
    if number is None:
        return "–"
    return f"{number:,.0f}" if number == round(number) else f"{number:,.1f}"


def share(part: float | None) -> str:
    """A share in per cent.

    >>> share(0.123), share(0.0004), share(1.0), share(None)
    ('12.3 %', '0.04 %', '100 %', '–')
    """
    if part is None:
        return "–"
    if 0 < part < 0.001:
        return f"{part * 100:.2f} %"
    return f"{part * 100:.1f} %".replace(".0 %", " %")


def size(number: float | None) -> str:
    """Bytes.

    >>> size(512), size(2_500), size(3_000_000)
    ('512 B', '2.5 kB', '3.0 MB')
    """
    if number is None:
        return "–"
    for unit, factor in (("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if number >= factor:
            return f"{number / factor:.1f} {unit}"
    return f"{number:.0f} B"
