"""Costs: what requests cost, by whom, and what is used of the budgets; the same sums as `headrace cost` and `headrace budget`."""

from __future__ import annotations

import csv
import io
import time
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Final, cast, get_args

from aiohttp import web

from ops.admin.budget import read_books, rows_of
from ops.admin.cost import By, Summed, name_of, sum_windows
from ops.cli.plain import formula_free, one_line
from ops.ui.render import html
from ops.ui.room import ROOM, Room
from schemas.cost import amount_text
from streams.kafka.provision import ProvisionError
from streams.settings import Settings

_FRESH_S: Final = 15.0
_SHOWN: Final = 200
"""Rows of the page; the CSV has all."""
RANGES: Final[Mapping[str, int]] = {"1h": 3600, "6h": 6 * 3600, "24h": 86_400, "7d": 7 * 86_400, "30d": 30 * 86_400}
_BYS: Final = get_args(By)
_COLUMNS: Final = ("requests", "calls", "cost", "unknown", "estimated", "prompt_tokens", "completion_tokens")


@dataclass(frozen=True, slots=True)
class BudgetLine:
    """One budget and name. Amounts are exact decimals of US dollars; `share` of the amount is spent."""

    budget: str
    name: str
    amount: str
    spent: str
    set_aside: str
    share: float
    ends: str | None
    hard: bool
    reached: tuple[str, ...]
    """The shares of `budgets[].alerts` that it is used up to."""


async def cost(request: web.Request) -> web.Response:
    """GET /cost: `by` and `since`, of `RANGES`."""
    room = request.app[ROOM]
    by, since = _asked(request)
    summed, problem, lines, budget_problem = None, None, [], None
    try:
        summed = await _summed(room, by, since)
    except ProvisionError as error:
        problem = str(error)
    try:
        lines = await room.kept("budgets", _FRESH_S, lambda: budget_lines(room.settings))
    except ProvisionError as error:
        budget_problem = str(error)
    rows = [] if summed is None else [each.row(name) for name, each in summed.sums[:_SHOWN]]
    more = 0 if summed is None else max(0, len(summed.sums) - _SHOWN)
    return html(
        request, "cost.html", by=by, since=since, bys=_BYS, ranges=list(RANGES), rows=rows, more=more, summed=summed,
        total=None if summed is None else _total(summed), problem=problem, lines=lines, budget_problem=budget_problem,
        folded=0 if summed is None else max((each.folded for _, each in summed.sums), default=0),
    )  # fmt: skip


async def cost_csv(request: web.Request) -> web.Response:
    """GET /cost.csv: the same as a file, with all rows."""
    by, since = _asked(request)
    try:
        summed = await _summed(request.app[ROOM], by, since)
    except ProvisionError as error:
        raise web.HTTPServiceUnavailable(text=f"{error}\n") from error
    text = io.StringIO()
    writer = csv.writer(text)
    writer.writerow([by, *_COLUMNS])
    for name, each in summed.sums:
        row = each.row(name)
        writer.writerow([formula_free(one_line(name)), *(row[column] for column in _COLUMNS)])
    headers = {"Content-Disposition": f'attachment; filename="costs-by-{by}-{since}.csv"'}
    return web.Response(text=text.getvalue(), content_type="text/csv", headers=headers)


async def budget_lines(settings: Settings) -> list[BudgetLine]:
    """Every budget and name of which something was spent; none where the settings have no budgets. Raises ProvisionError."""
    if not settings.budgets:
        return []
    alerts = {f"{each.scope}/{each.name}/{each.period}": each.alerts for each in settings.budgets}
    lines = []
    for row in rows_of(await read_books(settings)):
        amount, spent = Decimal(row.amount), Decimal(row.spent)
        share = float(spent / amount) if amount else 1.0
        reached = tuple(f"{each:.0%}" for each in sorted(alerts.get(row.budget, ())) if share >= each)
        lines.append(
            BudgetLine(row.budget, row.name, row.amount, row.spent, row.set_aside, share, row.ends, row.hard, reached)
        )
    return sorted(lines, key=lambda line: (-line.share, line.budget, line.name))


def _asked(request: web.Request) -> tuple[By, str]:
    by, since = request.query.get("by", "tenant"), request.query.get("since", "24h")
    if by not in _BYS or since not in RANGES:
        raise web.HTTPBadRequest(text=f"by is one of {', '.join(_BYS)}; since one of {', '.join(RANGES)}\n")
    return cast("By", by), since


async def _summed(room: Room, by: By, since: str) -> Summed[str]:
    async def read() -> Summed[str]:
        async with room.reading_costs:
            return await sum_windows(room.settings, lambda _, row: name_of(by, row), time.time() - RANGES[since])

    summed: Summed[str] = await room.kept(("cost", by, since), _FRESH_S, read)
    return summed


def _total(summed: Summed[Any]) -> str:
    return amount_text(sum(each.pico for _, each in summed.sums))
