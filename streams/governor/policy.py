"""What to do about memory: a pure policy that takes readings and the time and says one step.

Three lines, shares of the budget. Above `threshold` the young generations are collected. Above `aggressive` everything is, and
the allocator is asked to give back; what is too much after that is really in use, and the memory cache is cut by it. Above `hold`
no more records are taken until memory is below `aggressive` again. What is under way then goes on to take memory: its answers
come. So records are held earlier where memory grows so fast that it would be above the budget in half a second, and where what
is in the pipeline would take it there, by what a record has taken in the holds before.

A cache that was cut grows again while memory is below `threshold`, as it was after the last giving back: what the allocator
keeps in between is not in use.

It never spins. Two collections are `interval_s` apart; a young one waits until memory has grown, and a full one that freed
nothing makes the next one wait twice as long, up to a minute. Whatever a step took, the next one waits twenty times as long, so
that all of it costs 5 % of the time at most; where memory would soon be above the budget, 20 %; and above `hold`, where the
choice is to give back or to be killed, it waits for nothing but the next reading. And it never locks up: with nothing in the
pipeline there is nothing to wait for, so a hold ends then, wherever memory is, and a worker whose budget is too small goes on
slowly.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final, Literal

Collect = Literal["nothing", "young", "full"]

COST_SHARE: Final = 0.05
URGENT_COST_SHARE: Final = 0.2
"""Most of the time that steps may take, and where memory would soon be above the budget."""
LONGEST_WAIT_S: Final = 60.0
AHEAD_S: Final = 0.5
"""How far ahead a fast growth is looked at: a call that is under way when records are held brings its answer about so late."""
_NEVER: Final = float("-inf")
_NOTABLE: Final = 0.01
"""Share of the budget: a change smaller than this is noise."""


@dataclass(frozen=True, slots=True)
class MemoryRules:
    """The budget and its lines, as shares of it."""

    budget_bytes: int
    threshold: float = 0.75
    aggressive: float = 0.85
    hold: float = 0.90
    interval_s: float = 1.0
    """Least time between two collections, and between two steps in which the cache grows."""

    @property
    def aim_bytes(self) -> int:
        """Where memory should be after the cache was cut: in the middle between the two thresholds, so that neither the cut
        nor the growth after it comes back at once."""
        return int(self.budget_bytes * (self.threshold + self.aggressive) / 2)


@dataclass(frozen=True, slots=True)
class Reading:
    """The worker at one moment."""

    rss_bytes: int
    cache_bytes: int
    """What the memory cache holds, as it counts itself."""
    cache_wants_more: bool
    """Whether it was cut before, and has filled what it was left."""
    unfinished: int
    """Records in the pipeline."""


@dataclass(frozen=True, slots=True)
class Step:
    """What to do now, in this order."""

    cut_cache_bytes: int
    grow_cache_bytes: int
    collect: Collect
    give_back: bool
    """Ask the allocator to return what it keeps."""
    hold: bool
    """Whether to take no more records."""


@dataclass(slots=True)
class MemoryPolicy:
    """One worker's policy. `now` is of any clock that does not go back."""

    rules: MemoryRules
    holding: bool = False
    _not_before: float = _NEVER
    """No step that costs time before this, or before the next one where it is urgent."""
    _urgent_not_before: float = _NEVER
    _collect_at: float = _NEVER
    _full_at: float = _NEVER
    _full_wait_s: float = field(init=False)
    _full_from: int | None = None
    """Memory when the last full collection was asked for, until the next reading tells what it freed."""
    _lowest: int = 0
    """Memory at its lowest since the last collection."""
    _gave_back: bool = False
    """Whether the step before this one gave back."""
    _in_use: int = 0
    """Memory right after the last giving back, or now if that is less."""
    _grow_at: float = _NEVER
    _last: tuple[int, float] | None = None
    """Memory and time of the last reading."""
    _pace: float = 0.0
    """Bytes a second by which memory grows; halved with every reading that says less."""
    _held_from: tuple[int, int] = (0, 1)
    """Memory and unfinished records at the begin of the hold."""
    _peak: int = 0
    """Highest memory in this hold."""
    _cost: float = 0.0
    """Bytes that a record in the pipeline still takes after a hold began; a tenth less with every hold that says less."""

    def __post_init__(self) -> None:
        self._full_wait_s = self.rules.interval_s

    def step(self, reading: Reading, now: float) -> Step:
        """What to do. Tell `took` what it cost."""
        rules, rss = self.rules, reading.rss_bytes
        above = rss >= rules.budget_bytes * rules.aggressive
        urgent = self._is_urgent(reading, now)
        self._in_use = rss if self._gave_back else min(self._in_use, rss)
        self._judge_last_full(rss, now)
        cut = min(reading.cache_bytes, rss - rules.aim_bytes) if above and self._gave_back else 0
        grow = 0 if above or not reading.cache_wants_more else self._growth(now)
        collect = self._choose(rss, above, now)
        self._move_hold(reading, reading.unfinished > 0 and (urgent or (above and self.holding)))
        too_much = rss >= rules.budget_bytes * rules.hold
        due = too_much or now >= (self._urgent_not_before if urgent else self._not_before)
        self._gave_back = cut > 0 or collect == "full" or (above and due)
        return Step(cut, grow, collect, give_back=self._gave_back, hold=self.holding)

    def took(self, seconds: float, now: float) -> None:
        """The last step took `seconds`, and ended now."""
        self._not_before = now + seconds / COST_SHARE
        self._urgent_not_before = now + seconds / URGENT_COST_SHARE

    def _judge_last_full(self, rss: int, now: float) -> None:
        if self._full_from is None:
            return
        freed = self._full_from - rss >= self.rules.budget_bytes * _NOTABLE
        self._full_wait_s = self.rules.interval_s if freed else min(2 * self._full_wait_s, LONGEST_WAIT_S)
        self._full_at, self._full_from = now + self._full_wait_s, None

    def _growth(self, now: float) -> int:
        """A quarter of what is free: memory comes up to the threshold slower and slower, and stays below it."""
        free = int(self.rules.budget_bytes * self.rules.threshold) - self._in_use
        if free <= 0 or now < self._grow_at:
            return 0
        self._grow_at = now + self.rules.interval_s
        return free // 4

    def _choose(self, rss: int, above: bool, now: float) -> Collect:
        rules = self.rules
        self._lowest = min(self._lowest, rss)
        if now < max(self._not_before, self._collect_at) or rss < rules.budget_bytes * rules.threshold:
            return "nothing"
        if above and now >= self._full_at:
            self._full_from = rss
        elif rss - self._lowest < rules.budget_bytes * _NOTABLE:
            return "nothing"
        self._collect_at, self._lowest = now + rules.interval_s, rss
        return "full" if self._full_from is not None else "young"

    def _is_urgent(self, reading: Reading, now: float) -> bool:
        """Whether memory is above the line, or will be above the budget very soon."""
        rules, rss = self.rules, reading.rss_bytes
        if self._last is not None and now > self._last[1]:
            self._pace = max((rss - self._last[0]) / (now - self._last[1]), self._pace / 2, 0.0)
        self._last = rss, now
        to_come = max(self._pace * AHEAD_S, self._cost * reading.unfinished)
        return rss >= rules.budget_bytes * rules.hold or rss + to_come >= rules.budget_bytes

    def _move_hold(self, reading: Reading, hold: bool) -> None:
        """Begin or end a hold, and learn from it what a record still takes."""
        if hold and not self.holding:
            self._held_from, self._peak = (reading.rss_bytes, reading.unfinished), reading.rss_bytes
        elif hold:
            self._peak = max(self._peak, reading.rss_bytes)
        elif self.holding:
            rss, unfinished = self._held_from
            self._cost = max((self._peak - rss) / unfinished, 0.9 * self._cost)
        self.holding = hold
