"""Providers' exports of costs beside our own sums: their columns, their units, and their oddities."""

from __future__ import annotations

from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

import orjson
import pytest

from ops.admin.cost_exports import ALL_MODELS, ExportError, model_key, read_export
from ops.admin.reconcile import ReconcileError, compared, providers_of, whole_days
from schemas.cost import PICO
from streams.money.sums import Sum
from streams.settings import Settings

DAY = date(2026, 9, 28)
START = 1_790_553_600
OPENAI_COSTS = {
    "object": "page",
    "data": [
        {"object": "bucket", "start_time": START, "end_time": START + 86_400, "results": [
            {"object": "organization.costs.result", "amount": {"value": 0.06, "currency": "usd"},
             "line_item": "gpt-5-mini-2025-08-07, input", "project_id": None},
            {"object": "organization.costs.result", "amount": {"value": 1e-06, "currency": "usd"},
             "line_item": "gpt-5-mini-2025-08-07, cached input", "project_id": None},
        ]},
    ],
    "has_more": False, "next_page": None,
}  # fmt: skip
ANTHROPIC_COSTS = {
    "data": [
        {"starting_at": "2026-09-28T00:00:00Z", "ending_at": "2026-09-29T00:00:00Z", "results": [
            {"currency": "USD", "amount": "123.45", "model": "claude-haiku-4-5-20251001", "cost_type": "tokens",
             "token_type": "output_tokens", "description": "Claude Haiku 4.5 Usage - Output Tokens"},
            {"currency": "USD", "amount": "1.5", "model": None, "cost_type": "web_search", "token_type": None},
        ]},
    ],
    "has_more": True, "next_page": "page_2",
}  # fmt: skip
ANTHROPIC_CSV = (
    "usage_date_utc,model,workspace,api_key,usage_type,context_window,token_type,cost_usd,list_price_usd,cost_type,speed\n"
    "2026-09-28,Claude Haiku 4.5,Default,k,message,≤ 200k,input_no_cache,0.05,0.05,token,\n"
    "2026-09-28,Claude Haiku 4.5,Default,k,message,≤ 200k,output,0.02,0.02,token,\n"
)
OPENAI_HEADER = (
    "start_time,end_time,start_time_iso,end_time_iso,amount_value,amount_currency,quantity,quantity_unit,line_item,"
    "project_id\n"
)


def read(document: object) -> Any:
    return read_export(document.encode() if isinstance(document, str) else orjson.dumps(document))


def test_openais_costs_are_dollars_by_the_line_items_model() -> None:
    export = read(OPENAI_COSTS)
    assert (export.vendor, export.unit) == ("openai", "usd")
    assert export.sums == {(DAY, "gpt-5-mini-2025-08-07"): Decimal("0.060001")}


def test_anthropics_amounts_are_cents_and_what_is_no_models_is_told_apart() -> None:
    """https://platform.claude.com/docs/en/api/admin/cost_report: "123.45" in USD is 1.23 dollars."""
    export = read(ANTHROPIC_COSTS)
    assert export.sums[DAY, "claude-haiku-4-5-20251001"] == Decimal("1.2345")
    assert export.sums[DAY, "(web_search)"] == Decimal("0.015")
    assert "goes on" in export.notes[0]


