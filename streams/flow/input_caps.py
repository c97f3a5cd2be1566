"""How many inputs of `embeddings` requests a provider takes in one call: learnt from what it refuses and what it takes. Pure.

Providers take 10, 20, 64, 96 or 2,048 inputs a call and refuse more, each in its own words and most of them as a 400. So does
one bad input have its whole call refused. Words do not tell the two apart; calls do: a refused call whose inputs all pass in
smaller calls was too large. Its halves are called one after the other, until that is known or one input has turned out bad;
then the largest size that passes is sought between the two that are known. Everything else of the refused call waits, so that
what is learnt serves it already.

A size that is known is kept for an hour, and forgotten then: the provider may have changed it. That costs about as many refused
calls an hour as the size has binary digits.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, Literal

from streams.flow.merge import inputs_of
from streams.pipeline import PendingRequest

FORGET_AFTER_S: Final = 3600.0

_FORGET_EVERY_S: Final = 60.0

_MOST_KNOWN: Final = 1000
"""Sizes that are kept; the names of models come from outside."""

Place = tuple[str, str]
"""A provider and a model."""

Fate = Literal["answered", "refused", "other"]
"""What became of a call: an answer for all, a refusal that is the request's own fault, anything else."""


def place_of(request: PendingRequest) -> Place:
    model = request.request.payload["model"]
    return request.route.provider, str(model)


@dataclass(slots=True, eq=False)
class _Suspicion:
    """A refused call. It was too large if all of `unproven` get answers in smaller ones."""

    inputs: int
    unproven: set[PendingRequest]
    largest_answered: int = 0


@dataclass(slots=True, eq=False)
class _Search:
    """What is under way to find a size. `active` are called or about to be; `held`, the last group first, wait for it."""

    active: set[PendingRequest]
    held: list[list[PendingRequest]]


@dataclass(slots=True, eq=False)
class _Known:
    """`answered`: the most inputs that were; `refused`: the fewest that were too many; `ceiling`: of what else there is."""

    answered: int = 0
    refused: int | None = None
    ceiling: int | None = None
    since: float = 0.0
    suspicions: list[_Suspicion] = field(default_factory=list)
    search: _Search | None = None


