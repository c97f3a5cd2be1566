"""What a call used, as its provider reported it, and what of it the provider's limits count: two different things.

Reported is what the caller gets. Charged is what the limits hold, by what each provider says that it counts:

- Anthropic, https://docs.claude.com/en/api/rate-limits: input tokens that were read from the prompt cache do not count for most
  models, those written to it do; output counts as it is produced, and max_tokens does not.
- OpenAI, https://platform.openai.com/docs/guides/rate-limits: max_tokens counts from the beginning. Cached tokens count,
  https://platform.openai.com/docs/guides/prompt-caching.
- Azure, https://learn.microsoft.com/azure/ai-foundry/openai/how-to/quota: the prompt and max_tokens count as the call comes, and
  what was not used is not given back.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

from schemas.response import Usage
from streams.limits.amount import Amount
from streams.limits.estimate import Estimate

CountMaxTokens = Literal["never", "until_answered", "always"]


@dataclass(frozen=True, slots=True)
class Used:
    """Tokens of one call. `cached` is the part of `input` that the provider read from its own prompt cache."""

    input: int = 0
    output: int = 0
    cached: int = 0


NOTHING: Final = Used()
"""The provider refused the call: it counts as a request."""


def used_of(usage: Usage, cached: int = 0) -> Used | None:
    """What an answer's usage says; None where it says nothing.

    Tokens that are in the total alone (thinking, at some providers) are output.
    """
    if not usage.total_tokens and not usage.prompt_tokens and not usage.completion_tokens:
        return None
    output = max(usage.completion_tokens, usage.total_tokens - usage.prompt_tokens)
    return Used(usage.prompt_tokens, output, min(cached, usage.prompt_tokens))


@dataclass(frozen=True, slots=True)
class Counting:
    """What of a call a provider's limits count."""

    cached: bool = True
    """Whether input that the provider read from its prompt cache counts."""
    max_tokens: CountMaxTokens = "until_answered"
    """How long the most that an answer may have counts; then what it had."""

    def reserved(self, estimate: Estimate) -> Amount:
        """What to reserve for a call, on the safe side."""
        given = estimate.input if self.cached else estimate.input - estimate.cached
        made = estimate.usual_output if self.max_tokens == "never" else estimate.output
        return Amount(1, given + made, given, made)

    def least(self, estimate: Estimate) -> Amount:
        """What the call takes at the least: if that does not fit, it never will."""
        given = max(1, estimate.least_input - (0 if self.cached else estimate.cached))
        made = 0 if self.max_tokens == "never" else estimate.least_output
        return Amount(1, given + made, given, made)

    def charged(self, estimate: Estimate, used: Used) -> Amount:
        """What a call that the provider took counts as."""
        if used == NOTHING:
            return Amount(1, 0)
        given = used.input if self.cached else used.input - used.cached
        made = max(used.output, estimate.output) if self.max_tokens == "always" else used.output
        return Amount(1, given + made, given, made)
