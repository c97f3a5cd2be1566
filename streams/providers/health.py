"""Whether an endpoint gets calls for a model: what its checks say, what its calls say, and what its operator says. Pure."""

from __future__ import annotations

from dataclasses import dataclass, field
from math import inf
from typing import Final, Literal, NamedTuple

from streams.providers.breaker import Breaker, BreakerPolicy
from streams.providers.formats.wire import Failure, Fault

EndpointState = Literal["healthy", "half_open", "open", "refused", "unhealthy", "draining"]
"""`open`: by itself, or for each model that it is called for. `refused`: it refuses our key, or our credit is used up."""

_MOST_MODELS: Final = 128
"""Models of an endpoint that are judged apart; their names come from outside."""
_MOST_PAUSE_S: Final = 300.0
"""No endpoint is left alone for longer because it asked for it."""


class Begun(NamedTuple):
    """One call that has begun, as the two breakers know it."""

    model: str
    of_endpoint: int
    of_model: int
    tries: bool
    """Whether it is the one that tries what was open."""


@dataclass(frozen=True, slots=True)
class Unfit:
    """Why an endpoint gets no call for a model now."""

    scope: Literal["endpoint", "model"]
    """Whether it gets none at all, or none for this model."""
    why: str
    retry_in_s: float | None = None
    """When that may be over; None: nobody knows."""
    refused: bool = False
    """Whether an operator has to fix something first: a key, credit, the model's name."""


@dataclass(slots=True)
class _Model:
    breaker: Breaker
    paused_until: float = -inf
    paused_why: str = ""


