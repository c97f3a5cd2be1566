"""A provider's export beside the windows of costs, by day and model."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any, Final
from urllib.parse import urlsplit

from ops.admin.cost import sum_windows
from ops.admin.cost_exports import ALL_MODELS, Export, Vendor, model_key
from schemas.cost import PICO
from schemas.cost_window import CostRow
from streams.errors import HeadraceError
from streams.money.sums import Sum
from streams.settings import Settings

COLUMNS: Final = ("day", "model", "unit", "ours", "theirs", "difference", "percent", "verdict")
_HOSTS: Final[Mapping[Vendor, str]] = {"openai": "openai.com", "anthropic": "anthropic.com"}
_MOST_DAYS: Final = 366


class ReconcileError(HeadraceError):
    """The two cannot be compared; the message is one line."""


@dataclass(slots=True)
class Compared:
    """A row a day and model. `differs`: some row differs by more than was allowed."""

    rows: list[dict[str, Any]] = field(default_factory=list)
    differs: bool = False
    notes: list[str] = field(default_factory=list)


async def compare(
    settings: Settings, export: Export, provider: str | None, tolerance: float, now: datetime | None = None
) -> Compared:
    """Read the windows of the export's days, and compare. Raises ReconcileError, ProvisionError."""
    names = providers_of(settings, export.vendor, provider)
    first, last = min(export.days), max(export.days)
    if (last - first).days > _MOST_DAYS:
        raise ReconcileError(f"the export is of more than {_MOST_DAYS} days")

    def group(minute: int, row: CostRow) -> tuple[date, str] | None:
        return (datetime.fromtimestamp(minute, UTC).date(), row.model) if row.provider in names else None

    begin, end = _midnight(first), _midnight(last + timedelta(days=1))
    summed = await sum_windows(settings, group, begin.timestamp(), end.timestamp())
    now = now or datetime.now(UTC)
    if summed.reaches is None:
        raise ReconcileError("there are no windows of costs to compare with")
    whole, left_out = whole_days(export.days, summed.reaches, now)
    if not whole:
        raise ReconcileError(f"no day can be compared: {'; '.join(left_out)}")
    notes = [*export.notes, f"ours: windows of {', '.join(sorted(names))}", *left_out]
    ours: dict[tuple[date, str], Sum] = dict(summed.sums)
    return compared(export, ours, whole, tolerance, notes)


def providers_of(settings: Settings, vendor: Vendor, named: str | None) -> frozenset[str]:
    """The providers of the settings whose bill it is. Raises ReconcileError."""
    known = [each.name for each in settings.providers]
    if named is not None:
        if known and named not in known:
            raise ReconcileError(f"there is no provider {named!r}; there are: {', '.join(known)}")
        return frozenset({named})
    found = frozenset(
        each.name
        for each in settings.providers
        if each.price_list == vendor
        or any((urlsplit(endpoint.url).hostname or "").endswith(_HOSTS[vendor]) for endpoint in each.endpoints)
    )
    if not found:
        raise ReconcileError(
            f"no provider of the settings is {vendor}'s by its URL or price_list: name one with --provider; there are: "
            f"{', '.join(known) or 'none'}"
        )
    return found


def compared(
    export: Export,
    ours: Mapping[tuple[date, str], Sum],
    days: set[date],
    tolerance: float,
    notes: list[str] | None = None,
) -> Compared:
    """The rows of these days. What is no model's (searches and other fees) is told and does not count as a difference: costs
    are of tokens. Pure.
    """
    outcome = Compared(notes=notes or [])
    mine, theirs, labels = _by_key(export, ours, days)
    for key in sorted(set(mine) | set(theirs)):
        day, model = key[0], labels[key]
        fee = model.startswith("(") and model != ALL_MODELS
        difference = mine[key] - theirs[key]
        within = abs(difference) <= Decimal(str(tolerance)) * abs(theirs[key])
        verdict = "not counted" if fee else "same" if within else "differs"
        outcome.differs |= verdict == "differs"
        outcome.rows.append({
            "day": day.isoformat(), "model": model, "unit": export.unit, "ours": _text(mine[key]), "theirs": _text(theirs[key]),
            "difference": _text(difference), "percent": _percent(difference, theirs[key]), "verdict": verdict,
        })  # fmt: skip
    if not outcome.rows:
        outcome.notes.append("nothing to compare: neither side has costs on these days")
    unknown = sum(each.unknown for (day, _), each in ours.items() if day in days)
    if unknown and export.unit == "usd":
        outcome.notes.append(f"{unknown} requests of ours have no known price: name one in [[prices]]")
    return outcome


_Key = tuple[date, str]


def _by_key(
    export: Export, ours: Mapping[_Key, Sum], days: set[date]
) -> tuple[Mapping[_Key, Decimal], Mapping[_Key, Decimal], Mapping[_Key, str]]:
    """Both sides by day and the model's plain name; and how each is called for people."""
    plain: Callable[[str], str] = model_key if export.by_model else lambda _: ALL_MODELS
    mine: dict[_Key, Decimal] = defaultdict(Decimal)
    theirs: dict[_Key, Decimal] = defaultdict(Decimal)
    labels: dict[_Key, str] = {}
    for (day, model), amount in export.sums.items():
        if day in days:
            theirs[day, plain(model)] += amount
            labels[day, plain(model)] = model if export.by_model else ALL_MODELS
    for (day, model), each in ours.items():
        if day in days:
            tokens = Decimal(each.prompt_tokens + each.completion_tokens)
            mine[day, plain(model)] += Decimal(each.pico) / PICO if export.unit == "usd" else tokens
            labels.setdefault((day, plain(model)), (model or "-") if export.by_model else ALL_MODELS)
    return mine, theirs, labels


def whole_days(days: set[date], reaches: datetime, now: datetime) -> tuple[set[date], list[str]]:
    """The days that are over and that the windows have from their start; and why others are left out, a line for each. Pure."""
    whole, left_out = set(), []
    for day in sorted(days):
        if _midnight(day) < reaches:
            left_out.append(f"{day} is left out: the windows begin at {reaches:%Y-%m-%dT%H:%M:%SZ}")
        elif _midnight(day + timedelta(days=1)) > now:
            left_out.append(f"{day} is left out: it is not over")
        else:
            whole.add(day)
    return whole, left_out


def _midnight(day: date) -> datetime:
    return datetime(day.year, day.month, day.day, tzinfo=UTC)


def _text(amount: Decimal) -> str:
    plain = f"{amount:f}"
    return (plain.rstrip("0").rstrip(".") if "." in plain else plain) or "0"


def _percent(difference: Decimal, theirs: Decimal) -> str:
    if not theirs:
        return "0.00" if not difference else "-"
    return f"{difference / theirs * 100:.2f}"
