"""The price list that is kept by others (genai-prices, MIT), flattened to integers. Nothing is downloaded.

Its own look-up and sum cost 216 us a call; here it is asked once an hour for a provider, model and tier that is used.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from decimal import ROUND_CEILING, Decimal
from importlib import import_module, metadata
from typing import Any, Final

from streams.money.prices import Listed, Price, Steps
from streams.money.usage import Tier

NAME: Final = "genai-prices"
_MODULE: Final = "genai_prices.data_snapshot"
_CONTEXT: Final[Mapping[Tier, Mapping[str, str]]] = {
    "standard": {},
    "batch": {"processing": "batch"},
    "flex": {"service_tier": "flex"},
    "priority": {"service_tier": "priority"},
}
_PICO_A_TOKEN: Final = 10**6
"""Of one unit of money for a million tokens."""


def library_version() -> str | None:
    """The list's version; None where it is not installed."""
    try:
        return f"{NAME}-{metadata.version(NAME)}"
    except metadata.PackageNotFoundError:
        return None


def listed(lists: Mapping[str, str], urls: Mapping[str, str]) -> Listed:
    """The list's prices of the providers. `lists`: the list's name of a provider, where the settings say it; else its URL tells.

    Prices of a provider whose URL the list does not know are not guessed by a model's name: the same weights cost
    differently elsewhere, and nothing on one's own machines.
    """
    snapshot = import_module(_MODULE).get_snapshot()

    def prices(provider: str, model: str, tier: Tier, now: float) -> Steps | None:
        at = datetime.fromtimestamp(now, UTC)
        try:
            _, found = snapshot.find_provider_model(model, None, lists.get(provider), urls.get(provider))
            return steps_of(found.get_prices(at, _CONTEXT[tier]))
        except LookupError:
            return None

    return prices


def steps_of(given: Any) -> Steps | None:
    """A model's prices as steps; None where it has no price of tokens. `given` is genai-prices' `ModelPrice`."""
    if given.input_mtok is None and given.output_mtok is None:
        return None
    named = {
        "input": given.input_mtok,
        "output": given.output_mtok,
        "cached": given.cache_read_mtok,
        "written": given.cache_write_mtok,
        "written_1h": given.cache_write_1h_mtok,
        "reasoning": given.output_reasoning_mtok,
    }
    starts = sorted({0, *(tier.start for each in named.values() for tier in getattr(each, "tiers", ()))})
    return tuple(price_of({kind: _at(each, start) for kind, each in named.items()}, start) for start in starts)


def price_of(mtok: Mapping[str, Decimal | None], above: int = 0) -> Price:
    """A price of the units of money for a million tokens; a kind that is None costs as its whole does."""

    def pico(kind: str, otherwise: int) -> int:
        given = mtok.get(kind)
        return otherwise if given is None else int((given * _PICO_A_TOKEN).to_integral_value(ROUND_CEILING))

    plain, made = pico("input", 0), pico("output", 0)
    written = pico("written", plain)
    return Price(
        input=plain,
        output=made,
        cached=pico("cached", plain),
        written=written,
        written_1h=pico("written_1h", written),
        reasoning=pico("reasoning", made),
        above=above,
    )


def _at(given: Any, start: int) -> Decimal | None:
    tiers = getattr(given, "tiers", None)
    if tiers is None:
        return None if given is None else Decimal(given)
    reached = [tier.price for tier in tiers if tier.start <= start]
    return Decimal(reached[-1] if reached and start else given.base)
