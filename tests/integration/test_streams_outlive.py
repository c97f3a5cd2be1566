"""Streams that outlive their worker: read on at the upstream, or continued behind what was told, and made once."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import openai
import pytest

from streams.front.inbound import AGENT
from tests.integration.test_front import Fronts, fronts
from tests.support.pipeline import Pipeline, agent_on

TOKENS = 120
ONE_A_WORKER = (0, 1, 4, 5, 8, 9)
"""Partitions: both workers have some, however they are shared."""

REATTACH = {"format": "responses", "stream_on_loss": "reattach"}
CONTINUE = {"format": "openai", "stream_on_loss": "continue"}


def chat(name: str, **more: Any) -> dict[str, Any]:
    hint = {"id": name, "completion_tokens": TOKENS}
    messages = [{"role": "user", "content": name}]
    return {"model": "small", "messages": messages, "extra_body": {"headrace_sim": hint}, **more}


async def text_of(sdk: openai.AsyncOpenAI, name: str, agent: str) -> str:
    told = await sdk.chat.completions.create(**chat(name), stream=True, extra_headers={AGENT: agent})
    return "".join([chunk.choices[0].delta.content or "" async for chunk in told if chunk.choices])


async def whole_of(sdk: openai.AsyncOpenAI, name: str) -> str:
    answer = await sdk.chat.completions.create(**chat(name))
    return answer.choices[0].message.content or ""


@asynccontextmanager
async def streaming(pipeline: Pipeline, provider: dict[str, object]) -> AsyncIterator[tuple[Fronts, openai.AsyncOpenAI]]:
    pipeline.provider = provider
    await pipeline.simulator.configure(per_token_ms=50)
    async with fronts(pipeline, workers=2) as serving, serving.sdk() as sdk:
        yield serving, sdk


@pytest.mark.parametrize("provider", [REATTACH, CONTINUE], ids=lambda given: str(given["stream_on_loss"]))
async def test_a_killed_worker_costs_no_second_answer(pipeline: Pipeline, provider: dict[str, object]) -> None:
    async with streaming(pipeline, provider) as (serving, sdk):
        names = [f"q{number}" for number in range(len(ONE_A_WORKER))]
        reading = [
            asyncio.create_task(text_of(sdk, name, agent_on(partition)))
            for name, partition in zip(names, ONE_A_WORKER, strict=True)
        ]
        await pipeline.simulator.wait_in_flight(len(names))
        await asyncio.sleep(1.5)
        await serving.fleet.replace(serving.fleet.workers[0])
        texts = await asyncio.gather(*reading)
        made = await pipeline.simulator.generations()
        print(made)
        assert texts == [await whole_of(sdk, name) for name in names]
    assert [made[name]["begun"] for name in names] == [1] * len(names)
    gone_on = [made[name]["attached"] + made[name]["continued"] for name in names]
    assert any(gone_on), "the worker that was killed had none of them"
    assert all(count <= 1 for count in gone_on)
    if provider is REATTACH:
        assert [made[name]["tokens"] for name in names] == [TOKENS] * len(names)
