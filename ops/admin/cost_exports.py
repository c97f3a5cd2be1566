"""What providers say that one's use of them cost: their exports, read exactly. Pure.

| export | day | model | money or tokens |
|---|---|---|---|
| OpenAI, `GET /v1/organization/costs` (JSON) | `start_time` of the bucket | `line_item` before ", " | `amount.value`, dollars |
| OpenAI, costs of the usage page (CSV) | `start_time_iso` or `start_time` | `line_item` | `amount_value` |
| OpenAI, `GET /v1/organization/usage/completions` (JSON), and its CSV | as above | `model` | `input_tokens` + `output_tokens` |
| Anthropic, `GET /v1/organizations/cost_report` (JSON) | `starting_at` of the bucket | `model` | `amount`, **cents** |
| Anthropic, cost page of the Console (CSV) | `usage_date_utc` | `model`, as shown to people | `cost_usd`, dollars |

https://platform.openai.com/docs/api-reference/usage/costs, https://platform.claude.com/docs/en/api/admin/cost_report.
Days are UTC.
"""

from __future__ import annotations

import csv
import io
import json
import re
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any, Final, Literal

Vendor = Literal["openai", "anthropic"]
Unit = Literal["usd", "tokens"]
Row = Mapping[str, Any]

ALL_MODELS: Final = "(all models)"
"""Of an export that is not grouped by model."""
_MOST_BYTES: Final = 64 * 1024 * 1024
_KNOWN: Final = (
    "known are OpenAI's costs (amount_value or amount, start_time, line_item), OpenAI's usage (input_tokens, output_tokens, "
    "model), Anthropic's cost report (amount, starting_at, model) and its CSV (usage_date_utc, model, cost_usd)"
)


class ExportError(ValueError):
    """The file is no export that is known; the message is one line."""


@dataclass(slots=True)
class Export:
    """Sums by day and model, in dollars or tokens. `notes`: what whoever reads the sums has to know."""

    vendor: Vendor
    unit: Unit
    sums: dict[tuple[date, str], Decimal] = field(default_factory=lambda: defaultdict(Decimal))
    days: set[date] = field(default_factory=set)
    """All that the export tells of, also those without costs."""
    notes: list[str] = field(default_factory=list)

    @property
    def by_model(self) -> bool:
        """Whether it tells models apart."""
        return not any(model == ALL_MODELS for _, model in self.sums)


def read_export(data: bytes) -> Export:
    """Read any of the exports above. Raises ExportError."""
    if len(data) > _MOST_BYTES:
        raise ExportError("the file is larger than 64 MiB")
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise ExportError("the file is no text in UTF-8") from None
    if not text.strip():
        raise ExportError("the file is empty")
    if text.lstrip()[0] in "{[":
        return _from_json(text)
    return _from_csv(text)


def model_key(name: str) -> str:
    """A model's name without what exports write otherwise: spelling for people, dates of snapshots.

    >>> model_key("Claude Haiku 4.5"), model_key("claude-haiku-4-5-20251001"), model_key("gpt-4o-mini-2024-07-18")
    ('claude-haiku-4-5', 'claude-haiku-4-5', 'gpt-4o-mini')
    """
    plain = re.sub(r"[\s._@]+", "-", name.strip().lower())
    return re.sub(r"-(\d{8}|\d{4}-\d\d-\d\d|latest)$", "", plain)


# ---- JSON


def _from_json(text: str) -> Export:
    pages, buckets = _pages(text), []
    for page in pages:
        found = page.get("data") if isinstance(page, dict) else None
        if not isinstance(found, list) or not all(isinstance(each, dict) for each in found):
            raise ExportError(f"no page of a report: there is no list `data` of buckets in it; {_KNOWN}")
        buckets += found
    if not buckets:
        raise ExportError("the report has no buckets")
    vendor: Vendor = "anthropic" if "starting_at" in buckets[0] else "openai"
    results = [(bucket, result) for bucket in buckets for result in bucket.get("results") or ()]
    is_usage = any("input_tokens" in result for _, result in results)
    export = Export(vendor, "tokens" if is_usage and vendor == "openai" else "usd")
    if isinstance(pages[-1], dict) and pages[-1].get("has_more"):
        export.notes.append("the report goes on (has_more): pages that are not in the file are not compared")
    for bucket in buckets:
        export.days.add(_day(bucket.get("starting_at", bucket.get("start_time"))))
    for bucket, result in results:
        day = _day(bucket.get("starting_at", bucket.get("start_time")))
        if export.unit == "tokens":
            export.sums[day, _model(result.get("model"))] += _tokens(result)
        elif "amount" not in result:
            raise _unknown(result)
        elif vendor == "anthropic":
            _dollars(result.get("currency"))
            name = result.get("model") or _other(result)
            export.sums[day, _model(name)] += _number(result["amount"]) / 100  # cents
        else:
            amount = result["amount"] if isinstance(result["amount"], dict) else {"value": result["amount"]}
            _dollars(amount.get("currency"))
            export.sums[day, _model(_of_line_item(result.get("line_item")))] += _number(amount.get("value"))
    return export


