"""What happens to one call: how long it takes and how it ends. Pure, but for the seeded draws."""

import math
import random
from dataclasses import dataclass

from ops.provider_sim.settings import Hint, SimSettings


@dataclass(frozen=True, slots=True)
class Plan:
    """How one call goes: after `delay_s` it ends as `outcome`, with `status`."""

    delay_s: float
    outcome: str
    status: int
    retry_after_s: float


def plan_call(
    settings: SimSettings, hint: Hint, *, completion_tokens: int, earlier_calls: int, rng: random.Random
) -> Plan:
    """Decide one call.

    Args:
        settings: of all calls.
        hint: of this one; what it names goes before the settings.
        completion_tokens: of the answer, for the latency model.
        earlier_calls: how often this request id has come before.
        rng: takes exactly two draws a call, so that a changed setting leaves the others' sequence as it was.
    """
    drawn_fault, drawn_jitter = rng.random(), rng.gauss(0, 1)
    outcome, status = "ok", 200
    if hint.status is not None or hint.fault is not None:
        if hint.fail_first is None or earlier_calls < hint.fail_first:
            outcome, status = _hinted(hint)
    else:
        outcome, status = _drawn(settings, drawn_fault)
    retry_after_s = settings.retry_after_s if hint.retry_after_s is None else hint.retry_after_s
    if hint.latency_ms is not None:
        return Plan(hint.latency_ms / 1000, outcome, status, retry_after_s)
    modelled_ms = settings.latency_ms + settings.ttft_ms + settings.per_token_ms * completion_tokens
    return Plan(modelled_ms / 1000 * math.exp(settings.jitter * drawn_jitter), outcome, status, retry_after_s)


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
