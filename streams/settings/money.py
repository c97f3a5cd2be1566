"""[[prices]], [costs] and [[budgets]]: what calls cost, and what may be spent."""

import re
from decimal import Decimal
from typing import Annotated, Final, Literal, Self

from pydantic import BeforeValidator, PlainSerializer, model_validator

from streams.settings.base import Section, conflict, required, setting
from streams.settings.units import Count, Flag, Share, Unit

_FORM: Final = 'an amount of US dollars such as "30" or "0.0375", below a million'
_MOST: Final = Decimal(1_000_000)
_LONGEST: Final = 24
_DECIMAL: Final = re.compile(r"[0-9]+(\.[0-9]+)?")


def parse_money(value: object) -> Decimal:
    """Exactly what is written: text, or a whole number. A float is refused: 0.1 is not a tenth."""
    if isinstance(value, Decimal):
        return value
    written = isinstance(value, str) and len(value) <= _LONGEST and _DECIMAL.fullmatch(value) is not None
    if not written and not (isinstance(value, int) and not isinstance(value, bool)):
        raise ValueError(_FORM)
    amount = Decimal(str(value))
    if not 0 <= amount < _MOST:
        raise ValueError(_FORM)
    return amount


MONEY: Final = Unit("amount", _FORM, parse_money, str)
Money = Annotated[Decimal, BeforeValidator(parse_money), PlainSerializer(str, when_used="json"), MONEY]


class Price(Section):
    """What a million tokens cost, before the price list's word; the first entry whose model and provider fit counts."""

    model: str = required("The model as its provider calls it; `*` stands for any text.", min_length=1, max_length=256)
    provider: str = setting(
        "*", "Of this provider, by its name in the settings; `*` stands for any text.", min_length=1
    )
    tier: Literal["standard", "batch", "flex", "priority"] = setting("standard", "The service tier.")
    above: Count = setting(0, "For prompts of more tokens than this: a further entry for the same model.", ge=0)
    input: Money = required("Of input.")
    output: Money = required("Of output.")
    cached_input: Money | None = setting(None, "Of input from the provider's prompt cache; as `input` without it.")
    cache_write: Money | None = setting(None, "Of input that is written into that cache; as `input` without it.")
    cache_write_1h: Money | None = setting(None, "The same for an hour; as `cache_write` without it.")
    reasoning: Money | None = setting(None, "Of what is thought; as `output` without it.")
    fallback: Flag = setting(False, "Only for models that the price list does not have.")


class Costs(Section):
    """How costs are counted."""

    library: Literal["genai-prices", "none"] = setting(
        "genai-prices", "The price list behind [[prices]]. `none`: [[prices]] alone count."
    )
    largest_output: Count = setting(
        16384,
        "Tokens of an answer without max_tokens that a budget sets aside; an answer that is longer may overspend it.",
        ge=1,
    )


class Budget(Section):
    """What may be spent in a period, of each name that fits apart."""

    scope: Literal["tenant", "key", "agent"] = required("Whose money: a tenant's, a front's key's, or an agent's.")
    name: str = setting(
        "*", "Whom it is for; `*` stands for any text, and each name that fits has the amount.", min_length=1
    )
    period: Literal["day", "month", "total"] = setting("month", "In which time, by the broker's clock, in UTC.")
    amount: Money = required("How much, in US dollars.")
    hard: Flag = setting(True, "Whether calls beyond it are refused; else it is told of only.")
    alerts: list[Share] = setting(["50%", "80%", "100%"], "Shares of it at which it is logged and counted, once each.")

    @model_validator(mode="after")
    def _agree(self) -> Self:
        if self.hard and not self.amount:
            raise conflict("amount must be above 0 where the budget is hard", "amount")
        return self
