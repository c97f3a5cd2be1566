"""Anthropic's own package against a front, by its base URL alone."""

from __future__ import annotations

from typing import Any

import aiohttp
import pytest

from tests.integration.front_clients.anthropic_package import anthropic

pytestmark = pytest.mark.asyncio(loop_scope="package")

_LOOK = {
    "name": "look",
    "description": "Look at a place.",
    "input_schema": {"type": "object", "properties": {"place": {"type": "string"}}},
}


def sdk(front_url: str, **options: Any) -> Any:
    return anthropic().AsyncAnthropic(
        base_url=front_url, api_key="none", **{"max_retries": 0, "timeout": 60, **options}
    )


def asking(text: str, **more: Any) -> dict[str, Any]:
    return {"model": "small", "max_tokens": 200, "messages": [{"role": "user", "content": text}], **more}


async def test_a_message_is_answered_and_counted(front_url: str) -> None:
    async with sdk(front_url) as client:
        raw = await client.messages.with_raw_response.create(**asking("hello", system="be brief"))
        message = await raw.parse()
        assert message.content[0].text
        assert (message.type, message.role, message.stop_reason) == ("message", "assistant", "end_turn")
        assert message.usage.input_tokens > 0 < message.usage.output_tokens
        assert message.id.startswith("msg_")
        assert raw.headers["x-headrace-id"] == raw.headers["request-id"] == message.id
        counted = await client.messages.count_tokens(
            model="small", messages=[{"role": "user", "content": "x" * 400}], tools=[_LOOK]
        )
        assert 50 < counted.input_tokens < 1000


async def test_an_answer_that_was_cut_says_so(front_url: str) -> None:
    async with sdk(front_url) as client:
        message = await client.messages.create(**asking("cut", max_tokens=1))
        assert message.stop_reason == "max_tokens"


async def test_a_stream_has_the_events_that_the_sdk_puts_together(front_url: str) -> None:
    async with sdk(front_url) as client:
        async with client.messages.stream(**asking("stream")) as stream:
            kinds = [event.type async for event in stream]
            message = await stream.get_final_message()
        assert kinds[0] == "message_start"
        assert kinds[-1] == "message_stop"
        assert kinds.count("message_stop") == 1
        whole = await client.messages.create(**asking("stream"))
        assert message.content[0].text == whole.content[0].text
        assert message.usage.output_tokens == whole.usage.output_tokens
        assert message.stop_reason == whole.stop_reason


async def test_a_tool_is_used_and_its_result_comes_back(front_url: str) -> None:
    async with sdk(front_url) as client:
        first = asking("look", tools=[_LOOK], tool_choice={"type": "any"})
        message = await client.messages.create(**first)
        assert message.stop_reason == "tool_use"
        use = message.content[-1]
        assert (use.type, use.name) == ("tool_use", "look")
        result = {"type": "tool_result", "tool_use_id": use.id, "content": "a hill"}
        talk = [
            *first["messages"],
            {"role": "assistant", "content": message.content},
            {"role": "user", "content": [result]},
        ]
        after = await client.messages.create(**first | {"messages": talk, "tool_choice": {"type": "auto"}})
        assert after.content
        async with client.messages.stream(**first) as stream:
            streamed = await stream.get_final_message()
        assert streamed.content[-1].input == use.input


async def test_errors_are_the_apis_own(front_url: str) -> None:
    async with sdk(front_url) as client:
        with pytest.raises(anthropic().BadRequestError) as empty:
            await client.messages.create(model="small", max_tokens=5, messages=[])
        assert empty.value.body["error"]["type"] == "invalid_request_error"
        with pytest.raises(anthropic().NotFoundError) as unknown:
            await client.models.retrieve("nothing")
        assert unknown.value.body["error"]["type"] == "not_found_error"
        with pytest.raises(anthropic().APIStatusError) as late:
            await client.messages.create(
                **asking("late", extra_body={"headrace_sim": {"latency_ms": 5000}}),
                extra_headers={"x-headrace-timeout": "0.5"},
            )
        assert late.value.status_code == 504
        assert late.value.body["error"]["type"] == "timeout_error"
        assert late.value.body["request_id"] == late.value.response.headers["request-id"]
    async with aiohttp.ClientSession() as http, http.get(f"{front_url}/v1/messages") as wrong:
        assert (wrong.status, (await wrong.json())["type"]) == (405, "error")


async def test_the_sdk_tries_again_by_itself(front_url: str) -> None:
    async with sdk(front_url, max_retries=2) as client:
        hint = {"headrace_sim": {"id": "again", "latency_ms": 700}}
        message = await client.messages.create(
            **asking("again", extra_body=hint), extra_headers={"x-headrace-timeout": "20"}
        )
        assert message.content[0].text