class InputCaps:
    """At most `most_inputs` a call and what `of_provider` says, fewer where a place was found to take fewer.

    Times are of a monotonic clock.
    """

    def __init__(self, most_inputs: int, of_provider: Mapping[str, int] | None = None) -> None:
        self._most_inputs = most_inputs
        self._of_provider = of_provider or {}
        self._known: dict[Place, _Known] = {}
        self._searching = 0
        self._forget_at = 0.0

    def most(self, request: PendingRequest) -> int:
        """The most inputs of a call that the request has a part in."""
        known = self._known.get(place_of(request))
        most = min(self._most_inputs, self._of_provider.get(request.route.provider, self._most_inputs))
        if known is None:
            return most
        if known.ceiling is not None:
            most = min(most, known.ceiling)
        if known.search is not None and request in known.search.active:
            return most  # its group has the size that is tried
        if known.refused is not None:
            return min(most, max(1, known.answered))
        if known.search is not None and known.suspicions:
            return min(most, max(1, min(each.inputs for each in known.suspicions) // 2))
        return most

    def known_limit(self, request: PendingRequest) -> int | None:
        """The most inputs of one call where this request alone brings more than its provider is known to take; else None."""
        inputs, given = inputs_of(request), self._of_provider.get(request.route.provider)
        known = self._known.get(place_of(request))
        learnt = known.answered if known is not None and known.refused is not None and inputs >= known.refused else None
        limits = [each for each in (given, learnt) if each is not None and inputs > each]
        return min(limits, default=None)

    def too_large(self, request: PendingRequest, inputs: int, now: float) -> None:
        """The answer to this many inputs was larger than answers may be."""
        self._at(place_of(request), now).ceiling = max(1, inputs // 2)

    def refused(self, group: Sequence[PendingRequest], inputs: int, now: float) -> bool:
        """A call of several requests was refused; its halves come next. Whether they are to come one after the other: then
        hand the second one to `hold_back`.
        """
        known = self._at(place_of(group[0]), now)
        known.suspicions.append(_Suspicion(inputs, set(group)))
        if known.search is not None:
            return known.search.active.issuperset(group)
        if inputs <= known.answered:  # as many passed before: more likely one of them is bad
            return False
        known.search = _Search(set(group), [])
        self._searching += 1
        return True

    def hold_back(self, group: list[PendingRequest]) -> None:
        """The group waits until what is before it has ended."""
        search = self._known[place_of(group[0])].search
        assert search is not None
        search.active.difference_update(group)
        search.held.append(group)

    def ended(self, group: Sequence[PendingRequest], inputs: int, fate: Fate, now: float) -> list[list[PendingRequest]]:
        """A call ended for good for these. The groups that were held and may go now."""
        place = place_of(group[0])
        known = self._known.get(place)
        if fate == "answered" and inputs > 1 and (known is None or inputs > known.answered):
            known = self._at(place, now)
            known.answered = inputs
        if known is None or not known.suspicions:  # without one there is no search
            return []
        explained = False
        for each in known.suspicions[:]:
            ours = each.unproven.intersection(group)
            if not ours:
                continue
            each.unproven -= ours
            each.largest_answered = max(each.largest_answered, inputs)
            if fate != "answered":
                explained = True
                known.suspicions.remove(each)
            elif not each.unproven:
                known.suspicions.remove(each)
                self._learn(known, each, now)
        return self._go_on(known, group, give_up=explained)

    def holds(self, request: PendingRequest) -> bool:
        """Whether it waits for what is before it."""
        known = self._known.get(place_of(request))
        return known is not None and known.search is not None and any(request in group for group in known.search.held)

    def late(self, now: float) -> list[list[PendingRequest]]:
        """Groups of which one has waited for too long, by the records' clock: their search is given up."""
        groups: list[list[PendingRequest]] = []
        if self._searching:
            for known in self._known.values():
                held = known.search.held if known.search is not None else []
                if any(request.dispatch_by <= now for group in held for request in group):
                    groups += self._go_on(known, (), give_up=True)
        return groups

    def gone(self, request: PendingRequest) -> list[list[PendingRequest]]:
        """The request waits no more and was not called. The groups that may go now."""
        return self.ended([request], 1, "other", 0.0) if self._known else []

    def maintain(self, now: float) -> None:
        """Every now and then: forget what was learnt long ago."""
        if now >= self._forget_at:
            self._forget_at = now + _FORGET_EVERY_S
            over = now - FORGET_AFTER_S
            self._known = {
                place: known
                for place, known in self._known.items()
                if known.since > over or known.search is not None or known.suspicions
            }

    def _learn(self, known: _Known, suspicion: _Suspicion, now: float) -> None:
        """All parts of a refused call were answered: it had too many inputs."""
        if known.answered >= suspicion.inputs:  # more passed once, and do no longer
            known.answered = suspicion.largest_answered
        known.answered = max(known.answered, 1)
        known.refused = suspicion.inputs if known.refused is None else min(known.refused, suspicion.inputs)
        known.since = now

    def _go_on(self, known: _Known, ended: Sequence[PendingRequest], *, give_up: bool) -> list[list[PendingRequest]]:
        search = known.search
        if search is None:
            return []
        search.active.difference_update(ended)
        if not give_up:
            if search.active:
                return []
            if (group := self._next(known, search)) is not None:
                search.active.update(group)
                return [group]
        known.search = None
        known.suspicions.clear()
        self._searching -= 1
        return search.held

    def _next(self, known: _Known, search: _Search) -> list[PendingRequest] | None:
        """What is tried next; None where there is nothing more to find out, or nothing to try it with."""
        if not search.held:
            return None
        if known.refused is None or any(each.inputs < known.refused for each in known.suspicions):
            return search.held.pop()
        waiting = deque(request for group in search.held for request in group)
        search.held = [list(waiting)]
        wanted = (known.answered + known.refused) // 2
        group: list[PendingRequest] = []
        room = wanted
        while waiting and (inputs := inputs_of(waiting[0])) <= room:
            room -= inputs
            group.append(waiting.popleft())
        if wanted - room <= known.answered:
            return None
        search.held = [list(waiting)] if waiting else []
        return group

    def _at(self, place: Place, now: float) -> _Known:
        """What is known of a place. Where there are too many, all are forgotten but those that are being found out."""
        known = self._known.get(place)
        if known is None:
            if len(self._known) >= _MOST_KNOWN:
                self._known = {each: kept for each, kept in self._known.items() if kept.search is not None}
            known = self._known[place] = _Known(since=now)
        return known
