"""The simulator's limits, streams, outages and HTTP/2, over real HTTP."""

from __future__ import annotations

import asyncio
import gzip
import ssl
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import httpx2
import orjson
import pytest
import trustme
from h2.exceptions import H2Error

from ops.provider_sim import ProviderSim, SimSettings
from ops.provider_sim.http2 import Http2ProviderSim
from tests.integration.test_provider_sim import chat

MESSAGE = {"model": "claude", "max_tokens": 64, "messages": [{"role": "user", "content": "hi"}]}
VERSION = {"anthropic-version": "2023-06-01"}


@pytest.fixture
async def session() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=10)) as opened:
        yield opened


async def events(response: aiohttp.ClientResponse) -> list[Any]:
    lines = (await response.read()).decode().splitlines()
    data = [line.removeprefix("data: ") for line in lines if line.startswith("data: ")]
    return [orjson.loads(text) for text in data if text != "[DONE]"]


@pytest.mark.parametrize("kind", ["token_bucket", "sliding_window"])
async def test_what_does_not_fit_the_limit_is_answered_with_429_and_when_to_come_again(
    kind: str, session: aiohttp.ClientSession
) -> None:
    limited = SimSettings.model_validate({"limit": kind, "limit_tokens": 100, "limit_window_s": 2})
    async with ProviderSim(limited) as sim:

        async def call() -> tuple[int, dict[str, str]]:
            async with session.post(
                f"{sim.url}/chat/completions", json=chat(prompt_tokens=75, completion_tokens=20)
            ) as found:
                return found.status, {name.lower(): value for name, value in found.headers.items()}

        first, _ = await call()
        second, said = await call()
        assert (first, second) == (200, 429)
        assert 5 <= int(said["x-ratelimit-remaining-tokens"]) < 95, "a bucket fills up meanwhile"
        await asyncio.sleep(int(said["retry-after-ms"]) / 1000 + 0.02)
        third, _ = await call()
        assert third == 200
        async with session.get(f"{sim.admin_url}/stats") as found:
            assert (await found.json())["by_model"] == {"small": {"requests": 2, "tokens": 190, "refused": 1}}


@pytest.mark.parametrize(("charge", "fit"), [("used", 2), ("reserved", 1)])
async def test_a_call_is_charged_what_it_uses_or_what_it_may_use(
    charge: str, fit: int, session: aiohttp.ClientSession
) -> None:
    limited = SimSettings.model_validate({"limit": "token_bucket", "limit_tokens": 100, "limit_charge": charge})
    async with ProviderSim(limited) as sim:
        statuses = []
        for _ in range(3):
            body = chat(prompt_tokens=20, completion_tokens=20) | {"max_tokens": 60}
            async with session.post(f"{sim.url}/chat/completions", json=body) as found:
                statuses.append(found.status)
    assert statuses == [200] * fit + [429] * (3 - fit)


async def test_a_stream_says_what_the_whole_answer_says(session: aiohttp.ClientSession) -> None:
    async with ProviderSim() as sim:
        async with session.post(f"{sim.url}/chat/completions", json=chat()) as found:
            whole = await found.json()
        asked = chat() | {"stream": True, "stream_options": {"include_usage": True}}
        async with session.post(f"{sim.url}/chat/completions", json=asked) as found:
            assert found.content_type == "text/event-stream"
            chunks = await events(found)
        text = "".join(chunk["choices"][0]["delta"].get("content", "") for chunk in chunks if chunk["choices"])
        assert text == whole["choices"][0]["message"]["content"]
        assert chunks[-1]["usage"] == whole["usage"]
        async with session.post(f"{sim.url}/messages", json=MESSAGE, headers=VERSION) as found:
            message = await found.json()
        async with session.post(f"{sim.url}/messages", json=MESSAGE | {"stream": True}, headers=VERSION) as found:
            chunks = await events(found)
        text = "".join(chunk["delta"]["text"] for chunk in chunks if chunk["type"] == "content_block_delta")
        assert text == message["content"][0]["text"]


async def test_the_first_token_comes_before_the_last_one(session: aiohttp.ClientSession) -> None:
    async with ProviderSim(SimSettings(ttft_ms=100, per_token_ms=50)) as sim:
        began = time.monotonic()
        body = chat(completion_tokens=30) | {"stream": True}
        async with session.post(f"{sim.url}/chat/completions", json=body) as found:
            await found.content.readline()
            first_s = time.monotonic() - began
            await found.read()
        assert first_s >= 0.1
        whole_s = time.monotonic() - began
        assert whole_s >= 1.5
        assert first_s < whole_s / 2


