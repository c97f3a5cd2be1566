"""Chats through a provider in the Anthropic format that refuses what the real one refuses."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import orjson
import pytest

from ops.provider_sim import ProviderSim, SimSettings
from streams.pipeline import Outcome
from tests.integration.provider_rig import OpenRig, error_type
from tests.support.requests import pending

LOOK = {
    "type": "function",
    "function": {"name": "server.look", "parameters": {"properties": {"city": {"type": "string"}}}},
}
USER = {"role": "user", "content": "hi"}


@pytest.fixture
async def strict() -> AsyncIterator[ProviderSim]:
    async with ProviderSim(SimSettings(strict=True)) as running:
        yield running


def message_of(outcome: Outcome) -> Any:
    assert outcome.status == "ok", outcome
    return orjson.loads(outcome.payload or b"")["choices"][0]["message"]


@pytest.mark.parametrize("stream", [False, True])
async def test_a_chat_goes_on_with_what_the_caller_was_given(rig: OpenRig, strict: ProviderSim, stream: bool) -> None:
    async with rig(strict.url, provider={"format": "anthropic", "stream": stream}) as sim:
        asked = {
            "tools": [LOOK],
            "tool_choice": "required",
            "max_tokens": 40,
            "metadata": {"run": "7"},
            "some_new_field": 1,
        }
        called = message_of(await sim.call(pending(payload={"messages": [USER], **asked})))
        call = called["tool_calls"][0]
        assert call["function"]["name"] == "server.look"
        result = {"role": "tool", "tool_call_id": call["id"], "content": "\n"}
        more = {"messages": [USER, called, result, {"role": "assistant", "content": " "}], "tools": [LOOK]}
        assert message_of(await sim.call(pending(payload=more)))["content"]
    assert strict.ledger.counts.calls == 2


async def test_a_chat_that_another_provider_began_goes_on(rig: OpenRig, strict: ProviderSim) -> None:
    calls = [
        {"id": f"functions.look:{number}", "type": "function", "function": {"name": "look", "arguments": ""}}
        for number in (0, 1)
    ]
    results = [{"role": "tool", "tool_call_id": call["id"], "content": "r"} for call in calls]
    image = {"type": "image_url", "image_url": {"url": "data:image/jpg;base64,/9j/4AAQSkZJRg=="}}
    messages = [
        {"role": "assistant", "content": "Hello!"},
        {"role": "user", "content": [image, {"type": "text", "text": ""}]},
        {"role": "assistant", "content": None, "reasoning_content": "hm", "tool_calls": calls},
        *results,
    ]
    thinking = {"thinking": {"type": "enabled", "budget_tokens": 1024}, "temperature": 0.3, "stop": ["\n"]}
    async with rig(strict.url, provider={"format": "anthropic"}) as sim:
        assert message_of(await sim.call(pending(payload={"messages": messages, **thinking})))["content"]


async def test_what_is_refused_says_why_in_the_words_of_the_api(rig: OpenRig, strict: ProviderSim) -> None:
    async with rig(strict.url, provider={"format": "anthropic"}) as sim:
        outcome = await sim.call(pending(payload={"messages": [USER], "context_management": {}}))
    assert error_type(outcome) == "provider_error"
    assert outcome.error is not None
    assert "context_management: Extra inputs are not permitted" in outcome.error.message
    assert outcome.attempts == 1
