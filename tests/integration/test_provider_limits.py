"""What a provider's answers mean for its limits, over real HTTP: what is charged, and what pauses the fleet."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack
from typing import Any

import orjson
import pytest

from schemas.lease import Grant, LeaseGrant
from streams.limits import Route
from streams.limits.books.grantor import moment
from streams.limits.build import shared_budgets
from streams.limits.worker.shared_budget import SharedBudget
from streams.providers.build import open_providers
from streams.settings.model import Settings
from tests.integration.provider_rig import Rig, serving
from tests.support.requests import pending

T = 1_000.0
ROUTE = Route("main", "*")


def limited(url: str, wire: str = "openai", **rate_limit: Any) -> tuple[Settings, SharedBudget]:
    """A provider with limits of which this worker was granted plenty."""
    provider: dict[str, Any] = {
        "name": "main",
        "format": wire,
        "endpoints": [{"url": url}],
        "retry": {"max_attempts": 1},
        "rate_limit": rate_limit,
    }
    settings = Settings.model_validate({"providers": [provider]})
    shared = shared_budgets(settings, "w", waiting=dict, alive=lambda: True)
    shared.clock.running = lambda: T
    shared.clock.acked(T, T, T)
    given = {"w": Grant(10, 50_000, 50_000, 50_000)}
    grant = LeaseGrant(
        provider="main",
        model="*",
        grantor_id="g",
        epoch=0,
        seq=1,
        valid_from=moment(T),
        valid_until=moment(T + 3),
        grants=given,
    )
    shared.read(0, T, grant)
    return settings, shared


def answer_of(status: int, body: dict[str, Any], *headers: str) -> bytes:
    content = orjson.dumps(body)
    lines = [f"HTTP/1.1 {status} X", "content-type: application/json", f"content-length: {len(content)}", *headers]
    return "\r\n".join([*lines, "connection: close", "", ""]).encode() + content


async def one_call(answer: bytes, wire: str = "openai", **rate_limit: Any) -> SharedBudget:
    """One request that is answered so; the limits after it."""

    async def serve(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(answer)
        await writer.drain()

    async with serving(serve) as url, AsyncExitStack() as stack:
        settings, shared = limited(url, wire, **rate_limit)
        rig = Rig(await open_providers(settings, stack, lambda _: shared))
        await rig.call(pending(payload={"max_tokens": 100}))
        rig.assert_everything_is_back()
    return shared


def charged(shared: SharedBudget) -> tuple[int, int]:
    """Requests and tokens that count as used."""
    slots = shared.demand(ROUTE).slots
    return sum(slot.requests for slot in slots), sum(slot.tokens for slot in slots)


def paused_s(shared: SharedBudget) -> float:
    view = shared.demand(ROUTE).provider_view
    return 0.0 if view is None else view.pause_s


@pytest.mark.parametrize(
    ("status", "error"),
    [
        pytest.param(429, {"code": "insufficient_quota", "type": "insufficient_quota"}, id="2389-research/tracker#547"),
        pytest.param(429, {"code": "insufficient_credits"}, id="NousResearch/hermes-agent#93455"),
        pytest.param(402, {"code": "insufficient_balance"}, id="api-docs.deepseek.com/quick_start/error_codes"),
    ],
)
async def test_a_provider_without_credit_pauses_nobody(status: int, error: dict[str, str]) -> None:
    body = {"error": {"message": "You exceeded your current quota, please check your plan", **error}}
    shared = await one_call(answer_of(status, body, "retry-after: 1209600"))  # two weeks: anomalyco/opencode#13591
    assert paused_s(shared) == 0.0


@pytest.mark.parametrize(
    ("status", "header", "seconds"),
    [
        (429, "retry-after: 7", 7.0),
        (429, "retry-after-ms: 1500", 1.5),
        (503, "retry-after: 20", 20.0),
        (529, "retry-after: 86400", 60.0),
    ],
)
async def test_a_provider_that_has_no_room_pauses_the_fleet_for_as_long_as_it_says(
    status: int, header: str, seconds: float
) -> None:
    shared = await one_call(answer_of(status, {"error": {"message": "slow down", "code": "x"}}, header))
    assert paused_s(shared) == pytest.approx(seconds, abs=0.01)


@pytest.mark.parametrize("status", [401, 404, 500])
async def test_an_endpoint_that_is_at_fault_pauses_nobody_whatever_it_asks_for(status: int) -> None:
    shared = await one_call(answer_of(status, {"error": {"message": "no"}}, "retry-after: 20"))
    assert paused_s(shared) == 0.0


async def test_a_refused_call_is_charged_as_a_request_and_an_answer_as_it_says() -> None:
    assert charged(await one_call(answer_of(429, {"error": {"message": "no"}}))) == (1, 0)
    message = {"role": "assistant", "content": "hi"}
    body = {
        "object": "chat.completion",
        "choices": [{"index": 0, "message": message, "finish_reason": "stop"}],
        "usage": {"prompt_tokens": 11, "completion_tokens": 2, "total_tokens": 13},
    }
    assert charged(await one_call(answer_of(200, body))) == (1, 13)
    assert charged(await one_call(answer_of(200, body), count_max_tokens="always")) == (1, 111)


async def test_what_anthropic_read_from_its_cache_is_reported_and_not_charged() -> None:
    usage = {
        "input_tokens": 100,
        "cache_read_input_tokens": 9_900,
        "cache_creation_input_tokens": 0,
        "output_tokens": 10,
    }
    body = {
        "type": "message",
        "id": "msg_1",
        "role": "assistant",
        "model": "m",
        "content": [{"type": "text", "text": "hi"}],
        "stop_reason": "end_turn",
        "usage": usage,
    }
    assert charged(await one_call(answer_of(200, body), "anthropic")) == (1, 110)
    assert charged(await one_call(answer_of(200, body), "anthropic", count_cached=True)) == (1, 10_010)
