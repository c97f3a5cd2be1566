"""A fleet under load of which everything is known that an operator may ask: what waits for what, what died, who takes most."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from ops.admin.actions import make_action, write
from ops.load.traffic import Traffic
from ops.processes.fleet import Fleet, WorkerProcess
from streams.settings import load_settings
from tests.support.control_room import poison
from tests.support.pipeline import Pipeline, request, send_steadily, wait_until
from tests.support.scaling import QUICK, dotted, wait_decision

HELD: Final = tuple(f"held-{number}" for number in range(450))
"""Of agent `patient`: their provider allows four a second, and lets 500 wait."""
BROKEN: Final = ("broke-0", "broke-1")
"""Their provider answers 503, twice each; they are dead letters."""
BURNS: Final = 3
"""Requests of agent `burner`, each with `BURNT` tokens of answer; all others have 8."""
BURNT: Final = 5_000
_PER_S: Final = 10.0
_LOAD_S: Final = 120

_PROVIDERS: Final = """
[[providers]]
name = "tight"
models = ["scarce"]
rate_limit = { requests = "240/minute", tokens = "unlimited" }
endpoints = [{ url = "%s" }]
"""


@dataclass(frozen=True, slots=True)
class WatchedFleet:
    """What is true of it."""

    settings: Path
    traffic: Traffic
    drained: str
    """The endpoint that an operator has drained; its provider has another one."""

    def open_of(self, ids: tuple[str, ...]) -> list[str]:
        """Those without an answer, in the order in which they were sent."""
        lost = set(self.traffic.ledger.lost_ids())
        return [each for each in ids if each in lost]


@asynccontextmanager
async def watched_fleet(pipeline: Pipeline, **changed: Any) -> AsyncIterator[WatchedFleet]:
    """One worker and one control process under load, once the fleet has decided not to grow."""
    here, drained = pipeline.simulator.url, pipeline.simulator.url.replace("127.0.0.1", "localhost")
    pipeline.provider = {"models": ["small"]}
    quick = QUICK | {
        "scaling.limits.max": 4,
        "scaling.triggers.queue.length": 5,
        "limits.window": "2s",
        "limits.margin": "100ms",
        "metrics.grace": "1s",
    }
    settings = pipeline.settings(**dotted(quick), **changed)
    retry = 'retry = { dead_letter = true, max_attempts = 2, base_delay = "10ms" }\n'
    both = settings.read_text().replace(f'[{{ url = "{here}" }}]', f'[{{ url = "{here}" }}, {{ url = "{drained}" }}]')
    settings.write_text(both + retry + _PROVIDERS % here)
    await write(load_settings(settings), make_action("drain", "ann", endpoint=drained, reason="moved"))
    control = WorkerProcess("c0", settings, pipeline.directory / "c0.log", command="control")
    async with AsyncExitStack() as stack:
        stack.push_async_callback(control.stop, 10)
        fleet = await stack.enter_async_context(Fleet(settings, pipeline.directory))
        traffic = await stack.enter_async_context(pipeline.traffic())
        await asyncio.gather(fleet.start(1), control.wait_ready(60))
        values = [request(f"steady-{number}") for number in range(round(_PER_S * _LOAD_S))]
        sending = asyncio.create_task(send_steadily(traffic, values, _PER_S))
        stack.callback(sending.cancel)
        await _send_known(pipeline, traffic)

        async def only_held_are_open() -> bool:
            return not set(traffic.ledger.lost_ids()).intersection(BROKEN)

        await wait_until(only_held_are_open, 60)
        await wait_decision(pipeline, lambda each: "provider_limited" in each.blocked_by and bool(each.reasons), 60)
        yield WatchedFleet(settings, traffic, drained)
        assert not sending.done(), "all of it is seen under load"


async def _send_known(pipeline: Pipeline, traffic: Traffic) -> None:
    for each in HELD:
        value = request(each)
        value["payload"]["model"] = "scarce"
        await traffic.send("normal", "patient", value)
    for each in BROKEN:
        await traffic.send("normal", "unlucky", request(each, status=503))
    for number in range(BURNS):
        value = request(f"burnt-{number}", completion_tokens=BURNT, latency_ms=100)
        value["payload"]["max_tokens"] = BURNT
        await traffic.send("low", "burner", value)
    await poison(pipeline, b"nobody")
