"""What an answered request cost, as the windows of costs count it."""

from __future__ import annotations

from schemas.limits import MODEL_CHARS
from streams.money.cost_windows import CostWindows
from streams.money.windows import Names
from streams.pipeline import Outcome, PendingRequest


class PaidRequests:
    """Notes each request that called a provider, once, when its answer is made."""

    def __init__(self, windows: CostWindows) -> None:
        self._windows = windows

    def note(self, request: PendingRequest, outcome: Outcome) -> None:
        """Its answer goes out now. Costs 2 us where a provider was called, else 0.1."""
        if outcome.attempts or outcome.spent.pico:
            names = Names(
                request.tenant,
                request.key,
                request.agent_id,
                (outcome.model or "")[:MODEL_CHARS],
                outcome.provider or "",
            )
            usage = outcome.usage
            self._windows.paid(names, outcome.spent, outcome.attempts, usage.prompt_tokens, usage.completion_tokens)
