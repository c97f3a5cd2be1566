"""A worker's own part: what it was granted for one provider and model, and what it did with it.

All that it holds ends at one moment, and each new grant moves that moment. Sums never rise but by grants: what is reserved
leaves what is left; what was reserved and not used comes back at most once, and only while its grant holds. Use beyond a
reservation is the one exception: it is reported at once, and the next grants wait for it.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from math import inf
from typing import Final

from schemas.lease import LeaseDemand, ProviderView, Slot
from streams.limits.amount import NONE, UNLIMITED, Amount, total
from streams.limits.route import Route

_MUCH_SHARE: Final = 0.1
"""Of the limit: a use that others may wait for, so that it counts from when it was and not from when the grantor heard of it."""


@dataclass(frozen=True, slots=True)
class Need:
    """What waits in the queues for a route."""

    head: Amount = NONE
    """What the call at the head needs."""
    waiting: Amount = NONE
    """What all of them need, that call among them."""
    weight: float = 0.0
    """Their tokens, urgent classes counted more."""


@dataclass(slots=True, eq=False)
class Allowance:
    """What may be used now. Times are the broker's, at the latest that it may be (`BrokerClock.latest`)."""

    route: Route
    limit: Amount
    window_s: float
    lease_s: float
    counts_at_end: bool = False
    """Whether the provider counts a call when it ends, in place of when it comes."""
    left: Amount = NONE
    open: Amount = NONE
    until: float = -inf
    paused_until: float = -inf
    view_is_new: bool = False
    limit_now: Amount = UNLIMITED
    """What the grantor holds for the limit now: it may be less than what is set."""
    term: int = 0
    """Rises when all that was held has lapsed: what was reserved before must not begin any more."""
    urgent: bool = False
    """Whether the grantor should hear at once of what changed: much was used or given back."""
    seen: int = -1
    seq: int = 0
    _used: Amount = NONE
    _slot: int = 0
    _slots: dict[int, tuple[float, Amount]] = field(default_factory=dict)
    _changed: set[int] = field(default_factory=set)
    _sent: tuple[set[int], Amount] | None = None
    _said: tuple[float, ProviderView] | None = None

    def grant(self, offset: int, given: Amount, until: float, now: float) -> None:
        """A grant that counts was read. One that is over adds nothing."""
        self.seen = offset
        self.lapse(now)
        if until > now:
            self.left += given
            self.until = max(self.until, until)

    def lapse(self, now: float) -> None:
        """Drop what is over."""
        if now >= self.until and self.until > -inf:
            self.left, self.until = NONE, -inf
            self.term += 1

    def recall(self, offset: int, now: float) -> None:
        """Another worker's call needs what is left here. What was reserved already goes on to hold."""
        self.seen = offset
        self.lapse(now)
        self.left = NONE
        self.urgent = True

    def renounce(self) -> None:
        """Drop all that is left: nothing more begins under the grants that were read."""
        self.left, self.until = NONE, -inf
        self.term += 1

    def change_limit(self, limit: Amount) -> None:
        """Another limit is set. Where it is less of anything, or of other things, nothing more begins under the grants that were
        read: they were parts of the old one.
        """
        old, self.limit, self.limit_now = self.limit, limit, UNLIMITED
        if old.limited_by(limit) != old.limited_by(old) or old.least(limit) != old:
            self.renounce()
            self.urgent = True

    def reserve(self, wanted: Amount, now: float) -> bool:
        """Take one request and its tokens, all or nothing."""
        self.lapse(now)
        limited = wanted.limited_by(self.limit)
        if self.until <= now or now < self.paused_until or not limited.fits(self.left):
            return False
        if not limited.fits(self.limit - self._in_window(now) - self.open):
            return False  # whatever grants say, one worker takes no more than all of them may
        self.left -= limited
        self.open += wanted
        return True

    def _in_window(self, now: float) -> Amount:
        """What this worker used and still counts."""
        return total(used for at, used in self._slots.values() if at > now - self.window_s).limited_by(self.limit)

    def lacks(self, wanted: Amount) -> str:
        """Which of what a call takes is not left, in a word."""
        short = (wanted.limited_by(self.limit) - self.left).most(NONE)
        parts = {
            "requests": short.requests,
            "tokens": short.tokens,
            "input tokens": short.input,
            "output tokens": short.output,
        }
        return " and ".join(name for name, missing in parts.items() if missing > 0) or "requests"

    def book(self, used: Amount, now: float) -> int:
        """What was open counts as used from now on; in which slot."""
        self.open -= used
        self._put(self._slot, used, now)
        self._note(used)
        return self._slot

    def unbook(self, slot: int, unused: Amount, term: int, now: float) -> None:
        """So much of a slot was not used after all."""
        entry = self._slots.get(slot)
        if entry is None:
            return  # it counts no more
        self._slots[slot] = (entry[0], entry[1] - unused)
        self._changed.add(slot)
        self._note(unused)
        if entry[0] > now - self.lease_s:  # an old slot may not count any more when the grantor hears of this
            self._return(unused, term, now)

    def close(self, unused: Amount, term: int, now: float) -> None:
        """What was open is not used."""
        self.open -= unused
        self._return(unused, term, now)

    def owe(self, beyond: Amount, now: float) -> None:
        """More was used than reserved: it counts from now, and uses up what is left."""
        self.lapse(now)
        self.left -= beyond.least(self.left.most(NONE))
        self._put(self._slot, beyond, now)

    def _note(self, changed: Amount) -> None:
        if changed.share_of(self.limit) >= _MUCH_SHARE:
            self.urgent = True

    def _put(self, slot: int, used: Amount, now: float) -> None:
        at, before = self._slots.get(slot, (now, NONE))
        self._slots[slot] = (at, before + used)
        self._changed.add(slot)

    def _return(self, unused: Amount, term: int, now: float) -> None:
        self.lapse(now)
        if term == self.term and self.until > now:
            self.left += unused.limited_by(self.limit)

    def used(self, charged: Amount) -> None:
        """For the rate that the grantor sees."""
        self._used += charged

    def provider_said(self, view: ProviderView, now: float) -> None:
        """What an answer's headers said; the next demand passes it on."""
        pause_s = max(0.0, self.paused_until - now)  # a view that was not passed on yet may have asked for it
        self._said = (now, view.model_copy(update={"pause_s": pause_s}) if pause_s else view)
        self.view_is_new = True

    def pause(self, seconds: float, now: float) -> None:
        """The provider asked for no calls for `seconds`: that is so here at once, and by the next demand for all."""
        self.paused_until = max(self.paused_until, now + seconds)
        self.provider_said(ProviderView() if self._said is None or not self.view_is_new else self._said[1], now)
        self.urgent = True

    def _view(self, now: float) -> ProviderView | None:
        if self._said is None or not self.view_is_new:
            return None
        self.view_is_new = False
        at, view = self._said
        return view.model_copy(update={"pause_s": max(0.0, view.pause_s - (now - at))})

    @property
    def changed(self) -> bool:
        """Whether the grantor does not know yet what was used."""
        return bool(self._changed)

    def demand(self, worker_id: str, need: Need, at: datetime, now: float) -> LeaseDemand:
        """What the grantor should know. Then `confirmed`, one way or the other; until then make no other."""
        self.lapse(now)
        old = [slot for slot, (began, _) in self._slots.items() if began < now - self.window_s - 5.0]
        for slot in old:
            del self._slots[slot]
        self._changed -= set(old)
        self.seq += 1
        self.urgent = False
        self._sent = (self._changed, self._used)
        self._changed, self._used = set(), NONE
        self._slot += 1  # what is used from here on counts from the next demand on
        sent, used = self._sent[0], self._sent[1].wire()
        head, waiting = need.head.wire(), need.waiting.wire()
        return LeaseDemand(
            provider=self.route.provider,
            model=self.route.group,
            worker_id=worker_id,
            at=at,
            requests=waiting.requests,
            tokens=waiting.tokens,
            input=waiting.input,
            output=waiting.output,
            weight=need.weight,
            head_tokens=head.tokens,
            head_input=head.input,
            head_output=head.output,
            requests_used=used.requests,
            tokens_used=used.tokens,
            input_used=used.input,
            output_used=used.output,
            seq=self.seq,
            seen=self.seen,
            left=self.left.wire(),
            open=self.open.wire(),
            provider_view=self._view(now),
            slots=[self._wire_slot(slot) for slot in sorted(sent)],
        )

    def confirmed(self, acked: bool) -> None:
        """Whether the broker has the last demand. If not, or if nobody knows, the next one says it again."""
        assert self._sent is not None, "confirmed without a demand"
        if not acked:
            slots, used = self._sent
            self._changed |= slots & self._slots.keys()
            self._used += used
        self._sent = None

    def _wire_slot(self, number: int) -> Slot:
        used = self._slots[number][1].wire()
        return Slot(number=number, requests=used.requests, tokens=used.tokens, input=used.input, output=used.output)
