"""One call's reservation under a lease, from the queue to the provider's answer."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from streams.limits.allowance import Allowance
from streams.limits.amount import Amount


@dataclass(slots=True, eq=False)
class LeaseHold:
    """One call's reservation. `now` is the broker's time; `alive` whether this worker is still a member of its group."""

    allowance: Allowance
    tokens: int
    now: Callable[[], float]
    alive: Callable[[], bool]
    on_room: Callable[[], None]
    on_settled: Callable[[int, int], None] = lambda used, owed: None
    """Told the tokens used, and those beyond the reservation."""
    on_changed: Callable[[Allowance], None] = lambda allowance: None
    """Called when the allowance has something new to tell."""
    term: int = 0
    _slot: int | None = None
    _begun: bool = False
    _ended: bool = False

    def __post_init__(self) -> None:
        self.term = self.allowance.term

    def good(self) -> bool:
        """Whether the call may begin; then it counts from now on."""
        allowance, now = self.allowance, self.now()
        allowance.lapse(now)
        if self._ended or self.term != allowance.term or allowance.until <= now or not self.alive():
            return False
        if not self._begun and not allowance.counts_at_end:
            self._slot = allowance.book(Amount(1, self.tokens), now)
            self.on_changed(allowance)
        self._begun = True
        return True

    def settle(self, tokens_used: int | None) -> None:
        """See `Hold`."""
        if self._ended:
            return
        self._ended = True
        allowance, now = self.allowance, self.now()
        used = self.tokens if tokens_used is None else max(0, tokens_used)
        unused = Amount(0, max(0, self.tokens - used))
        if self._slot is None:
            self._slot = allowance.book(Amount(1, self.tokens), now)
        if unused.tokens:
            allowance.unbook(self._slot, unused, self.term, now)
            self.on_room()
        if used > self.tokens:
            allowance.owe(used - self.tokens, now)
        allowance.used(used)
        self.on_changed(allowance)
        self.on_settled(used, max(0, used - self.tokens))

    def give_back(self) -> None:
        """See `Hold`."""
        if self._ended:
            return
        self._ended = True
        whole = Amount(1, self.tokens)
        if self._slot is None:
            self.allowance.close(whole, self.term, self.now())
        else:
            self.allowance.unbook(self._slot, whole, self.term, self.now())
        self.on_room()
