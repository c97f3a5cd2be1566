"""Providers built from the settings: which one serves a model, its key, its slots."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack

import pytest

from ops.provider_sim import ProviderSim
from streams.pipeline import Outcome
from streams.providers.build import open_providers
from streams.providers.call import ProviderCall
from streams.settings import Settings, SettingsError
from tests.integration.provider_rig import API_KEY, ask
from tests.integration.test_aiohttp_transport import Server, running
from tests.support.requests import pending
from tests.support.scripted_upstream import Reply, completion


def settings(url: str, **provider: object) -> Settings:
    return Settings.model_validate({"providers": [{"name": "sim", "endpoints": [{"url": url}], **provider}]})


async def test_providers_are_built_from_the_settings_and_chosen_by_model(simulator: ProviderSim) -> None:
    several = Settings.model_validate(
        {
            "providers": [
                {"name": "gpt", "models": ["gpt-*"], "endpoints": [{"url": simulator.url}]},
                {"name": "rest", "models": ["small", "large"], "endpoints": [{"url": simulator.url}]},
            ]
        }
    )
    async with AsyncExitStack() as stack:
        providers = await open_providers(several, stack)
        for model, name in (("gpt-9", "gpt"), ("small", "rest")):
            request = pending(model=model)
            call = ask(providers, request)
            assert isinstance(call, ProviderCall)
            assert (await call.call(request)).provider == name
            call.release()
        unknown = ask(providers, pending(model="\U000e0001" * 256))
        assert isinstance(unknown, Outcome)
        assert unknown.error is not None
        assert (unknown.error.type, unknown.error.retryable) == ("invalid_request", False)
        assert len(unknown.error.message) <= 1024


async def test_the_key_comes_from_the_environment_and_goes_into_the_header(monkeypatch: pytest.MonkeyPatch) -> None:
    seen = bytearray()
    done = asyncio.Event()

    async def on_connect(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        seen.extend(await reader.readuntil(b"\r\n\r\n"))
        writer.close()
        done.set()

    server = await asyncio.start_server(on_connect, "127.0.0.1", 0)
    host, port = server.sockets[0].getsockname()
    keyed = settings("", endpoints=[{"url": f"http://{host}:{port}/v1", "api_key_env": "TEST_KEY"}])
    async with server, AsyncExitStack() as stack:
        with pytest.raises(SettingsError, match="TEST_KEY"):
            await open_providers(keyed, stack)
        monkeypatch.setenv("TEST_KEY", API_KEY)
        providers = await open_providers(keyed, stack)
        request = pending()
        call = ask(providers, request)
        assert isinstance(call, ProviderCall)
        calling = asyncio.create_task(call.call(request))
        await asyncio.wait_for(done.wait(), 60)
        calling.cancel()
    assert f"bearer {API_KEY}".encode() in bytes(seen).replace(b"Bearer", b"bearer")
    assert b"POST /v1/chat/completions HTTP/1.1" in seen


async def test_a_provider_and_a_host_get_no_more_calls_than_their_connections(simulator: ProviderSim) -> None:
    limits = settings(
        "", endpoints=[{"url": simulator.url}, {"url": f"{simulator.url}/"}], connections={"max": 3, "per_host": 3}
    )
    async with AsyncExitStack() as stack:
        providers = await open_providers(limits, stack)
        held: list[ProviderCall] = []
        while isinstance(call := ask(providers, pending()), ProviderCall):
            held.append(call)
        assert len(held) == 3  # a host's slots are shared by the endpoints on it
        for call in held:
            call.release()


@pytest.mark.parametrize(
    ("sections", "connections"),
    [
        ({}, 1),
        ({"network": {"keep_alive": {"timeout": "50ms"}}}, 2),
        ({"network": {"keep_alive": {"enabled": False}}}, 2),
        ({"agents": {"connections": {"idle_timeout": "50ms"}}}, 2),
        ({"pooling": {"connections": False}}, 2),
    ],
    ids=["default", "keep_alive.timeout", "keep_alive.enabled", "idle_timeout", "pooling.connections"],
)
async def test_how_long_an_idle_connection_is_kept_is_a_setting(
    sections: dict[str, dict[str, object]], connections: int
) -> None:
    well = Reply(200, completion()).encode()
    async with running(Server(answers=[well])) as server, AsyncExitStack() as stack:
        url = server.url.removesuffix("/chat/completions")
        made = Settings.model_validate({"providers": [{"name": "sim", "endpoints": [{"url": url}]}], **sections})
        providers = await open_providers(made, stack)
        for _ in range(2):
            request = pending()
            call = ask(providers, request)
            assert isinstance(call, ProviderCall)
            assert (await call.call(request)).status == "ok"
            call.release()
            await asyncio.sleep(0.15)
        assert server.connections == connections
