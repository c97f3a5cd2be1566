"""The simulator's answers that go on without a reader, and behind a partial one."""

from __future__ import annotations

import asyncio
from typing import Any

import aiohttp
import orjson
import pytest

from ops.provider_sim import ProviderSim, SimSettings

TOKENS = 20
NOT_COUNTED = {"prompt": 0, "cached": 0, "reasoning": 0}  # of responses in the background


def response(name: str, **more: Any) -> dict[str, Any]:
    hint = {"id": name, "completion_tokens": TOKENS}
    return {"model": "small", "input": "hi", "stream": True, "background": True, "headrace_sim": hint, **more}


async def events(answer: aiohttp.ClientResponse, most: int | None = None) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    async for line in answer.content:
        if line.startswith(b"data: "):
            found.append(orjson.loads(line[6:]))
            if len(found) == most:
                break
    return found


async def test_a_response_goes_on_without_its_reader_and_is_read_on_behind_any_event() -> None:
    async with ProviderSim(SimSettings(per_token_ms=20)) as sim, aiohttp.ClientSession() as http:
        async with http.post(f"{sim.url}/responses", json=response("a")) as answer:
            first = await events(answer, 6)
        url = f"{sim.url}/responses/{first[0]['response']['id']}"
        async with http.get(url) as answer:
            assert (await answer.json())["status"] == "in_progress"
        async with http.get(url, params={"stream": "true", "starting_after": "5"}) as answer:
            rest = await events(answer)
        async with http.get(url, params={"stream": "true"}) as answer:
            everything = await events(answer)
        async with http.get(f"{sim.admin_url}/generations") as answer:
            made = (await answer.json())["by_id"]["a"]
    assert first + rest == everything
    assert [event["sequence_number"] for event in everything] == list(range(len(everything)))
    assert everything[-1]["type"] == "response.completed"
    assert made == {"begun": 1, "continued": 0, "attached": 2, "cancelled": 0, "tokens": TOKENS} | NOT_COUNTED


async def test_a_cancelled_response_is_paid_as_far_as_it_came() -> None:
    async with ProviderSim(SimSettings(per_token_ms=50)) as sim, aiohttp.ClientSession() as http:
        async with http.post(f"{sim.url}/responses", json=response("a")) as answer:
            first = await events(answer, 8)
        url = f"{sim.url}/responses/{first[0]['response']['id']}"
        async with http.post(f"{url}/cancel") as answer:
            assert (await answer.json())["status"] == "cancelled"
        await asyncio.sleep(0.3)
        async with http.get(f"{sim.admin_url}/generations") as answer:
            made = (await answer.json())["by_id"]["a"]
    assert made["cancelled"] == 1
    assert 4 <= made["tokens"] < TOKENS


async def test_an_unknown_or_forgotten_response_is_404_and_none_is_kept_without_store() -> None:
    async with ProviderSim() as sim, aiohttp.ClientSession() as http:
        async with http.post(f"{sim.url}/responses", json=response("a")) as answer:
            first = await events(answer, 1)
        async with http.post(f"{sim.admin_url}/forget"):
            pass
        async with http.get(f"{sim.url}/responses/{first[0]['response']['id']}") as answer:
            assert answer.status == 404
        async with http.post(f"{sim.url}/responses", json=response("a", store=False)) as answer:
            assert answer.status == 400


@pytest.mark.parametrize("limit", [None, 7, 15])
async def test_a_partial_answer_is_gone_on_with_to_the_same_text(limit: int | None) -> None:
    """With a limit on its tokens too, which is the rest's."""
    chat: dict[str, Any] = {
        "model": "small",
        "messages": [{"role": "user", "content": "hi"}],
        "headrace_sim": {"completion_tokens": TOKENS},
    }
    chat |= {} if limit is None else {"max_tokens": limit}
    async with ProviderSim() as sim, aiohttp.ClientSession() as http:

        async def text(body: dict[str, Any]) -> str:
            async with http.post(f"{sim.url}/chat/completions", json=body) as answer:
                found = await answer.json()
                assert answer.status == 200, found
                return str(found["choices"][0]["message"]["content"])

        whole = await text(chat)
        for told in (1, 5):
            partial = whole[: told * 4]
            more: dict[str, Any] = {"continue_final_message": True, "add_generation_prompt": False}
            more |= {} if limit is None else {"max_tokens": limit - told}
            messages = [*chat["messages"], {"role": "assistant", "content": partial}]
            assert partial + await text({**chat, **more, "messages": messages}) == whole
        other = [*chat["messages"], {"role": "assistant", "content": "no beginning of it"}]
        assert whole not in "no beginning of it" + await text({**chat, **more, "messages": other})
        async with http.post(f"{sim.url}/chat/completions", json={**chat, "continue_final_message": True}) as answer:
            assert answer.status == 400, "both flags exclude each other"
