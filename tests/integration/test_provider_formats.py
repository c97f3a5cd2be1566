"""Calls in each format, whole and streamed, over HTTP/1.1 and HTTP/2, compressed, with TLS of one's own."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import orjson
import pytest
import trustme
from prometheus_client import REGISTRY

from ops.provider_sim import ProviderSim, SimSettings
from ops.provider_sim.http2 import Http2ProviderSim
from streams.pipeline import Outcome, PendingRequest
from streams.providers.build import open_providers
from streams.settings import Settings, SettingsError
from tests.integration.provider_rig import OpenRig, Rig, ask, asking, error_type, open_rig, over_aiohttp
from tests.support.requests import pending

TOOL = {"type": "function", "function": {"name": "look", "parameters": {"type": "object"}}}


def chat(**more: Any) -> PendingRequest:
    return pending(payload={"max_tokens": 40, **more})


def message_of(outcome: Outcome) -> Any:
    assert outcome.status == "ok", outcome
    return orjson.loads(outcome.payload or b"")["choices"][0]["message"]


@pytest.mark.parametrize("wire", ["openai", "anthropic"])
@pytest.mark.parametrize("more", [{}, {"tools": [TOOL], "tool_choice": "required"}])
async def test_a_streamed_answer_is_delivered_whole_and_says_the_same(
    rig: OpenRig, simulator: ProviderSim, wire: str, more: dict[str, Any]
) -> None:
    found = []
    for stream in (False, True):
        async with rig(simulator.url, provider={"format": wire, "stream": stream}) as sim:
            outcome = await sim.call(chat(**more))
        found.append((message_of(outcome), outcome.usage))
    assert found[0] == found[1]
    assert found[0][1].total_tokens > 0


async def test_embeddings_are_not_streamed_and_need_a_provider_that_has_them(
    rig: OpenRig, simulator: ProviderSim
) -> None:
    request = pending(model="embed", payload={"input": "hi"})
    request.request.__dict__["operation"] = "embeddings"
    async with rig(simulator.url, provider={"stream": True}) as sim:
        assert (await sim.call(request)).status == "ok"
    async with rig(simulator.url, provider={"format": "anthropic"}) as sim:
        refused = ask(sim.providers, request)
    assert isinstance(refused, Outcome)
    assert error_type(refused) == "invalid_request"


async def test_what_cannot_be_translated_is_refused_without_a_call(rig: OpenRig, simulator: ProviderSim) -> None:
    async with rig(simulator.url, provider={"format": "anthropic"}) as sim:
        refused = ask(sim.providers, chat(n=3))
    assert isinstance(refused, Outcome)
    assert refused.error is not None
    assert "n: the Anthropic format" in refused.error.message
    assert simulator.ledger.counts.calls == 0


async def test_the_time_to_the_first_token_is_measured(rig: OpenRig, simulator: ProviderSim) -> None:
    name, labels = "gen_ai_client_operation_time_to_first_chunk_seconds", {
        "gen_ai_provider_name": "sim", "gen_ai_operation_name": "chat",
    }  # fmt: skip

    def sample(kind: str) -> float:
        return REGISTRY.get_sample_value(f"{name}_{kind}", labels) or 0.0

    await simulator.set(ttft_ms=100, per_token_ms=20)
    before, count = sample("sum"), sample("count")
    async with rig(simulator.url, provider={"stream": True}) as sim:
        began = time.monotonic()
        assert (await sim.call(chat())).status == "ok"
        took_s = time.monotonic() - began
    assert sample("count") == count + 1
    assert 0.1 <= sample("sum") - before < took_s - 0.1


@pytest.mark.parametrize(("idle", "caught"), [("200ms", True), ("3s", False)])
async def test_a_stream_that_falls_silent_is_given_up_after_the_setting(
    rig: OpenRig, simulator: ProviderSim, idle: str, caught: bool
) -> None:
    async with rig(
        simulator.url,
        timeout_s=1.0,
        provider={"stream": True, "stream_idle_timeout": idle, "retry": {"max_attempts": 1}},
    ) as sim:
        outcome = await sim.call(asking(fault="stall"))
    assert error_type(outcome) == "provider_timeout"
    assert outcome.error is not None
    assert ("was silent for 0.2 s" in outcome.error.message) == caught


@pytest.mark.parametrize("fault", ["truncated", "invalid_json", "reset", "slow_drip", "stall"])
async def test_a_broken_stream_is_tried_again(rig: OpenRig, simulator: ProviderSim, fault: str) -> None:
    async with rig(
        simulator.url, timeout_s=10.0, provider={"stream": True, "stream_idle_timeout": "1s", "timeout": "2s"}
    ) as sim:
        outcome = await sim.call(asking(id="r", fault=fault, fail_first=1))
    assert (outcome.status, outcome.attempts) == ("ok", 2)


async def test_a_stream_larger_than_an_answer_may_be_is_refused(rig: OpenRig, simulator: ProviderSim) -> None:
    async with rig(simulator.url, provider={"stream": True}) as sim:
        assert error_type(await sim.call(asking(answer_bytes=200_000))) == "answer_too_large"


@pytest.mark.parametrize(
    ("threshold", "accepts", "algorithm", "compressed"),
    [("1KB", True, "gzip", 1), ("100KB", True, "gzip", 0), ("1KB", False, "gzip", 0), ("1KB", True, "none", 0)],
)
async def test_large_requests_are_compressed_where_the_endpoint_takes_them(
    simulator: ProviderSim, threshold: str, accepts: bool, algorithm: str, compressed: int
) -> None:
    endpoint = {"url": simulator.url, "accepts_gzip": accepts}
    await simulator.set(accept_gzip=accepts, gzip_answers=True)
    network = {"compression": {"threshold": threshold, "algorithm": algorithm}}
    async with open_rig(over_aiohttp, simulator.url, provider={"endpoints": [endpoint]}, network=network) as sim:
        assert (await sim.call(chat())).status == "ok"
        assert simulator.ledger.counts.compressed == 0  # a small one
        assert (await sim.call(chat(padding="x" * 5000))).status == "ok"
    assert simulator.ledger.counts.compressed == compressed


class Authority:
    """A certificate authority with a server's certificate and a client's."""

    def __init__(self, directory: Path) -> None:
        authority = trustme.CA()
        self.ca = directory / "ca.pem"
        authority.cert_pem.write_to_path(self.ca)
        self.files = {}
        for name, identity in (("server", "127.0.0.1"), ("client", "headrace@example.com")):
            issued = authority.issue_cert(identity)
            self.files[name] = (directory / f"{name}.pem", directory / f"{name}.key")
            issued.cert_chain_pems[0].write_to_path(self.files[name][0])
            issued.private_key_pem.write_to_path(self.files[name][1])


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path)


async def real_rig(stack: AsyncExitStack, url: str, provider: dict[str, Any], **sections: Any) -> Rig:
    """Over the transports that the settings ask for."""
    main = {"name": "sim", "endpoints": [{"url": url}], "connections": {"max": 20, "per_host": 20}} | provider
    settings = Settings.model_validate({"providers": [main], "concurrency": {"high_share": "0%"}, **sections})
    return Rig(await open_providers(settings, stack))


@pytest.fixture
async def http2(authority: Authority) -> AsyncIterator[Http2ProviderSim]:
    async with Http2ProviderSim(*authority.files["server"], SimSettings(latency_ms=300)) as sim:
        yield sim


ALWAYS = {"multiplexing_from": 1}
each_transport = pytest.mark.parametrize("network", [{}, ALWAYS], ids=["HTTP/1.1", "HTTP/2"])


@pytest.mark.parametrize(("multiplexing", "connections"), [(True, 2), (False, 16)])
async def test_calls_share_connections_where_the_endpoint_speaks_http2(
    http2: Http2ProviderSim, authority: Authority, multiplexing: bool, connections: int
) -> None:
    tls = {"ca_file": str(authority.ca)}
    async with AsyncExitStack() as stack:
        rig = await real_rig(
            stack, http2.url, {"tls": tls}, network={"multiplexing": multiplexing, **ALWAYS},
            agents={"connections": {"pool_size": 20}},
        )  # fmt: skip
        await rig.call(chat())
        outcomes = await asyncio.gather(*(rig.call(asking(latency_ms=1000)) for _ in range(16)))
    assert {outcome.status for outcome in outcomes} == {"ok"}
    assert len(http2.ledger.counts.peers) <= connections + 1
    assert len(http2.ledger.counts.peers) >= connections
    assert http2.ledger.counts.max_in_flight == 16


@pytest.mark.parametrize("fault", ["truncated", "reset", "invalid_json"])
@pytest.mark.parametrize("stream", [False, True])
async def test_over_http2_a_broken_answer_is_tried_again(
    http2: Http2ProviderSim, authority: Authority, fault: str, stream: bool
) -> None:
    async with AsyncExitStack() as stack:
        rig = await real_rig(
            stack, http2.url, {"tls": {"ca_file": str(authority.ca)}, "stream": stream}, network=ALWAYS
        )
        outcome = await rig.call(asking(id="r", fault=fault, fail_first=1))
    assert (outcome.status, outcome.attempts) == ("ok", 2)


@each_transport
async def test_certificates_are_checked_unless_told_otherwise(
    http2: Http2ProviderSim, authority: Authority, network: dict[str, Any]
) -> None:
    once = {"retry": {"max_attempts": 1}}
    for tls, status in (({}, "error"), ({"ca_file": str(authority.ca)}, "ok"), ({"verify": False}, "ok")):
        async with AsyncExitStack() as stack:
            rig = await real_rig(stack, http2.url, {"tls": tls, **once}, network=network)
            assert (await rig.call(chat())).status == status


@each_transport
async def test_an_endpoint_that_asks_for_a_certificate_gets_ours(authority: Authority, network: dict[str, Any]) -> None:
    certificate, key = map(str, authority.files["client"])
    ours = {"ca_file": str(authority.ca), "cert_file": certificate, "key_file": key}
    async with Http2ProviderSim(*authority.files["server"], client_ca=authority.ca) as sim:
        for tls, status in ((ours, "ok"), ({"ca_file": str(authority.ca)}, "error")):
            async with AsyncExitStack() as stack:
                rig = await real_rig(stack, sim.url, {"tls": tls, "retry": {"max_attempts": 1}}, network=network)
                assert (await rig.call(chat())).status == status


async def test_a_certificate_that_is_not_there_stops_the_start(tmp_path: Path) -> None:
    async with AsyncExitStack() as stack:
        with pytest.raises(SettingsError, match=r"nowhere\.pem cannot be used"):
            await real_rig(stack, "https://127.0.0.1:1/v1", {"tls": {"ca_file": str(tmp_path / "nowhere.pem")}})


async def test_custom_headers_are_sent(simulator: ProviderSim) -> None:
    seen: list[str] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        seen.append((await reader.readuntil(b"\r\n\r\n")).decode())
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\nconnection: close\r\n\r\n{}")
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    endpoint = {"url": f"http://127.0.0.1:{port}/v1", "headers": {"X-Team": "water"}}
    async with server, open_rig(over_aiohttp, "", provider={"endpoints": [endpoint], "format": "anthropic"}) as sim:
        await sim.call(chat())
    assert "x-team: water" in seen[0].lower()
    assert "anthropic-version: 2023-06-01" in seen[0].lower()
