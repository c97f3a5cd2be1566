"""What of a call a provider's limits count: what is charged is not what is reported.

Reported is what the caller gets. Charged is what the limits hold, by what each provider says that it counts:

- Anthropic, https://docs.claude.com/en/api/rate-limits: input tokens that were read from the prompt cache do not count for most
  models, those written to it do; output counts as it is produced, and max_tokens does not.
- OpenAI, https://platform.openai.com/docs/guides/rate-limits: max_tokens counts from the beginning. Cached tokens count,
  https://platform.openai.com/docs/guides/prompt-caching.
- Azure, https://learn.microsoft.com/azure/ai-foundry/openai/how-to/quota: the prompt and max_tokens count as the call comes, and
  what was not used is not given back.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Literal

from streams.limits.amount import Amount
from streams.limits.token_estimate import Estimate
from streams.limits.usage import NOTHING, Used

CountMaxTokens = Literal["never", "until_answered", "always"]


MOST_SHARE: Final = 0.9
"""Of a limit: a call is reserved no more than that for what it only may take. A window that small calls use a little of has never
room for the whole limit, and everybody would wait for it in vain."""


@dataclass(frozen=True, slots=True)
class Counting:
    """What of a call a provider's limits count."""

    cached: bool = True
    """Whether input that the provider read from its prompt cache counts."""
    max_tokens: CountMaxTokens = "until_answered"
    """How long the most that an answer may have counts; then what it had."""

    def reserved(self, estimate: Estimate, limit: Amount, cached_share: float = 0.0) -> Amount:
        """What to reserve for a call, on the safe side. `cached_share` of its input is expected in the prompt cache.

        Where that is more than `limit` gives at once, less is: what the call takes at the least, or most of the limit.
        """
        given = estimate.input if self.cached else estimate.input - int(estimate.input * cached_share)
        made = estimate.usual_output if self.max_tokens == "never" else estimate.output
        wanted = Amount(1, given + made, given, made)
        most = limit * MOST_SHARE
        return wanted if wanted.fits(most) else wanted.least(most.most(self.least(estimate, cached_share)))

    def least(self, estimate: Estimate, cached_share: float = 0.0) -> Amount:
        """What the call takes at the least: if that does not fit, it never will."""
        given = estimate.least_input if self.cached else estimate.least_input - int(estimate.least_input * cached_share)
        made = 0 if self.max_tokens == "never" else estimate.least_output
        return Amount(1, given + made, given, made)

    def charged(self, estimate: Estimate, used: Used) -> Amount:
        """What a call that the provider took counts as."""
        if used == NOTHING:
            return Amount(1, 0)
        given = used.input if self.cached else used.input - used.cached
        made = max(used.output, estimate.output) if self.max_tokens == "always" else used.output
        return Amount(1, given + made, given, made)


COUNTING: Final[Mapping[str, Counting]] = {
    "openai": Counting(cached=True, max_tokens="until_answered"),
    "anthropic": Counting(cached=False, max_tokens="never"),
}
"""What providers of a wire format count where the settings do not say. Where an OpenAI-like one counts max_tokens whole, its
`x-ratelimit-remaining-tokens` say so, and correct what is granted; `always` is for those that do not send them."""
