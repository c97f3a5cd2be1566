"""Prices and budgets of a test, and what the simulator says that it was paid."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import orjson

PRICES: Mapping[str, Fraction] = {
    "input": Fraction(100),
    "cached_input": Fraction(10),
    "output": Fraction(500),
    "reasoning": Fraction(600),
}
"""US dollars for a million tokens: an answer of 200 tokens is 0.1."""


def with_money(settings: Path, budgets: Sequence[Mapping[str, str]], prices: Mapping[str, Fraction] = PRICES) -> Path:
    """The settings file, with these prices for the model `small` and these budgets."""
    lines = ['\n[[prices]]\nmodel = "small"', *(f'{kind} = "{float(price):g}"' for kind, price in prices.items())]
    for budget in budgets:
        lines += ["\n[[budgets]]", *(f"{name} = {orjson.dumps(value).decode()}" for name, value in budget.items())]
    settings.write_text(settings.read_text() + "\n".join(lines) + "\n")
    return settings


def paid(made: Mapping[str, int], prices: Mapping[str, Fraction] = PRICES) -> Fraction:
    """What the simulator's book says of one request, in dollars: by its own counts, without anything of the pipeline's."""
    tokens = {
        "input": made["prompt"] - made["cached"],
        "cached_input": made["cached"],
        "output": made["tokens"] - made["reasoning"],
        "reasoning": made["reasoning"],
    }
    return sum((prices[kind] * count for kind, count in tokens.items()), Fraction(0)) / 10**6


def chat(request_id: str, **more: Any) -> dict[str, Any]:
    """A request whose answer has 200 tokens, at most."""
    simulated = {"id": request_id, "completion_tokens": 200, "latency_ms": 50, **more}
    message = {"role": "user", "content": f"What is {request_id}?"}
    payload = {"model": "small", "messages": [message], "max_tokens": 200, "headrace_sim": simulated}
    return {"request_id": request_id, "timeout_s": 300.0, "payload": payload}