def _pages(text: str) -> list[Any]:
    """One page, a list of pages, or one page a line."""
    try:
        found = json.loads(text, parse_float=Decimal)
    except (ValueError, RecursionError):
        try:
            return [json.loads(line, parse_float=Decimal) for line in text.splitlines() if line.strip()]
        except (ValueError, RecursionError) as error:
            raise ExportError(f"neither JSON nor CSV: {error}") from None
    return found if isinstance(found, list) and found else [found]


# ---- CSV


def _from_csv(text: str) -> Export:
    first = text.lstrip().splitlines()[0]
    delimiter = ";" if first.count(";") > first.count(",") else "\t" if "\t" in first else ","
    reader = csv.DictReader(io.StringIO(text.lstrip()), delimiter=delimiter)
    columns = [(name or "").strip().lower() for name in reader.fieldnames or ()]
    reader.fieldnames = columns
    has = set(columns)
    try:
        rows: Iterable[Row] = list(reader)
    except csv.Error as error:
        raise ExportError(f"not a CSV: {error}") from None
    if {"usage_date_utc", "cost_usd"} <= has:
        return _sum("anthropic", "usd", rows, "usage_date_utc", lambda row: row.get("model") or _other(row), "cost_usd")
    day = next((name for name in ("start_time_iso", "start_time", "date") if name in has), None)
    if day is not None and "amount_value" in has:
        return _sum("openai", "usd", rows, day, lambda row: _of_line_item(row.get("line_item")), "amount_value")
    if day is not None and {"input_tokens", "output_tokens"} <= has:
        return _sum("openai", "tokens", rows, day, lambda row: row.get("model"), None)
    raise _unknown(columns)


def _sum(vendor: Vendor, unit: Unit, rows: Iterable[Row], day: str, model: Any, amount: str | None) -> Export:
    export = Export(vendor, unit)
    for row in rows:
        if not (row.get(day) or "").strip():
            continue
        when = _day(row[day])
        export.days.add(when)
        given = None if amount is None else (row.get(amount) or "").strip()
        if given == "":
            continue  # a day without costs
        _dollars(row.get("amount_currency"))
        export.sums[when, _model(model(row))] += _tokens(row) if given is None else _number(given)
    if not export.days:
        raise ExportError("the file has no rows")
    return export


# ---- parts


def _of_line_item(item: object) -> str | None:
    """`gpt-5-mini-2025-08-07, cached input` is of that model; one without a comma is what it says."""
    return item.partition(", ")[0] if isinstance(item, str) and item.strip() else None


def _other(row: Row) -> str | None:
    """What is no model's: searches and the like; None where the export does not say."""
    kind = row.get("cost_type") or row.get("description")
    return f"({kind})" if isinstance(kind, str) and kind not in ("", "token", "tokens") else None


def _model(name: object) -> str:
    return name.strip() if isinstance(name, str) and name.strip() else ALL_MODELS


def _tokens(row: Row) -> Decimal:
    """The input holds what was cached (`input_cached_tokens`), as the pipeline's own count does."""
    return _number(row.get("input_tokens") or 0) + _number(row.get("output_tokens") or 0)


def _number(given: object) -> Decimal:
    try:
        found = Decimal(str(given).strip())
    except ArithmeticError:
        raise ExportError(f"{str(given)[:40]!r} is no amount") from None
    if not found.is_finite() or abs(found) > 10**15:
        raise ExportError(f"{str(given)[:40]!r} is no amount")
    return found


def _dollars(currency: object) -> None:
    if isinstance(currency, str) and currency.strip() and currency.strip().lower() != "usd":
        raise ExportError(f"costs in {currency[:10]!r}: only US dollars can be compared")


def _day(given: object) -> date:
    """A day in UTC: of Unix seconds, or of an ISO time; one without a zone is UTC, as exports mean it."""
    text = str(given).strip()
    try:
        if text.isdecimal():
            return datetime.fromtimestamp(int(text), UTC).date()
        moment = datetime.fromisoformat(text)
    except (ValueError, OverflowError, OSError):
        raise ExportError(f"{text[:40]!r} is no day") from None
    return (moment if moment.tzinfo is None else moment.astimezone(UTC)).date()


def _unknown(columns: Sequence[str] | Row) -> ExportError:
    named = ", ".join(list(columns)[:20]) or "none"
    return ExportError(f"an export of these columns is not known: {named}; {_KNOWN}")
