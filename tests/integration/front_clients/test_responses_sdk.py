"""The Responses API as OpenAI's package calls it."""

from __future__ import annotations

import asyncio
from typing import Any

import openai
import pytest

pytestmark = pytest.mark.asyncio(loop_scope="package")

_LOOK: Any = {"type": "function", "name": "look", "parameters": {"type": "object", "properties": {}}, "strict": False}


def sdk(front_url: str) -> openai.AsyncOpenAI:
    return openai.AsyncOpenAI(base_url=f"{front_url}/v1", api_key="none", max_retries=0, timeout=60)


async def test_a_response_is_created_and_found_again_by_its_id(front_url: str) -> None:
    async with sdk(front_url) as client:
        response = await client.responses.create(model="small", input="hello", instructions="be brief")
        assert response.status == "completed"
        assert response.output_text
        assert response.usage is not None
        assert response.usage.total_tokens > 0
        found = await client.responses.retrieve(response.id)
        assert found.output_text == response.output_text


async def test_a_background_response_is_queued_and_ends(front_url: str) -> None:
    async with sdk(front_url) as client:
        response = await client.responses.create(
            model="small", input="later", background=True, extra_body={"headrace_sim": {"latency_ms": 500}}
        )
        assert response.status == "queued"
        async with asyncio.timeout(60):
            while response.status in ("queued", "in_progress"):
                await asyncio.sleep(0.2)
                response = await client.responses.retrieve(response.id)
        assert response.status == "completed"
        assert response.output_text
        events = [event async for event in await client.responses.retrieve(response.id, stream=True, starting_after=3)]
        assert [event.sequence_number for event in events] == list(range(4, 4 + len(events)))
        assert events[-1].type == "response.completed"


async def test_a_stream_has_typed_events(front_url: str) -> None:
    async with sdk(front_url) as client:
        async with client.responses.stream(model="small", input="stream") as stream:
            events = [event async for event in stream]
            whole = await stream.get_final_response()
        assert [events[0].type, events[-1].type] == ["response.created", "response.completed"]
        text = "".join(event.delta for event in events if event.type == "response.output_text.delta")
        assert text == whole.output_text


async def test_functions_are_called_and_their_output_comes_back(front_url: str) -> None:
    async with sdk(front_url) as client:
        first = await client.responses.create(model="small", input="look", tools=[_LOOK], tool_choice="required")
        call = first.output[-1]
        assert call.type == "function_call"
        talk: Any = [
            {"role": "user", "content": "look"},
            *[item.model_dump() for item in first.output],
            {"type": "function_call_output", "call_id": call.call_id, "output": "a hill"},
        ]
        second = await client.responses.create(model="small", input=talk, tools=[_LOOK])
        assert second.status == "completed"


async def test_what_is_not_served_is_refused_in_words(front_url: str) -> None:
    async with sdk(front_url) as client:
        with pytest.raises(openai.BadRequestError, match="previous_response_id"):
            await client.responses.create(model="small", input="x", previous_response_id="resp_1")
        with pytest.raises(openai.BadRequestError, match="web_search"):
            await client.responses.create(model="small", input="x", tools=[{"type": "web_search"}])
        with pytest.raises(openai.NotFoundError):
            await client.responses.retrieve("resp_nothing")
