"""What happens to one call: how long it takes and how it ends. Pure, but for the seeded draws."""

import math
import random
from dataclasses import dataclass

from ops.provider_sim.settings import Hint, Outage, SimSettings


@dataclass(frozen=True, slots=True)
class Plan:
    """How one call goes: its first token after `first_s`, its last one `rest_s` later; it ends as `outcome`, with `status`."""

    first_s: float
    rest_s: float
    outcome: str
    status: int
    retry_after_s: float

    @property
    def delay_s(self) -> float:
        """When an answer that is not streamed comes."""
        return self.first_s + self.rest_s


def plan_call(
    settings: SimSettings, hint: Hint, *, completion_tokens: int, earlier_calls: int, rng: random.Random
) -> Plan:
    """Decide one call.

    Args:
        settings: of all calls.
        hint: of this one; what it names goes before the settings, but for an outage.
        completion_tokens: of the answer, for the latency model.
        earlier_calls: how often this request id has come before.
        rng: takes exactly three draws a call, so that a changed setting leaves the others' sequence as it was.
    """
    drawn_fault, drawn_first, drawn_rest = rng.random(), rng.gauss(0, 1), rng.gauss(0, 1)
    outcome, status = "ok", 200
    if settings.outage != "none":
        outcome, status = outage(settings.outage, settings.error_status)
    elif hint.status is not None or hint.fault is not None:
        if hint.fail_first is None or earlier_calls < hint.fail_first:
            outcome, status = _hinted(hint)
    else:
        outcome, status = _drawn(settings, drawn_fault)
    retry_after_s = settings.retry_after_s if hint.retry_after_s is None else hint.retry_after_s
    if hint.latency_ms is not None:
        return Plan(hint.latency_ms / 1000, 0.0, outcome, status, retry_after_s)
    first_s = (settings.latency_ms + settings.ttft_ms) / 1000 * math.exp(settings.jitter * drawn_first)
    rest_s = settings.per_token_ms * completion_tokens / 1000 * math.exp(settings.jitter * drawn_rest)
    return Plan(first_s, rest_s, outcome, status, retry_after_s)


def outage(kind: Outage, error_status: int) -> tuple[str, int]:
    """Outcome and status of everything that comes during an outage; what comes through before the port closes is reset."""
    return ("reset" if kind == "refuse" else kind), (error_status if kind == "error" else 200)


def _hinted(hint: Hint) -> tuple[str, int]:
    if hint.fault is not None:
        return hint.fault, 200
    assert hint.status is not None
    return _outcome_of(hint.status), hint.status


def _drawn(settings: SimSettings, drawn: float) -> tuple[str, int]:
    for outcome, share in settings.fault_shares():
        if drawn < share:
            return outcome, {"error": settings.error_status, "rate_limited": 429}.get(outcome, 200)
        drawn -= share
    return "ok", 200


def _outcome_of(status: int) -> str:
    if status == 429:
        return "rate_limited"
    return "ok" if status < 300 else "error"
