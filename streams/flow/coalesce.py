"""Coalescing: which waiting requests fit into one call, and which linger for others of their kind. Pure.

A request that waits anyway is taken along when one of its kind is called. Beyond that a request may linger (wait on purpose for
others of its kind), as long as every dispatcher has something to do.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import count

from streams.flow.input_caps import Fate, InputCaps
from streams.flow.merge import Key, Mergeable, inputs_of, mergeable
from streams.pipeline import PendingRequest


@dataclass(frozen=True, slots=True)
class Regroup:
    """Requests that wait again after a call, to be called with each other only. `held`: not before `Coalescer` releases them."""

    group: list[PendingRequest]
    held: bool


class Coalescer:
    """Waiting requests that can share a call, by what they have in common.

    `most_inputs` go in one call, fewer where a provider takes fewer (`caps`). 1: nothing is merged.
    """

    def __init__(self, most_inputs: int, linger_s: float, of_provider: Mapping[str, int] | None = None) -> None:
        self._most_inputs = most_inputs
        self._linger_s = linger_s
        self._caps = InputCaps(most_inputs, of_provider)
        self._groups = count(1)
        self._kinds: dict[PendingRequest, Mergeable] = {}
        self._waiting: dict[Key, dict[PendingRequest, None]] = {}
        self._lingering: dict[Key, dict[PendingRequest, float]] = {}

    def add(self, request: PendingRequest) -> bool:
        """Note a request that waits; whether it can share a call."""
        kind = mergeable(request) if self._most_inputs > 1 else None
        if kind is None or kind.inputs >= self._caps.most(request):
            return False
        self._note(request, kind)
        return True

    def add_group(self, requests: Sequence[PendingRequest]) -> None:
        """Note requests that wait again after a call that failed for all: they share a call only with each other."""
        if len(requests) > 1:
            shape = b"group %d" % next(self._groups)
            for request in requests:
                kind = mergeable(request)
                assert kind is not None, "it was merged before"
                self._note(request, Mergeable((request.priority, request.route, shape), kind.inputs))

    def halves(self, group: Sequence[PendingRequest], *, refused: bool, now: float) -> list[Regroup]:
        """The two parts of a group whose call failed for all: which of them go again now. `refused`: by the provider, which
        takes no such input, or fewer; else their answer was too large or could not be taken apart.
        """
        middle = (len(group) + 1) // 2
        first, second = list(group[:middle]), list(group[middle:])
        one_by_one = refused and self._caps.refused(group, sum(map(inputs_of, group)), now)
        if one_by_one:
            self._caps.hold_back(second)
        return [Regroup(first, held=False), Regroup(second, held=one_by_one)]

    def too_large(self, group: Sequence[PendingRequest], now: float) -> None:
        """The answer to all of them was larger than answers may be: merge fewer."""
        self._caps.too_large(group[0], sum(map(inputs_of, group)), now)

    def ended(self, group: Sequence[PendingRequest], fate: Fate, now: float) -> list[PendingRequest]:
        """They were answered after a call. Those that were held for it and may go now."""
        if group[0].request.operation != "embeddings":
            return []
        return self._again(self._caps.ended(group, sum(map(inputs_of, group)), fate, now))

    def gone(self, request: PendingRequest) -> list[PendingRequest]:
        """It waits no more and was not called. Those that were held for it and may go now."""
        self.remove(request)
        return self._again(self._caps.gone(request)) if request.request.operation == "embeddings" else []

    def maintain(self, records_now: float, now: float) -> list[PendingRequest]:
        """Every now and then. Those that were held and have no more time for it; `records_now` is by the records' clock."""
        self._caps.maintain(now)
        return self._again(self._caps.late(records_now))

    def _again(self, groups: Sequence[list[PendingRequest]]) -> list[PendingRequest]:
        """Groups that may go now, each with its own only."""
        for group in groups:
            for request in group:
                self.remove(request)
            self.add_group(group)
        return [request for group in groups for request in group]

    def known_limit(self, request: PendingRequest) -> int | None:
        """The most inputs of one call where the request brings more than its provider is known to take; else None."""
        return self._caps.known_limit(request) if request.request.operation == "embeddings" else None

    def may_linger(self, request: PendingRequest, now: float) -> bool:
        """Whether its own time allows it to linger; `now` by the records' clock."""
        return self._linger_s > 0 and request.dispatch_by > now + self._linger_s

    def linger(self, request: PendingRequest, now: float) -> list[PendingRequest]:
        """Let the request, which `add` took, linger; those that may go because they fill a call now."""
        key = self._kinds[request].key
        gathered = self._lingering.setdefault(key, {})
        gathered[request] = now + self._linger_s
        if sum(self._kinds[each].inputs for each in gathered) < self._caps.most(request):
            return []
        return list(self._lingering.pop(key))

    def lingers_s(self, request: PendingRequest, now: float) -> float | None:
        """Seconds for which it lingers yet; None where it does not."""
        kind = self._kinds.get(request)
        until = None if kind is None else self._lingering.get(kind.key, {}).get(request)
        return None if until is None else max(0.0, until - now)

    def holds(self, request: PendingRequest) -> bool:
        """Whether it waits until it is known how many inputs its provider takes."""
        return request.request.operation == "embeddings" and self._caps.holds(request)

    def lingered(self, now: float, *, all_of_them: bool) -> list[PendingRequest]:
        """Those that linger no longer: with the first of a kind whose time is over, the others of its kind."""
        over = [key for key, gathered in self._lingering.items() if all_of_them or next(iter(gathered.values())) <= now]
        return [request for key in over for request in self._lingering.pop(key)]

    @property
    def next_at(self) -> float | None:
        """When the first one has lingered long enough."""
        return min((next(iter(gathered.values())) for gathered in self._lingering.values()), default=None)

    def fitting(self, request: PendingRequest) -> list[PendingRequest]:
        """Those that wait and fit into one call with this one, first come first; they stay until they are removed."""
        kind = self._kinds.get(request)
        if kind is None:
            return []
        room = self._caps.most(request) - kind.inputs
        mates: list[PendingRequest] = []
        for other in self._waiting[kind.key]:
            if other is not request:
                room -= self._kinds[other].inputs
                if room < 0:
                    break
                mates.append(other)
        return mates

    def remove(self, request: PendingRequest) -> bool:
        """It waits no more. Whether it was lingering."""
        kind = self._kinds.pop(request, None)
        if kind is None:
            return False
        waiting = self._waiting[kind.key]
        del waiting[request]
        if not waiting:
            del self._waiting[kind.key]
        gathered = self._lingering.get(kind.key)
        if gathered is None or gathered.pop(request, None) is None:
            return False
        if not gathered:
            del self._lingering[kind.key]
        return True

    def _note(self, request: PendingRequest, kind: Mergeable) -> None:
        self._kinds[request] = kind
        self._waiting.setdefault(kind.key, {})[request] = None