def test_anthropics_csv_names_models_for_people_and_is_in_dollars() -> None:
    """Its columns as in a synthetic export of axigatelabs/axigate-finops."""
    export = read("\ufeff" + ANTHROPIC_CSV)
    assert export.sums == {(DAY, "Claude Haiku 4.5"): Decimal("0.07")}
    ours = {(DAY, "claude-haiku-4-5-20251001"): Sum(requests=1, pico=7 * PICO // 100)}
    (row,) = compared(export, ours, {DAY}, 0.0).rows
    assert (row["verdict"], row["difference"], row["percent"]) == ("same", "0", "0.00")


def test_openais_csv_has_days_without_costs_and_times_without_a_zone_that_are_utc() -> None:
    """Its header, empty days and 30 decimals: a synthetic export in a test of a converter to aiecon, found publicly."""
    rows = (
        "1790467200,1790553600,2026-09-27T00:00:00+00:00,2026-09-28T00:00:00+00:00,,,,,,\n"
        "1790553600,1790640000,2026-09-28T00:00:00,2026-09-29T00:00:00,0.003835980000000000000000000000,usd,,,,\n"
    )
    export = read(OPENAI_HEADER + rows)
    assert export.sums == {(DAY, ALL_MODELS): Decimal("0.00383598")}
    assert export.days == {DAY, date(2026, 9, 27)}
    ours = {(DAY, "m-1"): Sum(pico=2 * 10**9), (DAY, "m-2"): Sum(pico=183598 * 10**4)}
    outcome = compared(export, ours, export.days, 0.0)
    assert [(row["model"], row["difference"]) for row in outcome.rows] == [(ALL_MODELS, "0")]


def test_usage_is_compared_by_tokens_and_the_input_holds_what_was_cached() -> None:
    usage = {
        "input_tokens": 100,
        "input_cached_tokens": 60,
        "output_tokens": 7,
        "model": "gpt-5-mini",
        "num_model_requests": 2,
    }
    document = {"data": [{"start_time": START, "results": [usage]}]}
    ours = {(DAY, "gpt-5-mini-2025-08-07"): Sum(prompt_tokens=100, completion_tokens=7)}
    (row,) = compared(read(document), ours, {DAY}, 0.0).rows
    assert (row["unit"], row["ours"], row["theirs"], row["verdict"]) == ("tokens", "107", "107", "same")


@pytest.mark.parametrize(
    ("document", "words"),
    [
        ("a,b\n1,2\n", "these columns is not known: a, b; known are OpenAI's costs"),
        ({"data": [{"start_time": START, "results": [{"price": 1}]}]}, "not known: price; known are"),
        ({"rows": []}, "no list `data`"),
        ({"data": []}, "no buckets"),
        (OPENAI_HEADER, "no rows"),
        ("", "empty"),
        ("{", "neither JSON nor CSV"),
        (OPENAI_HEADER.replace(",", ";") + "1790553600;;x;;0.1;usd;;;;\n", "'x' is no day"),
        (OPENAI_HEADER + "1,,2026-09-28,,0.1,eur,,,,\n", "costs in 'eur'"),
        (OPENAI_HEADER + "1,,2026-09-28,,nan,usd,,,,\n", "'nan' is no amount"),
    ],
)
def test_what_is_no_export_is_told_in_one_line(document: object, words: str) -> None:
    with pytest.raises(ExportError, match=r"^[^\n]*$") as told:
        read(document)
    assert words in str(told.value)


def test_a_difference_beyond_the_tolerance_is_one_and_a_fee_is_not() -> None:
    export = read(ANTHROPIC_COSTS)
    ours = {(DAY, "claude-haiku-4-5"): Sum(pico=int(Decimal("1.2") * PICO))}
    told = {row["model"]: row for row in compared(export, ours, {DAY}, 0.01).rows}
    assert told["claude-haiku-4-5-20251001"]["verdict"] == "differs"
    assert told["claude-haiku-4-5-20251001"]["percent"] == "-2.79"
    assert told["(web_search)"]["verdict"] == "not counted"
    assert not compared(export, ours, {DAY}, 0.03).differs


def test_a_model_that_only_one_side_has_differs() -> None:
    export = read(OPENAI_COSTS)
    outcome = compared(export, {(DAY, "other"): Sum(pico=5)}, {DAY}, 0.5)
    assert {row["model"]: (row["percent"], row["verdict"]) for row in outcome.rows} == {
        "gpt-5-mini-2025-08-07": ("-100.00", "differs"), "other": ("-", "differs"),
    }  # fmt: skip
    assert outcome.differs
    assert compared(export, {}, set(), 0.5).rows == []


def test_a_day_that_is_not_whole_on_both_sides_is_left_out_and_told() -> None:
    days = {date(2026, 9, 26), date(2026, 9, 27), DAY}
    reaches, now = datetime(2026, 9, 26, 0, 0, 1, tzinfo=UTC), datetime(2026, 9, 28, 23, 59, tzinfo=UTC)
    whole, left_out = whole_days(days, reaches, now)
    assert whole == {date(2026, 9, 27)}
    assert left_out == [
        "2026-09-26 is left out: the windows begin at 2026-09-26T00:00:01Z", "2026-09-28 is left out: it is not over",
    ]  # fmt: skip
    assert whole_days({DAY}, reaches, datetime(2026, 9, 29, tzinfo=UTC))[0] == {DAY}


def test_whose_bill_it_is_comes_from_the_settings() -> None:
    providers = [
        {"name": "a", "endpoints": [{"url": "https://api.openai.com/v1"}]},
        {"name": "b", "price_list": "anthropic", "endpoints": [{"url": "http://proxy.internal/v1"}]},
    ]
    settings = Settings.model_validate({"providers": providers})
    assert providers_of(settings, "openai", None) == {"a"}
    assert providers_of(settings, "anthropic", None) == {"b"}
    with pytest.raises(ReconcileError, match="there are: a, b"):
        providers_of(settings, "openai", "c")


@pytest.mark.parametrize("name", ["gpt-4.1", "GPT-4.1-2025-04-14", "gpt-4-1-latest"])
def test_a_models_snapshots_are_one_model(name: str) -> None:
    assert model_key(name) == "gpt-4-1"