@pytest.mark.parametrize("stream", [False, True])
async def test_a_stalled_answer_begins_and_never_ends(stream: bool, session: aiohttp.ClientSession) -> None:
    async with ProviderSim() as sim:
        body = chat(fault="stall") | {"stream": stream}
        async with session.post(f"{sim.url}/chat/completions", json=body) as found:
            assert found.status == 200
            assert await found.content.readany()
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(found.read(), 0.3)


async def test_a_dripping_answer_comes_byte_by_byte(session: aiohttp.ClientSession) -> None:
    async with (
        ProviderSim(SimSettings(drip_interval_ms=50)) as sim,
        session.post(f"{sim.url}/chat/completions", json=chat(fault="slow_drip")) as found,
    ):
        assert [len(await found.content.readany()) for _ in range(3)] == [1, 1, 1]


async def test_during_an_outage_nothing_answers_but_the_switches(session: aiohttp.ClientSession) -> None:
    async with ProviderSim() as sim:

        async def post() -> int:
            async with session.post(f"{sim.url}/chat/completions", json=chat(status=200)) as found:
                await found.read()
                return found.status

        async def switch(kind: str) -> None:
            async with session.post(f"{sim.admin_url}/config", json={"outage": kind}) as found:
                assert found.status == 200

        assert await post() == 200
        await switch("refuse")
        with pytest.raises((aiohttp.ClientOSError, aiohttp.ServerDisconnectedError)):
            await post()  # on a connection that was cut off
        with pytest.raises(aiohttp.ClientConnectorError):
            await post()
        await switch("error")
        assert await post() == 500
        await switch("reset")
        with pytest.raises((aiohttp.ClientOSError, aiohttp.ServerDisconnectedError)):
            await post()
        await switch("hang")
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(post(), 0.2)
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(session.get(f"{sim.url}/models"), 0.2)
        await switch("none")
        assert await post() == 200


async def test_compressed_requests_are_taken_or_refused(session: aiohttp.ClientSession) -> None:
    body, headers = gzip.compress(orjson.dumps(chat())), {"content-encoding": "gzip"}
    async with ProviderSim(SimSettings(gzip_answers=True)) as sim:
        async with session.post(f"{sim.url}/chat/completions", data=body, headers=headers) as found:
            assert (found.status, found.headers["content-encoding"]) == (200, "gzip")
            assert (await found.json())["object"] == "chat.completion"
        assert sim.ledger.counts.compressed == 1
        await sim.set(accept_gzip=False)
        async with session.post(f"{sim.url}/chat/completions", data=body, headers=headers) as found:
            assert found.status == 415


@pytest.fixture
async def over_http2(tmp_path: Path) -> AsyncIterator[tuple[Http2ProviderSim, httpx2.AsyncClient]]:
    authority = trustme.CA()
    issued = authority.issue_cert("127.0.0.1")
    certificate, key = tmp_path / "cert.pem", tmp_path / "key.pem"
    issued.cert_chain_pems[0].write_to_path(certificate)
    issued.private_key_pem.write_to_path(key)
    trust = ssl.create_default_context()
    authority.configure_trust(trust)
    async with (
        Http2ProviderSim(certificate, key) as sim,
        httpx2.AsyncClient(verify=trust, http2=True, timeout=10) as client,
    ):
        yield sim, client


async def test_calls_over_http2_share_a_connection(
    over_http2: tuple[Http2ProviderSim, httpx2.AsyncClient],
) -> None:
    sim, client = over_http2
    url = f"{sim.url}/chat/completions"
    await client.post(url, json=chat())
    found = await asyncio.gather(*(client.post(url, json=chat(latency_ms=100)) for _ in range(8)))
    assert {(answer.status_code, answer.http_version) for answer in found} == {(200, "HTTP/2")}
    assert (len(sim.ledger.counts.peers), sim.ledger.counts.max_in_flight) == (1, 8)


@pytest.mark.parametrize("fault", ["truncated", "reset"])
async def test_over_http2_a_broken_answer_is_short_and_the_next_one_is_whole(
    fault: str, over_http2: tuple[Http2ProviderSim, httpx2.AsyncClient]
) -> None:
    sim, client = over_http2
    url = f"{sim.url}/chat/completions"
    with pytest.raises((httpx2.HTTPError, H2Error)):
        (await client.post(url, json=chat(fault=fault))).raise_for_status()
    assert (await client.post(url, json=chat())).status_code == 200
