"""A trace as load on a fleet that runs already."""

import asyncio
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console

from ops.load import plan_requests, rate_scale_for, read_trace, schedule
from ops.load.demand import too_much
from ops.load.ledger import Ledger
from ops.load.play import Player
from ops.load.report import LoadResult, shown_live
from ops.load.traffic import Traffic
from streams.settings import Settings


@dataclass(frozen=True, slots=True)
class ReplayOptions:
    """What can be chosen. Times are seconds; `rate_per_s` chooses `rate_scale` and needs `seconds`."""

    trace: Path
    rate_scale: float = 1.0
    rate_per_s: float | None = None
    seconds: float | None = None
    agents: int = 100
    chats: int = 50
    model: str = "small"
    timeout_s: float | None = None
    simulated: bool = True
    wait_s: float = 120.0
    """For the answers after the last request. By default what a low request may take: 60 s in the queue, 60 s its call."""
    seed: int = 0


async def run_replay(
    settings: Settings, options: ReplayOptions, console: Console, report: Callable[[LoadResult], None]
) -> None:
    """Send the trace's requests at their times, wait for the answers, report; also when interrupted (cancelled).

    Raises TraceError and ValueError for a trace or options that do not fit, ProvisionError, SendError.
    """
    rows = await asyncio.to_thread(read_trace, options.trace)
    scale, over_s = options.rate_scale, options.seconds
    if options.rate_per_s is not None:
        if over_s is None:
            raise ValueError("--rate needs --seconds: how long requests are sent")
        scale = rate_scale_for(rows, rate_per_s=options.rate_per_s, over_s=over_s)
    arrivals = schedule(
        rows, rate_scale=scale, duration_s=over_s, agents=options.agents, chats=options.chats, seed=options.seed
    )
    run = f"replay-{uuid.uuid4().hex[:8]}"
    planned = plan_requests(
        arrivals,
        run=run,
        model=options.model,
        seed=options.seed,
        timeout_s=options.timeout_s,
        simulated=options.simulated,
    )
    for provider in settings.providers[:1]:
        for line in too_much(rows, scale, over_s, provider, options.model):
            console.print(f"warning: {line}", highlight=False, soft_wrap=True)
    ledger = Ledger()
    async with Traffic(settings.kafka.client_options(), ledger, names=settings.topics.names) as traffic:
        lasts = f"{over_s:g} s" if over_s is not None else f"{rows[-1].at_s / scale:.0f} s" if rows else "no time"
        say = f"{options.trace.name}: {scale:.2f} times as fast, for {lasts}; ids {run}-…"
        console.print(say, highlight=False, soft_wrap=True)
        player, began, interrupted = Player(traffic), time.monotonic(), True
        try:
            async with shown_live(player.view, console):
                await player.play(planned)
                await traffic.wait_answered(options.wait_s)
            interrupted = False
        finally:
            if ledger.sent:
                facts: dict[str, str | int | float] = {"rate_scale": round(scale, 4), "run": run}
                report(LoadResult(ledger.summary(), time.monotonic() - began, interrupted, facts))
