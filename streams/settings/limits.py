"""[limits]: how what a provider allows is shared between workers (`providers[].rate_limit` says how much that is)."""

from typing import Literal, Self

from pydantic import model_validator

from streams.settings.base import Section, conflict, setting
from streams.settings.units import Count, Seconds, Share


class Limits(Section):
    """Leases of requests and tokens, over the topic limits.leases."""

    lease: Seconds = setting("3s", "How long a grant holds; what is not used falls back then.", ge=0.5, le=30)
    window: Seconds = setting("60s", "Time in which no more than a limit's share of it is ever used.", ge=1, le=60)
    margin: Seconds = setting(
        "500ms",
        "By how much the clocks of two brokers may differ, or a call may be late on its way; uses count so much longer.",
        ge=0,
        le=10,
    )
    burst: Share = setting("20%", "Share of a window's limit that may be used at once after a quiet time.", ge=0.01)
    standing: Share = setting(
        "10%",
        "Share of a window's limit that quiet workers hold, together, while nobody has to wait.",
        ge=0.001,
        le=0.5,
    )
    known: Seconds = setting("10s", "A worker that said nothing for so long is granted nothing.", ge=5)
    session_timeout: Seconds = setting(
        "6s", "A grantor silent for so long is replaced; brokers ask for 6s unless they are told otherwise.", ge=1
    )
    default_output: Count = setting(
        1024, "Tokens of an answer without max_tokens, until answers of its model were seen.", ge=1
    )
    tokenizer: Literal["none", "o200k_base", "cl100k_base"] = setting(
        "none",
        "Count text with this vocabulary before a call, in place of its bytes; needs the extra `tokenizer`.",
    )

    @model_validator(mode="after")
    def _agree(self) -> Self:
        if self.margin >= self.window:
            raise conflict("margin must be below window", "margin", "window")
        return self
