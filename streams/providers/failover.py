"""Where the next attempt of a call goes: stage by stage, and in a stage to whom was not tried yet before whom was."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Final

from streams.limits import TooLarge
from streams.pipeline import PendingRequest
from streams.providers.endpoint import Endpoint
from streams.providers.formats.wire import CannotTranslateError, Failure
from streams.providers.provider import Provider
from streams.providers.routes import Stage
from streams.providers.target import Attempt, NoCapacity, Target, acquire, available

_SUSPECT_AGAIN_S: Final = 0.1
"""How often it is looked whether an endpoint that failed of late is no suspect any more."""


@dataclass(slots=True)
class Failover:
    """One call's way through its targets. A later stage is another model: it is entered when the one before has nothing left."""

    request: PendingRequest
    stages: Sequence[Stage]
    stage: int = 0
    tried: list[Endpoint] = field(default_factory=list)
    """Endpoints in the order of the attempts, of this round: the last one comes last again."""
    body: bytes = b""
    encoded_for: tuple[Provider, str] | None = None
    """Which provider and model the body is for."""
    counted: int = 0
    """Attempts in this stage that count against the most that there may be."""
    _unable: set[Target] = field(default_factory=set)
    """Targets that cannot take this request, however long it waits."""
    _never: Failure | None = None
    """Why the target that was given up last cannot take the request."""
    _refusing: set[Endpoint] = field(default_factory=set)
    """Endpoints that refused it in this stage, and would again."""
    _keeps_to: set[Endpoint] = field(default_factory=set)

    @property
    def keeps_to(self) -> set[Endpoint]:
        """The only endpoints that may be called, because they go on with what was begun; empty: all."""
        if any(endpoint.gone for endpoint in self._keeps_to):
            self._keeps_to = {endpoint for endpoint in self._keeps_to if not endpoint.gone}
        return self._keeps_to

    @property
    def fallback(self) -> bool:
        """Whether another model stands in for the one that was asked for."""
        return self.stage > 0

    def targets(self) -> Sequence[Target]:
        """Those of this stage that can take the request."""
        if not self._unable:
            return self.stages[self.stage]
        return [target for target in self.stages[self.stage] if target not in self._unable]

    def give_up(self, target: Target) -> None:
        """The request is too large for the target's model, or its format cannot say it: so for all of its endpoints."""
        alike = (
            each for each in self.stages[self.stage] if (each.provider, each.model) == (target.provider, target.model)
        )
        self._unable.update(alike)

    def refused_by(self, endpoint: Endpoint) -> None:
        """The endpoint refused the request for something that is its own: its key, its credit, the model."""
        self._refusing.add(endpoint)

    def keep_to(self, provider: str, model: str, endpoint_number: int | None) -> bool:
        """Make the attempts at this provider and model alone, at the endpoint of this number if one is given; whether there is
        such.
        """
        for number, stage in enumerate(self.stages):
            kept = {
                endpoint
                for target in stage
                if (target.provider.name, target.model) == (provider, model)
                for endpoint in target.provider.endpoints
                if endpoint_number is None or endpoint.number == endpoint_number
            }
            if kept:
                if number != self.stage:
                    self.stage, self.counted = number, 0
                    self.tried.clear()
                self._keeps_to = kept
                return True
        return False

    def let_go(self) -> None:
        """The attempts may be made anywhere again."""
        self._keeps_to = set()

    def _barred(self, endpoint: Endpoint) -> bool:
        return endpoint in self._refusing or (bool(self.keeps_to) and endpoint not in self.keeps_to)

    def next_stage(self) -> bool:
        """Go on with the next model that may take the request; whether there is one."""
        while self.stage + 1 < len(self.stages):
            self.stage += 1
            self.counted = 0
            self.tried.clear()
            self._refusing.clear()
            self._keeps_to = set()
            if self.targets():
                return True
        return False

    def note(self, endpoint: Endpoint) -> bool:
        """An attempt is made there. Whether it is not the first one there."""
        repeated = endpoint in self.tried
        self.tried.append(endpoint)
        return repeated

    def untried(self) -> bool:
        """Whether an endpoint that was not tried yet could be called now; if none is left at all, another round begins."""
        known = [
            endpoint
            for target in self.targets()
            for endpoint in target.provider.endpoints
            if not self.keeps_to or endpoint in self.keeps_to
        ]
        if all(endpoint in self.tried for endpoint in known):
            self.tried = self.tried[-1:]
            return False
        return any(endpoint not in self.tried for endpoint in self._fit())

    def hopeless(self) -> bool:
        """Whether every endpoint of this stage refuses the request, or everybody's, until an operator fixes something."""
        now = time.monotonic()
        endpoints = sum(len(target.provider.endpoints) for target in self.targets())
        refusing = [
            endpoint
            for target in self.targets()
            for endpoint in target.provider.endpoints
            if self._barred(endpoint) or ((unfit := endpoint.health.unfit(target.model, now)) and unfit.refused)
        ]
        return len(refusing) == endpoints

    def resumes_in_s(self) -> float | None:
        """Seconds until some endpoint of this stage may be called: 0.0 now, None unknown."""
        if self._fit():
            return 0.0
        now = time.monotonic()
        waits = [
            unfit.retry_in_s
            for target in self.targets()
            for endpoint, unfit in target.unfit(now)
            if not self._barred(endpoint)
        ]
        return None if None in waits or not waits else min(wait_s for wait_s in waits if wait_s is not None)

    def later_is_fit(self) -> bool:
        """Whether a later stage has an endpoint that may be called now."""
        now = time.monotonic()
        later = (target for stage in self.stages[self.stage + 1 :] for target in stage if target not in self._unable)
        return any(target.fit(now) for target in later)

    def _fit(self) -> list[Endpoint]:
        now = time.monotonic()
        return [e for target in self.targets() for e in target.fit(now) if not self._barred(e)]

    def take(self) -> Attempt | NoCapacity | Failure:
        """What an attempt needs, of the first target that has it, with `body` encoded for it; a Failure where no target of this
        stage ever will.
        """
        lacks: list[NoCapacity] = []
        for target, free in self._candidates():
            acquired = self._take_at(target, free)
            if isinstance(acquired, Attempt):
                return acquired
            if isinstance(acquired, Failure):
                self._never = acquired
                self.give_up(target)
            else:
                lacks.append(acquired)
        if not lacks:
            assert self._never is not None, "every stage has a target, and each either lacks something or never can"
            return self._never
        first = next((each for each in lacks if not each.down), lacks[0])
        return NoCapacity(
            only_for_high=any(each.only_for_high for each in lacks),
            retry_in_s=min((each.retry_in_s for each in lacks if each.retry_in_s is not None), default=None),
            down=all(each.down for each in lacks),
            model_only=any(each.model_only for each in lacks),
            refused=all(each.refused for each in lacks),
            lack=first.lack,
            of=first.of,
        )

    def _candidates(self) -> Iterator[tuple[Target, Sequence[Endpoint] | NoCapacity]]:
        """Targets with their free endpoints: those with one that was not tried first, those that failed of late after others.

        Where this call failed it goes again once the endpoint is no suspect any more, or no other is fit.
        """
        now = time.monotonic()
        suspects: list[tuple[Target, Sequence[Endpoint]]] = []
        repeats: list[tuple[Target, Sequence[Endpoint]]] = []
        targets = self.targets()
        for target in targets:
            free = available(target, self.request.priority, now)
            if isinstance(free, NoCapacity):
                yield target, free
                continue
            if self._refusing or self.keeps_to:
                free = [endpoint for endpoint in free if not self._barred(endpoint)]
                if not free:
                    yield target, NoCapacity(down=True, refused=True)
                    continue
            fresh = [endpoint for endpoint in free if endpoint not in self.tried] if self.tried else free
            if fresh and (len(targets) == 1 or not target.suspect(fresh, now)):
                yield target, fresh
            elif fresh:
                suspects.append((target, fresh))
            if fresh is not free:
                repeats.append((target, free))
        yield from suspects
        others = bool(repeats) and any(endpoint not in self.tried for endpoint in self._fit())
        for target, failed in repeats:
            if others and target.suspect(failed, now):
                # Whoever was not asked yet is only full: waiting for it is better than failing where this failed a moment ago.
                yield target, NoCapacity(retry_in_s=_SUSPECT_AGAIN_S, lack="endpoint_slots")
            else:
                yield target, failed

    def _take_at(self, target: Target, free: Sequence[Endpoint] | NoCapacity) -> Attempt | NoCapacity | Failure:
        if isinstance(free, NoCapacity):
            return free
        needs = self.request.estimate.least_input
        if target.window is not None and needs > target.window:
            message = f"{target.model} takes {target.window} tokens, and the request has at least {needs}"
            return Failure("exceeds_limit", message, fault="context")
        provider, wanted = target.provider, (target.provider, target.model)
        if wanted != self.encoded_for:
            request = self.request.request
            streamed = provider.streams(request.operation, wanted=self.request.streams)
            try:
                body = provider.encode(request, target.model, streamed=streamed)
            except CannotTranslateError as error:
                return Failure("invalid_request", f"{provider.name}: {error}", fault="context")
            self.body, self.encoded_for = body, wanted
        if not self.tried and not provider.bodies.fits(len(self.body)):
            return NoCapacity(lack="body_memory")
        attempt = acquire(target, free, self.request, self.tried[-1:])
        return Failure("exceeds_limit", attempt.message, fault="context") if isinstance(attempt, TooLarge) else attempt
