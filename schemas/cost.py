"""What an answer cost, as the wire has it. Money is counted in integers of 10^-12 of its unit ("pico"), so that sums are exact.

A price of 0.0375 a million tokens is 37,500 pico a token. 64 bits hold 9.2 million units.
"""

from dataclasses import dataclass
from decimal import Decimal
from typing import Annotated, Final

from pydantic import Field

PICO: Final = 10**12
"""Of one unit of money."""
DECIMALS: Final = 12

AmountText = Annotated[str, Field(pattern=r"^-?[0-9]{1,10}(\.[0-9]{1,12})?$", examples=["0.0125"])]


def amount_text(pico: int) -> str:
    """The exact decimal of an amount, without an exponent.

    >>> amount_text(37_500), amount_text(1_250_000_000_000), amount_text(0), amount_text(-5 * PICO)
    ('0.0000000375', '1.25', '0', '-5')
    """
    sign, (whole, part) = "-" if pico < 0 else "", divmod(abs(pico), PICO)
    return f"{sign}{whole}.{part:0{DECIMALS}d}".rstrip("0").rstrip(".")


def pico_of(text: str) -> int:
    """An amount's text as an integer; parts below one pico count as one. Raises ValueError for what is no amount.

    >>> pico_of("0.0125"), pico_of("30")
    (12500000000, 30000000000000)
    """
    try:
        scaled = Decimal(text) * PICO
        whole = int(scaled)
    except (ArithmeticError, ValueError):
        raise ValueError(f"{text!r} is no amount") from None
    return whole + (whole != scaled and scaled > 0)


@dataclass(frozen=True, slots=True)
class Cost:
    """What a request's own provider calls cost, those that failed and were paid among them."""

    amount: AmountText
    currency: Annotated[str, Field(pattern=r"^[A-Z]{3}$")] = "USD"
    price_version: str | None = None
    """Which prices it was counted by; None where nothing was called."""
    estimated: bool = False
    """Whether a part of it is the most that a failed or cancelled call may have cost, as nobody knows what it did."""


NO_COST: Final = Cost("0")
"""Of what called nobody: an answer from the cache, one that joined another's call, a refusal."""
