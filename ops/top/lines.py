"""A picture as lines of a terminal. Pure.

Strangers' names cannot steer the terminal (ops/cli/plain.py), and take the columns that they are drawn in: a name of wide
characters moves no column beside it.
"""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final, Literal

from rich.cells import cell_len, set_cell_size

from ops.cli.plain import one_line
from ops.top.keys import VIEWS, Looking
from ops.top.picture import Picture
from ops.ui.text import count, duration, share, size
from streams.waits import WORDS

Style = Literal["", "head", "bold", "dim", "calm", "watch", "act"]

LEAST_COLUMNS: Final = 60
_FIGURE: Final = 20
_MOST_AGENTS: Final = 100

HELP: Final = (
    "tab, left, right   the other view; 1 Overview, 2 Queues",
    "up, down, space    scroll",
    "p                  hold the picture; p again: go on",
    "q, ctrl-C          end",
    "?                  this, and back",
    "",
    "Figures are those of the control room: the newest samples of the workers, and what each worker says when it is asked.",
)


@dataclass(frozen=True, slots=True)
class Line:
    """One line, no wider than it was asked for."""

    text: str
    style: Style = ""


def snapshot(picture: Picture, columns: int) -> list[Line]:
    """Both views under one another, for a pipe or a file."""
    lines = [Line(_fitted(f"headrace top  {_clock(picture)}", columns), "bold")]
    return [*lines, Line(""), *overview(picture, columns), Line(""), *queues(picture, columns, classes=False)]


def screen(
    picture: Picture, looking: Looking, columns: int, rows: int, problem: str | None = None
) -> tuple[list[Line], Looking]:
    """Exactly `rows` lines, and the view as far as it could be scrolled."""
    body = body_of(picture, looking, columns)
    room = max(1, rows - 3)
    looking = looking.scrolled(looking.top, room, len(body))
    shown = body[looking.top : looking.top + room]
    left = len(body) - looking.top - len(shown)
    tabs = "  ".join(f"[{each}]" if each == looking.view and not looking.help else f" {each} " for each in VIEWS)
    state = "held" if looking.paused else _clock(picture)
    foot = problem or "q end  p hold  tab other view  ? help" + (f"  {left} more below" if left else "")
    lines = [
        Line(_fitted(_beside(f"headrace top {tabs}", state, columns), columns), "bold"),
        Line(""),
        *shown,
        *[Line("")] * (room - len(shown)),
        Line(_fitted(one_line(foot), columns), "act" if problem else "dim"),
    ]
    return lines[:rows], looking


def body_of(picture: Picture, looking: Looking, columns: int) -> list[Line]:
    """What is scrolled."""
    if looking.help:
        return [Line(text) for each in HELP for text in _wrapped(each, columns)]
    return (overview if looking.view == "overview" else queues)(picture, columns)


def overview(picture: Picture, columns: int) -> list[Line]:
    """How much passes, how fast, what fails, what limits the fleet now; classes and workers."""
    verdict = [
        Line(text, picture.verdict.level) for text in _wrapped(f"Limits now: {picture.verdict.sentence}", columns)
    ]
    figures = [
        ("answers/s", count(picture.answers_per_s)),
        *((name, duration(value)) for name, value in picture.latency.items()),
        ("failed", share(picture.failed)),
        ("waiting", count(picture.waiting)),
        ("calls", count(picture.in_flight)),
        ("workers", count(len(picture.workers))),
        ("cpu", share(picture.cpu)),
        ("memory", share(picture.memory)),
    ]
    workers = [
        (
            each.worker_id,
            count(each.partitions),
            count(each.waiting),
            count(each.in_flight),
            duration(each.oldest_s),
            share(each.cpu),
            share(each.memory),
        )
        for each in picture.workers
    ]
    problems = [
        Line(text, "dim")
        for each in picture.workers
        if each.problem
        for text in _wrapped(f"{each.worker_id}: {each.problem}", columns)
    ]
    return [
        *verdict,
        Line(""),
        *_figures(figures, columns),
        Line(""),
        *_classes(picture, columns),
        Line(""),
        *_table(
            ("worker", "parts", "waiting", "calls", "oldest", "cpu", "memory"), workers, columns, "No worker reports."
        ),
        *problems,
    ]


