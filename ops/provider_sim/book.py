"""The book of generations: how often each request's answer was begun, continued and attached to, and the tokens made for it.

A call is not a generation: who re-attaches to a background response calls again and pays nothing, who continues a broken answer
pays for what is still missing. `GET /admin/generations` shows it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from ops.provider_sim.ledger import MAX_IDS


@dataclass(slots=True)
class Generations:
    """Of one request. `begun`: from nothing; `continued`: behind a partial answer; `attached`: readers that came again."""

    begun: int = 0
    continued: int = 0
    attached: int = 0
    cancelled: int = 0
    tokens: int = 0
    """Completion tokens that were made, and are paid; without those in the background, which are counted when asked for."""
    prompt: int = 0
    """Prompt tokens that are paid: of every call that was begun to be answered."""
    cached: int = 0
    """Those of them that came from the prompt cache."""
    reasoning: int = 0
    """Completion tokens that were thought, part of `tokens`."""

    def pay(self, prompt: int, cached: int, completion: int, reasoning: int) -> None:
        """A call that is paid, for what was made of it."""
        self.prompt += prompt
        self.cached += cached
        self.tokens += completion
        self.reasoning += min(reasoning, completion)


@dataclass(slots=True)
class Book:
    """Counts by request id; of at most `MAX_IDS` of them apart."""

    by_id: dict[str, Generations] = field(default_factory=dict)
    _rest: Generations = field(default_factory=Generations)

    def of(self, request_id: str | None) -> Generations:
        """The counts to change."""
        if request_id is None or (request_id not in self.by_id and len(self.by_id) >= MAX_IDS):
            return self._rest
        return self.by_id.setdefault(request_id, Generations())

    def stats(self, paid: Mapping[int, int]) -> dict[str, Any]:
        """`paid`: tokens of responses in the background, by the identity of their counts."""

        def shown(counts: Generations) -> dict[str, Any]:
            return asdict(counts) | {"tokens": counts.tokens + paid.get(id(counts), 0)}

        return {"by_id": {name: shown(counts) for name, counts in self.by_id.items()}, "others": shown(self._rest)}
