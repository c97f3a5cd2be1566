"""A fleet on paper: load comes, workers take what they can, the rest waits or expires, and the policy decides every window.

A fluid model. A worker does `per_worker_per_s` at most, its CPU use is its share of that. What waits longer than `expires_s`
is answered `expired`. A worker that is added works after `start_s`; one that goes, goes at once.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final

from schemas.scaling_decision import ScalingState, Signals
from streams.scaling.decide import Decision, decide
from streams.scaling.policy import Policy

_TICKS: Final = 12
"""Steps of the model in one window."""


@dataclass(frozen=True, slots=True)
class Site:
    """What the fleet on paper is like. Rates a second, times in seconds."""

    per_worker_per_s: float
    start_s: float = 30.0
    expires_s: float = 30.0
    cpu_when_full: float = 1.0
    """CPU use of a worker that does all it can; below 1 where it waits for calls and not for the CPU."""
    memory: float = 0.3
    provider_per_s: float | None = None
    """What the provider lets the whole fleet do; None: it holds nobody up."""


@dataclass(frozen=True, slots=True)
class Minute:
    """One window of the run: the load, what the fleet was and did, and what was decided at its end."""

    end_s: float
    load_per_s: float
    signals: Signals
    decision: Decision


def run(
    load: Callable[[float], float], site: Site, policy: Policy, until_s: float, workers: int | None = None
) -> Iterator[Minute]:
    """The windows of a run from 0 to `until_s`, with `load(t)` requests a second at t, from `workers` (default: the fewest)."""
    state = ScalingState(policy.smallest if workers is None else workers)
    windows: deque[Signals] = deque(maxlen=max(2, round(policy.reach_s / policy.window_s) + 1))
    fleet = _Fleet(site, state.target)
    end_s = 0.0
    while end_s < until_s:
        start_s, end_s = end_s, end_s + policy.window_s
        windows.append(fleet.window(load, start_s, end_s))
        made = decide(list(windows), state, policy, end_s)
        state = made.state
        fleet.set(made.desired, end_s)
        yield Minute(end_s, load((start_s + end_s) / 2), windows[-1], made)


class _Fleet:
    def __init__(self, site: Site, workers: int) -> None:
        self._site = site
        self._working_from = [0.0] * workers
        self._queue = 0.0

    def set(self, workers: int, now: float) -> None:
        """So many from now on; the youngest go."""
        added = max(0, workers - len(self._working_from))
        self._working_from = self._working_from[:workers] + [now + self._site.start_s] * added

    def window(self, load: Callable[[float], float], start_s: float, end_s: float) -> Signals:
        site, tick_s = self._site, (end_s - start_s) / _TICKS
        served = expired = came = cpu = queued = wait_s = 0.0
        limited = 0
        for tick in range(_TICKS):
            now = start_s + tick * tick_s
            working = sum(at <= now for at in self._working_from)
            capacity = working * site.per_worker_per_s
            allowed = capacity if site.provider_per_s is None else min(capacity, site.provider_per_s)
            arrived = load(now) * tick_s
            waiting = self._queue + arrived
            done = min(waiting, allowed * tick_s)
            too_old = max(0.0, waiting - done - allowed * site.expires_s)
            self._queue = waiting - done - too_old
            came, served, expired = came + arrived, served + done, expired + too_old
            cpu += done / (capacity * tick_s) / _TICKS if capacity else 0.0
            queued += self._queue / _TICKS
            wait_s = max(wait_s, self._queue / allowed if allowed else 0.0)
            limited += allowed < capacity and self._queue > 0
        answers = served + expired
        return Signals(
            start_s=start_s,
            end_s=end_s,
            workers=sum(at <= end_s for at in self._working_from),
            complete=True,
            cpu=cpu * site.cpu_when_full,
            memory=site.memory,
            queued=queued,
            wait_s=wait_s,
            expired=expired / answers if answers else 0.0,
            answers=round(answers),
            throughput_per_s=served / (end_s - start_s),
            provider_limited=limited > _TICKS / 2,
        )