def queues(picture: Picture, columns: int, *, classes: bool = True) -> list[Line]:
    """Who waits for what."""
    reasons = [
        (
            each.priority,
            count(each.requests),
            duration(each.oldest_s),
            f"{each.reason}{f' ({each.of})' if each.of else ''}: {WORDS.get(each.reason, 'not known here')}",  # type: ignore[call-overload]
        )
        for each in picture.waiting_for
    ]
    agents = [
        (
            f"{each.tenant}/{each.agent_id}" if each.tenant else each.agent_id,
            count(each.waiting),
            count(each.in_flight),
            share(each.busy_share),
            size(each.bytes),
            "behind all others" if each.behind else "",
        )
        for each in picture.agents[:_MOST_AGENTS]
    ]
    nothing = "Nothing waits in a worker that could be asked."
    return [
        *([*_classes(picture, columns), Line("")] if classes else []),
        *_table(("class", "requests", "oldest", "waits for"), reasons, columns, nothing, wide=3),
        Line(""),
        *_table(("agent", "waiting", "calls", "time", "memory", ""), agents, columns, "No agent has requests."),
    ]


def _classes(picture: Picture, columns: int) -> list[Line]:
    rows = [
        (
            each.name,
            count(each.lag),
            count(each.waiting),
            duration(each.oldest_s),
            "paused" if each.paused else "on",
        )
        for each in picture.classes
    ]
    lines = _table(("class", "in Kafka", "waiting", "oldest", "dispatch"), rows, columns, "")
    if picture.oldest_in_kafka_s:
        text = f"The oldest record in Kafka that is not committed: {duration(picture.oldest_in_kafka_s)}."
        lines += [Line(each) for each in _wrapped(text, columns)]
    return lines


def _figures(figures: Sequence[tuple[str, str]], columns: int) -> list[Line]:
    a_row = max(1, columns // _FIGURE)
    cells = [f"{name:<9} {value}" for name, value in figures]
    return [
        Line(_fitted("".join(set_cell_size(each, _FIGURE) for each in cells[at : at + a_row]), columns))
        for at in range(0, len(cells), a_row)
    ]


def _table(head: Sequence[str], rows: Iterable[Sequence[str]], columns: int, empty: str, wide: int = 0) -> list[Line]:
    """Columns as wide as they have to be, numbers to the right; the column `wide` has what is left, and is cut."""
    shown = [[one_line(text) for text in row] for row in rows]
    widths = [max(cell_len(row[at]) for row in (head, *shown)) for at in range(len(head))]
    others = sum(widths) - widths[wide] + 2 * (len(head) - 1)
    widths[wide] = max(8, min(widths[wide], columns - others))

    def line(row: Sequence[str]) -> str:
        cells = []
        for at, text in enumerate(row):
            if at in (0, wide) or at == len(row) - 1:
                cells.append(set_cell_size(_cut(text, widths[at]), widths[at]))
            else:
                cells.append(" " * (widths[at] - cell_len(text)) + text)
        return _fitted("  ".join(cells), columns)

    return [
        Line(line(head), "head"),
        *(Line(line(row)) for row in shown),
        *([] if shown or not empty else [Line(empty)]),
    ]


def _cut(text: str, width: int) -> str:
    """A name that is too long, without its middle: both of its ends tell something."""
    if cell_len(text) <= width:
        return text
    tail = (width - 1) // 3
    return (
        set_cell_size(text, width - 1 - tail).rstrip() + "…" + text[len(text) - tail :]
        if tail
        else set_cell_size(text, width)
    )


def _wrapped(text: str, columns: int) -> list[str]:
    return [_fitted(each, columns) for each in textwrap.wrap(one_line(text), columns)] or [""]


def _fitted(text: str, columns: int) -> str:
    text = text.rstrip()
    return text if cell_len(text) <= columns else set_cell_size(text, columns)


def _beside(left: str, right: str, columns: int) -> str:
    return left + " " * max(1, columns - cell_len(left) - cell_len(right)) + right


def _clock(picture: Picture) -> str:
    return datetime.fromtimestamp(picture.at, UTC).strftime("%H:%M:%S UTC")
