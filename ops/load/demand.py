"""What a load asks of a provider's limits, said before it is sent. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from ops.load.trace_row import TraceRow
from streams.settings import Provider, Rate


def too_much(rows: Sequence[TraceRow], scale: float, over_s: float | None, provider: Provider, model: str) -> list[str]:
    """A line for each limit of the provider that the load's mean rate is above; none where it serves another model only."""
    if model not in provider.model_map and "*" not in provider.model_map:
        return []
    sent = [row for row in rows if over_s is None or row.at_s / scale < over_s]
    lasts_s = over_s if over_s is not None else (sent[-1].at_s / scale if sent else 0.0)
    if not sent or lasts_s <= 0:
        return []
    given, made = sum(row.prompt_tokens for row in sent), sum(row.completion_tokens for row in sent)
    rules = provider.rate_limit
    asked: tuple[tuple[str, float, Rate | None], ...] = (
        ("requests", len(sent), rules.requests),
        ("tokens", given + made, rules.tokens),
        ("input_tokens", given, rules.input_tokens),
        ("output_tokens", made, rules.output_tokens),
    )
    lines = []
    for name, amount, rate in asked:
        if rate is None or amount / lasts_s <= rate.per_second:
            continue
        waits = 1 - rate.per_second / (amount / lasts_s)
        lines.append(
            f"the load asks for {amount / lasts_s * 60:,.0f} {name.replace('_', ' ')} a minute, and providers.{provider.name} "
            f"allows {rate}: about {waits:.0%} of it will wait, and expire if that lasts. Raise rate_limit.{name}, if the "
            "provider allows more, or lower --rate"
        )
    return lines
