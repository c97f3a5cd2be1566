"""A provider's answer as the cache holds it."""

from __future__ import annotations

from dataclasses import dataclass

from schemas.response import CacheResult, Usage
from streams.pipeline import Outcome


@dataclass(frozen=True, slots=True)
class Answer:
    """`payload` is JSON as it came; `expires_at` is Unix time in seconds."""

    payload: bytes
    usage: Usage
    provider: str
    expires_at: float
    model: str | None = None
    """As the provider calls it."""
    owner: str = ""
    """Whose request brought it, as `owner_tag` has it; "" where it was kept by a version that did not say."""

    def outcome(self, found_in: CacheResult) -> Outcome:
        """The outcome of a request that is answered with it. It used no tokens: its usage is zero, the payload says the rest."""
        return Outcome("ok", payload=self.payload, cache=found_in, provider=self.provider, model=self.model)