@dataclass(slots=True)
class Health:
    """One endpoint's health. It begins healthy: the first calls need not wait for a check.

    `unhealthy_after` failed checks in a row make it unhealthy, `healthy_after` good ones healthy again; the breakers judge by
    the calls. The methods that take in news return whether the state of the endpoint, or of the model, has changed by it.
    """

    policy: BreakerPolicy
    unhealthy_after: int
    healthy_after: int
    draining: bool = False
    """Its operator wants it to get no new calls."""
    checks_say: Literal["healthy", "unhealthy"] = "healthy"
    breaker: Breaker = field(init=False)
    """Of its address and its key."""
    _models: dict[str, _Model] = field(default_factory=dict)
    _in_a_row: int = 0
    """Checks that said the opposite of `checks_say`, since the last one that agreed."""

    def __post_init__(self) -> None:
        self.breaker = Breaker(self.policy)

    @property
    def state(self) -> EndpointState:
        if self.draining:
            return "draining"
        if self.checks_say == "unhealthy":
            return "unhealthy"
        if self.breaker.state == "open" and self.breaker.fault != "illness":
            return "refused"
        if self.breaker.state != "closed":
            return self.breaker.state
        states = {each.breaker.state if each.breaker.fault == "illness" else "closed" for each in self._models.values()}
        if not states or "closed" in states:
            return "healthy"
        return "open" if "open" in states else "half_open"

    def fit(self, model: str, now: float) -> bool:
        """Whether a call for the model may begin now."""
        if self.draining or self.checks_say == "unhealthy" or not self.breaker.allows(now):
            return False
        of_model = self._models.get(model)
        return of_model is None or (of_model.breaker.allows(now) and now >= of_model.paused_until)

    def suspect(self, model: str, now: float) -> bool:
        """Whether another endpoint is to be preferred for the model, where there is one."""
        of_model = self._models.get(model)
        return self.breaker.suspect(now) or (of_model is not None and of_model.breaker.suspect(now))

    def unfit(self, model: str, now: float) -> Unfit | None:
        """Why no call for the model may begin now; None where one may."""
        if self.draining:
            return Unfit("endpoint", "drained by its operator")
        if self.checks_say == "unhealthy":
            return Unfit("endpoint", "its checks fail")
        of_model = self._models.get(model)
        if not self.breaker.allows(now):
            return _unfit("endpoint", self.breaker, now)
        if of_model is None:
            return None
        if not of_model.breaker.allows(now):
            return _unfit("model", of_model.breaker, now)
        if now < of_model.paused_until:
            return Unfit("model", f"it asked to wait: {of_model.paused_why}", of_model.paused_until - now)
        return None

    # ---- calls

    def begin(self, model: str) -> Begun:
        """A call begins; give what is returned to `end`, then perhaps to one of those that judge it."""
        of_model = self._models.get(model)
        if of_model is None:
            of_model = self._add(model)
        tries = self.breaker.state == "open" or of_model.breaker.state == "open"
        return Begun(model, self.breaker.begin(), of_model.breaker.begin(), tries)

    def end(self, begun: Begun) -> None:
        """The call has ended, whatever came of it."""
        self.breaker.end(begun.of_endpoint)
        of_model = self._models.get(begun.model)
        if of_model is not None:
            of_model.breaker.end(begun.of_model)

    def succeeded(self, begun: Begun, now: float) -> bool:
        """The call was answered well."""
        changed = self.breaker.succeeded(begun.of_endpoint, now)
        of_model = self._models.get(begun.model)
        return (of_model is not None and of_model.breaker.succeeded(begun.of_model, now)) or changed

    def alive(self, begun: Begun, now: float) -> bool:
        """The call was refused by somebody who reads requests: that says nothing of the model."""
        return self.breaker.succeeded(begun.of_endpoint, now)

    def suspected(self, begun: Begun, now: float) -> None:
        """The call has failed, perhaps by the request's own fault: judged by `failed` when it is known."""
        self.of(begun.model).suspected(begun.of_model, now)

    def failed(self, begun: Begun, failure: Failure, now: float, *, everywhere: bool) -> bool:
        """The call has failed; `everywhere`: so did its request wherever it was tried."""
        if not failure.sent:
            self.breaker.suspected(begun.of_endpoint, now)
            return self.breaker.failed(begun.of_endpoint, now, "illness", failure.message)
        breaker = self.of(begun.model)
        return breaker.failed(begun.of_model, now, failure.fault, failure.message, everywhere=everywhere)

    def refused(self, begun: Begun, failure: Failure, now: float) -> bool:
        """The endpoint said for certain that it takes no such calls: of anybody (key, credit), or for this model."""
        if failure.fault == "model":
            return self.of(begun.model).refused(begun.of_model, now, failure.fault, failure.message)
        return self.breaker.refused(begun.of_endpoint, now, failure.fault, failure.message)

    def pause(self, model: str, for_s: float, why: str, now: float) -> None:
        """The endpoint asked to be left alone for so long; at most five minutes of that are believed."""
        of_model = self._models.get(model) or self._add(model)
        of_model.paused_until = max(of_model.paused_until, now + min(for_s, _MOST_PAUSE_S))
        of_model.paused_why = why

    def of(self, model: str) -> Breaker:
        """The breaker of a model."""
        return (self._models.get(model) or self._add(model)).breaker

    def _add(self, model: str) -> _Model:
        if len(self._models) >= _MOST_MODELS:
            idle = next((name for name, each in self._models.items() if each.breaker.idle), None)
            self._models.pop(next(iter(self._models)) if idle is None else idle)
        of_model = self._models[model] = _Model(Breaker(self.policy))
        return of_model

    # ---- checks and operators

    def checked(self, well: bool, now: float) -> bool:
        before = self.state
        if well == (self.checks_say == "healthy"):
            self._in_a_row = 0
        else:
            self._in_a_row += 1
            if self._in_a_row >= (self.healthy_after if well else self.unhealthy_after):
                self.checks_say = "healthy" if well else "unhealthy"
                self._in_a_row = 0
        changed = [breaker.checked(well, now) for breaker in self._breakers()]
        return any(changed) or self.state != before

    def drain(self, draining: bool) -> bool:
        changed, self.draining = draining != self.draining, draining
        return changed

    def new_key(self) -> bool:
        """It is called with another key from now on."""
        return self.breaker.fault in ("key", "credit") and self.breaker.renew()

    def next_check_s(self, interval_s: float, now: float) -> float:
        """Seconds until the next check: at the interval, or earlier where an open breaker waits for it."""
        due = [due_s for breaker in self._breakers() if (due_s := breaker.check_due_s(now)) is not None]
        return min(interval_s, *due) if due else interval_s

    def set_aside(self) -> list[tuple[str | None, Breaker]]:
        """The breakers that are not closed: the endpoint's (None), and those of models."""
        not_closed: list[tuple[str | None, Breaker]] = [] if self.breaker.state == "closed" else [(None, self.breaker)]
        return not_closed + [
            (name, each.breaker) for name, each in self._models.items() if each.breaker.state != "closed"
        ]

    def _breakers(self) -> list[Breaker]:
        return [self.breaker, *(each.breaker for each in self._models.values())]


_WORDS: Final[dict[Fault, str]] = {
    "key": "its key is refused",
    "credit": "its credit is used up",
    "model": "it has not this model",
}


def _unfit(scope: Literal["endpoint", "model"], breaker: Breaker, now: float) -> Unfit:
    words = _WORDS.get(breaker.fault, "its calls fail")
    if breaker.state == "half_open":
        return Unfit(scope, f"{words}, one call tries it: {breaker.why}")
    due_s = max(0.0, breaker.until - now)
    refused = breaker.fault in _WORDS
    return Unfit(
        scope, f"{words}, set aside for {due_s:.0f} s more: {breaker.why}", due_s if refused else None, refused
    )
