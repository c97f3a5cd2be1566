"""Structured output whole through the front: a schema goes in by the vendors' own packages, a value of that type comes out."""

from __future__ import annotations

from typing import Any, Literal

import openai
import pytest
from pydantic import BaseModel, Field

from tests.integration.front_clients.anthropic_package import anthropic

pytestmark = pytest.mark.asyncio(loop_scope="package")


class Step(BaseModel):
    """One of a plan; steps may have steps (a schema that names itself)."""

    what: str
    minutes: int = Field(ge=1, le=90)
    after: list[Step]


class Plan(BaseModel):
    title: str
    kind: Literal["short", "long"]
    done: bool
    note: str | None
    steps: list[Step]


PROMPT: list[Any] = [{"role": "user", "content": "Plan a day."}]


def client(front_url: str) -> openai.AsyncOpenAI:
    return openai.AsyncOpenAI(base_url=f"{front_url}/v1", api_key="none", max_retries=0, timeout=60)


async def test_parse_of_a_chat_gives_the_type_that_was_asked_for(front_url: str) -> None:
    async with client(front_url) as sdk:
        for _ in range(2):  # the second one is a hit
            answer = await sdk.chat.completions.parse(model="small", messages=PROMPT, response_format=Plan)
            plan = answer.choices[0].message.parsed
            assert isinstance(plan, Plan)
            assert len(plan.steps) == 2


async def test_a_streamed_chat_is_parsed_at_its_end_from_a_call_and_from_the_cache(front_url: str) -> None:
    async with client(front_url) as sdk:
        found = []
        for _ in range(2):
            async with sdk.chat.completions.stream(
                model="small", messages=[{"role": "user", "content": "Plan a night."}], response_format=Plan
            ) as stream:
                deltas = [event async for event in stream if event.type == "content.delta"]
                found.append((await stream.get_final_completion()).choices[0].message.parsed)
            assert len(deltas) > 3, "in several chunks"
        assert isinstance(found[0], Plan)
        assert found[0] == found[1]


async def test_parse_of_a_response_gives_the_type(front_url: str) -> None:
    async with client(front_url) as sdk:
        answer = await sdk.responses.parse(model="small", input="Plan a week.", text_format=Plan)
    assert isinstance(answer.output_parsed, Plan)


async def test_a_demanded_tool_is_called_with_arguments_of_its_schema(front_url: str) -> None:
    async with client(front_url) as sdk:
        answer = await sdk.chat.completions.parse(
            model="small",
            messages=PROMPT,
            tools=[openai.pydantic_function_tool(Plan, name="plan")],
            tool_choice={"type": "function", "function": {"name": "plan"}},
        )
    calls = answer.choices[0].message.tool_calls
    assert calls
    call = calls[0]
    assert isinstance(call.function.parsed_arguments, Plan)


async def test_anthropics_tool_choice_gives_input_of_the_tools_schema(front_url: str) -> None:
    tool = {"name": "plan", "description": "Make a plan.", "input_schema": Plan.model_json_schema()}
    asked: dict[str, Any] = {
        "model": "small", "max_tokens": 500, "messages": PROMPT, "tools": [tool], "tool_choice": {"type": "tool", "name": "plan"},
    }  # fmt: skip
    async with anthropic().AsyncAnthropic(base_url=front_url, api_key="none", max_retries=0, timeout=60) as sdk:
        message = await sdk.messages.create(**asked)
        (block,) = [each for each in message.content if each.type == "tool_use"]
        assert Plan.model_validate(block.input)
        assert message.stop_reason == "tool_use"
        async with sdk.messages.stream(**asked) as stream:
            streamed = await stream.get_final_message()
        (again,) = [each for each in streamed.content if each.type == "tool_use"]
        assert again.input == block.input
