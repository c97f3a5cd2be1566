"""The request that travels for an arrival: the value of the contract, its priority, its id."""

import random
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from ops.load.schedule import Arrival

MAX_PROMPT_BYTES = 900_000
"""A request is at most 1 MB with everything around the prompt; longer prompts are cut, their token counts stay told."""

BYTES_PER_TOKEN = 4
"""English prose, roughly; the provider simulator counts the same way."""

BLOCK_TOKENS = 512
"""Of one hash id of Mooncake's traces."""

_PROSE = (
    "The miller looks at the river before he opens the gate: the wheel takes what the channel brings, and no more. "
    "What comes too fast is held back in the pond; what comes too slowly turns nothing. "
)


@dataclass(frozen=True, slots=True)
class PriorityMix:
    """Weights of the three classes; they need not add up to anything."""

    high: float = 10
    normal: float = 70
    low: float = 20


@dataclass(frozen=True, slots=True)
class PlannedRequest:
    """A request ready to be sent `at_s` seconds after the start, to the topic of its priority, keyed by its agent."""

    at_s: float
    priority: str
    request_id: str
    agent_id: str
    value: dict[str, Any]


def plan_requests(
    arrivals: Iterable[Arrival],
    *,
    run: str,
    model: str = "small",
    mix: PriorityMix | None = None,
    seed: int = 0,
    timeout_s: float | None = None,
    simulated: bool = True,
) -> Iterator[PlannedRequest]:
    """A request for each arrival.

    Args:
        arrivals: from `schedule`.
        run: begins every request id, `RUN-000017`; another run needs another name, or its requests count as duplicates.
        model: name of the model in the payload.
        mix: shares of the priorities; by default 10 / 70 / 20.
        seed: of the draws of priorities.
        timeout_s: total time for each request; None leaves it to its class.
        simulated: tell the provider simulator the token counts; a real provider would refuse the unknown field.
    """
    shares = mix or PriorityMix()
    rng = random.Random(seed)
    names, weights = ("high", "normal", "low"), (shares.high, shares.normal, shares.low)
    for index, arrival in enumerate(arrivals):
        (priority,) = rng.choices(names, weights)
        request_id = f"{run}-{index:06d}"
        value = request_value(arrival, request_id, model=model, timeout_s=timeout_s, simulated=simulated)
        yield PlannedRequest(arrival.at_s, priority, request_id, arrival.agent_id, value)


def request_value(
    arrival: Arrival, request_id: str, *, model: str = "small", timeout_s: float | None = None, simulated: bool = True
) -> dict[str, Any]:
    """The value of one request, as the contract has it; its prompt has the id, so that no two are alike."""
    payload: dict[str, Any] = {
        "model": model,
        "messages": [{"role": "user", "content": prompt(request_id, arrival.prompt_tokens, arrival.blocks)}],
        "max_tokens": max(1, arrival.completion_tokens),
    }
    if simulated:
        payload["headrace_sim"] = {
            "id": request_id,
            "prompt_tokens": arrival.prompt_tokens,
            "completion_tokens": arrival.completion_tokens,
        }
    value: dict[str, Any] = {
        "request_id": request_id,
        "agent_id": arrival.agent_id,
        "conversation_id": arrival.conversation_id,
        "operation": "chat.completions",
        "payload": payload,
    }
    if timeout_s is not None:
        value["timeout_s"] = timeout_s
    return value


def prompt(request_id: str, tokens: int, blocks: Sequence[int] = ()) -> str:
    """ASCII prose of about `tokens` tokens that begins with the shared blocks and the id; never more than `MAX_PROMPT_BYTES`."""
    wanted = min(tokens * BYTES_PER_TOKEN, MAX_PROMPT_BYTES)
    own = f"Request {request_id}. "
    opening = "".join(map(_block, blocks))[: max(0, wanted - len(own))] + own
    missing = max(0, wanted - len(opening))
    return opening + (_PROSE * (missing // len(_PROSE) + 1))[:missing]


def _block(number: int) -> str:
    """The text of one shared block: the same for the same number, and of no other."""
    size = BLOCK_TOKENS * BYTES_PER_TOKEN
    opening = f"Section {number}. "
    return (opening + _PROSE * (size // len(_PROSE) + 1))[:size]
