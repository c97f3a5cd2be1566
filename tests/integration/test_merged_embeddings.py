"""Embeddings that share calls, over HTTP: everybody gets what a call of its own would have brought."""

from __future__ import annotations

import asyncio
import time

import orjson

from ops.provider_sim import ProviderSim
from streams.flow.dispatch import Dispatch
from tests.integration.provider_rig import OpenRig, rig, simulator
from tests.unit.flow.samples import rules, until
from tests.unit.flow.test_dispatch import Answered
from tests.unit.flow.test_merge import embedding

__all__ = ["rig", "simulator"]


async def test_shared_calls_bring_what_single_ones_do_and_one_bad_input_fails_alone(
    rig: OpenRig, simulator: ProviderSim
) -> None:
    requests = [
        embedding(f"text {n}" if n % 3 else [f"a {n}", f"b {n}"], agent=f"agent-{n % 6}", dimensions=4)
        for n in range(60)
    ]
    bad = requests[41] = embedding(["fine", ""], agent="agent-1", dimensions=4)
    async with rig(simulator.url, slots=1) as providers:
        answered = Answered()
        dispatch = Dispatch(rules(), providers.providers, answered, lambda: 1000.0, time.monotonic)
        dispatch.accept(requests)
        await until(lambda: len(answered.outcomes) == len(requests), 20)
        await dispatch.stop()
        shared_calls = simulator.ledger.counts.calls
        await asyncio.sleep(0)
        outcomes = dict(answered.outcomes)
        for request in (requests[0], requests[1], requests[59]):
            alone = await providers.call(request)
            assert orjson.loads(alone.payload or b"")["data"] == orjson.loads(outcomes[request].payload or b"")["data"]
            assert outcomes[request].usage.prompt_tokens > 0
    assert [request for request, outcome in outcomes.items() if outcome.status != "ok"] == [bad]
    assert "400" in str(outcomes[bad].error)
    assert shared_calls <= 20
