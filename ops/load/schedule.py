"""When which agent asks for what: a trace's arrivals, faster or slower, with an agent and a chat each."""

import random
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from ops.load.trace_row import TraceRow


@dataclass(frozen=True, slots=True)
class Arrival:
    """One request that is due `at_s` seconds after the start."""

    at_s: float
    agent_id: str
    conversation_id: str
    prompt_tokens: int
    completion_tokens: int
    blocks: tuple[int, ...] = ()
    """Shared prefixes of prompts, see `TraceRow`."""


def schedule(
    rows: Iterable[TraceRow],
    *,
    rate_scale: float = 1.0,
    duration_s: float | None = None,
    agents: int = 100,
    chats: int = 50,
    seed: int = 0,
) -> Iterator[Arrival]:
    """Arrivals in the order in which they are due.

    Args:
        rows: the trace; its inter-arrival times and token counts are kept.
        rate_scale: 2.0 plays twice as fast: all times between arrivals are halved.
        duration_s: arrivals at or after this many seconds are left out.
        agents: names `agent-0` … are drawn evenly for each arrival.
        chats: names `chat-0` …; an agent stays with its chats. With fewer chats than agents several agents share one,
            with more an agent has several and draws among them.
        seed: of the draws; the same seed gives the same agents and chats whatever `rate_scale` and `duration_s` are.

    Raises:
        ValueError: an argument is not positive.
    """
    if rate_scale <= 0 or agents < 1 or chats < 1 or (duration_s is not None and duration_s <= 0):
        raise ValueError("rate_scale, duration, agents and chats must be greater than 0")
    rng = random.Random(seed)
    for row in rows:
        at_s = row.at_s / rate_scale
        if duration_s is not None and at_s >= duration_s:
            return
        agent = rng.randrange(agents)
        chat = _chat_of(agent, agents, chats, rng)
        yield Arrival(at_s, f"agent-{agent}", f"chat-{chat}", row.prompt_tokens, row.completion_tokens, row.blocks)


def rate_scale_for(rows: Sequence[TraceRow], *, rate_per_s: float, over_s: float) -> float:
    """The `rate_scale` at which the first `over_s` seconds hold `rate_per_s` arrivals a second on average.

    Traces are uneven: a scale from the mean rate of the whole trace would miss the rate of its beginning. With the
    result, `schedule(rows, rate_scale=…, duration_s=over_s)` gives `round(rate_per_s * over_s)` arrivals (a few less
    if several arrive in the same instant at the end).

    Raises:
        ValueError: the trace is too short, or all of those arrivals are in one instant.
    """
    wanted = max(1, round(rate_per_s * over_s))
    if len(rows) <= wanted:
        raise ValueError(
            f"{rate_per_s:g} requests/s for {over_s:g} s are {wanted} requests and the trace has {len(rows)}: "
            "lower the rate or the duration"
        )
    if rows[wanted].at_s <= 0:
        raise ValueError(f"the trace's first {wanted} requests arrive in one instant: no scale gives them a rate")
    return rows[wanted].at_s / over_s


def _chat_of(agent: int, agents: int, chats: int, rng: random.Random) -> int:
    """Chats of agent a: a mod chats, and beyond that every one that is a modulo agents."""
    if chats <= agents:
        return agent % chats
    own = (chats - 1 - agent) // agents + 1
    return agent + agents * rng.randrange(own)
