"""The report of a run as one HTML page without anything from elsewhere, and as JSON."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from html import escape
from pathlib import Path
from typing import Final

import orjson

from ops.lab.checker import BOUND_S
from ops.lab.figures import MIB, answers_over_time, as_json, drifts, one_line, slowest_over_time
from ops.lab.run import Outcome
from ops.simulation.plot import COLOURS, Line, Panel, line_chart, round_ticks

AVAILABILITY: Final = 0.999
DRIFT_PERCENT: Final = 2.0
_LEAST_FOR_DRIFT_S: Final = 600.0
"""What is shorter is all warming up."""

_STEPS: Final = 120
_COLOUR: Final = {
    "ok": COLOURS[4],
    "error": COLOURS[1],
    "expired": COLOURS[3],
    "rejected": COLOURS[2],
    "dead": "#1b262b",
}
_STYLE: Final = (
    "body{font:15px/1.5 system-ui,sans-serif;color:#1b262b;max-width:900px;margin:2rem auto;padding:0 1rem}"
    "table{border-collapse:collapse;margin:1rem 0;width:100%}td,th{padding:.25rem .6rem;border-bottom:1px solid #e3e9ec;"
    "text-align:left;font-variant-numeric:tabular-nums}td.n{text-align:right}.bad{color:#a3261f;font-weight:600}"
    ".good{color:#2c6e3f;font-weight:600}code{background:#f2f5f6;padding:.1rem .3rem}svg{max-width:100%;height:auto}"
)


def write_report(outcome: Outcome, folder: Path) -> tuple[Path, Path]:
    """Write `report.html` and `report.json` into a folder; where they are."""
    folder.mkdir(parents=True, exist_ok=True)
    page, data = folder / "report.html", folder / "report.json"
    page.write_text(as_html(outcome))
    data.write_bytes(orjson.dumps(as_json(outcome), option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE))
    return page, data


def bars(outcome: Outcome) -> list[tuple[str, str, bool]]:
    """What must be reached: its name, what was seen, and whether it is."""
    verdict = outcome.verdict
    recovered = max((each.recovered_s for each in outcome.recoveries), default=0.0)
    found = [
        ("requests lost", str(verdict.lost), not verdict.lost),
        ("promises broken", str(len(verdict.violations)), not verdict.violations),
        ("ok where providers live", f"{verdict.availability:.3%}", verdict.availability >= AVAILABILITY),
        ("longest recovery", f"{recovered:.1f} s", recovered <= BOUND_S),
        ("fullest window of a limit", f"{verdict.most_of_limit:.0%}", verdict.most_of_limit <= 1),
    ]
    if outcome.load_s >= _LEAST_FOR_DRIFT_S:
        followed = [each for each in drifts(outcome.samples) if each.lived_s > outcome.load_s * 0.9]
        drift = max((each.percent for each in followed if each.process[0] in "wc"), default=0.0)
        found.append(("memory, last quarter beside the second", f"{drift:+.1f} %", drift < DRIFT_PERCENT))
    return found


def as_html(outcome: Outcome) -> str:
    """The page."""
    return "\n".join(
        [
            '<!doctype html><html lang="en"><head><meta charset="utf-8"><title>Headrace soak</title>',
            f"<style>{_STYLE}</style></head><body>",
            f"<h1>Soak of {outcome.load_s / 3600:.2f} h{' (interrupted)' if outcome.interrupted else ''}</h1>",
            f"<p>{escape(one_line(outcome))}</p>",
            *_table(("must be reached", "seen", ""), [_bar(*bar) for bar in bars(outcome)]),
            *(f'<p class="bad">{escape(str(each))}</p>' for each in outcome.verdict.violations[:50]),
            _chart(outcome),
            *_more(outcome),
            "</body></html>",
            "",
        ]
    )


def _bar(name: str, seen: str, reached: bool) -> tuple[str, str, str]:
    return (
        escape(name),
        escape(seen),
        f'<span class="{"good" if reached else "bad"}">{"yes" if reached else "no"}</span>',
    )


def _more(outcome: Outcome) -> Iterator[str]:
    figures = as_json(outcome)
    names = (
        "asked",
        "answered",
        "lost",
        "answered_twice",
        "provider_calls",
        "paid_twice",
        "asked_where_providers_live",
    )
    rows: list[tuple[str, ...]] = [(name.replace("_", " "), str(figures[name])) for name in names]
    rows += [(f"status {name}", str(count)) for name, count in figures["statuses"].items()]
    rows += [(f"reason {escape(name)}", str(count)) for name, count in figures["reasons"].items()]
    rows += [(f"latency {name}", f"{value / 1000:.2f} s") for name, value in figures["latency_ms"].items()]
    yield "<h2>Figures</h2>"
    yield from _table(("", ""), rows)
    yield "<h2>Faults</h2>"
    yield from _table(
        ("at s", "fault", "of", "lasted s", "slow requests", "felt s", "recovered s"),
        [
            (
                f"{fault['at_s']:.0f}",
                fault["kind"],
                escape(fault["detail"]),
                f"{fault['lasted_s']:.1f}",
                str(fault["slow_requests"]),
                f"{fault['felt_s']:.1f}",
                f"{fault['recovered_s']:.1f}",
            )
            for fault in figures["faults"]
        ],
    )
    yield "<h2>Memory</h2>"
    yield from _table(
        ("process", "lived s", "second quarter MiB", "last quarter MiB", "change %"),
        [
            (
                escape(each.process),
                f"{each.lived_s:.0f}",
                f"{each.early_mib:.1f}",
                f"{each.late_mib:.1f}",
                f"{each.percent:+.2f}",
            )
            for each in drifts(outcome.samples)
        ],
    )
    yield f"<p>The same faults again: <code>{escape(outcome.schedule.command())}</code></p>"


def _table(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> Iterator[str]:
    yield f"<table><tr>{''.join(f'<th>{head}</th>' for head in heads)}</tr>"
    for row in rows:
        yield f"<tr>{''.join(f'<td>{cell}</td>' for cell in row)}</tr>"
    yield "</table>"


def _chart(outcome: Outcome) -> str:
    step_s = max(1.0, outcome.load_s / _STEPS)
    by_status = answers_over_time(outcome.book, step_s)
    answers = [
        Line(name, points, _COLOUR.get(name, COLOURS[0]), steps=True, fill=name == "ok")
        for name, points in by_status.items()
    ]
    followed = [each.process for each in drifts(outcome.samples) if each.process[0] in "wc"][:5]
    memory = [
        Line(
            name,
            [(s.at - outcome.began_at, s.rss[name] / MIB) for s in outcome.samples if s.rss.get(name)],
            COLOURS[place % len(COLOURS)],
        )
        for place, name in enumerate(followed)
    ]
    panels = [
        Panel("answers a second", answers),
        Panel(
            "longest wait, s",
            [Line("wait", slowest_over_time(outcome.book, step_s), COLOURS[1], steps=True, fill=True)],
        ),
        *([Panel("resident memory, MiB", memory)] if memory else []),
    ]
    ticks = round_ticks(0, max(outcome.load_s, 1.0), about=8)
    return line_chart("Answers, waits and memory", panels, x_ticks=ticks, x_title="seconds")
