"""One call's reservation under a lease, from the queue to the provider's answer."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from streams.limits.amount import NONE, Amount
from streams.limits.usage import Used
from streams.limits.worker.allowance import Allowance


@dataclass(slots=True, eq=False)
class LeaseReservation:
    """One call's reservation. `now` is the broker's time; `alive` whether this worker is still a member of its group."""

    allowance: Allowance
    reserved: Amount
    charged: Callable[[Used], Amount]
    """What a call with this usage counts as."""
    now: Callable[[], float]
    alive: Callable[[], bool]
    on_room: Callable[[], None]
    on_settled: Callable[[Used | None, Amount, Amount], None] = lambda used, charged, owed: None
    """Told what was used, as what it counts, and how much of that was not reserved."""
    on_changed: Callable[[Allowance], None] = lambda allowance: None
    """Called when the allowance has something new to tell."""
    term: int = 0
    _slot: int | None = None
    _begun: bool = False
    _ended: bool = False

    def __post_init__(self) -> None:
        self.term = self.allowance.term

    def is_valid(self) -> bool:
        """Whether the call may begin; then it counts from now on."""
        allowance, now = self.allowance, self.now()
        allowance.lapse(now)
        if self._ended or self.term != allowance.term or allowance.until <= now or not self.alive():
            return False
        if not self._begun and not allowance.counts_at_end:
            self._slot = allowance.book(self.reserved, now)
            self.on_changed(allowance)
        self._begun = True
        return True

    def settle(self, used: Used | None) -> None:
        """See `Reservation`."""
        if self._ended:
            return
        self._ended = True
        allowance, now = self.allowance, self.now()
        charged = self.reserved if used is None else self.charged(used)
        unused, owed = (self.reserved - charged).most(NONE), (charged - self.reserved).most(NONE)
        if self._slot is None:
            self._slot = allowance.book(self.reserved, now)
        if unused != NONE:
            allowance.unbook(self._slot, unused, self.term, now)
            self.on_room()
        if owed != NONE:
            allowance.owe(owed, now)
        allowance.used(charged)
        self.on_changed(allowance)
        self.on_settled(used, charged, owed)

    def release(self) -> None:
        """See `Reservation`."""
        if self._ended:
            return
        self._ended = True
        if self._slot is None:
            self.allowance.close(self.reserved, self.term, self.now())
        else:
            self.allowance.unbook(self._slot, self.reserved, self.term, self.now())
        self.on_changed(self.allowance)
        self.on_room()
