"""The proxy before a broker: each kind of broken network, on real connections."""

from __future__ import annotations

import asyncio
import contextlib
import random
from collections.abc import AsyncIterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ops.lab.link import Link
from ops.lab.proxy import Proxy

SOON_S = 0.15


@pytest.fixture
async def proxy() -> AsyncIterator[Proxy]:
    """Before a server that says everything back."""

    async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError):
            while data := await reader.read(65536):
                writer.write(data)
                await writer.drain()
        writer.close()

    server = await asyncio.start_server(echo, "127.0.0.1", 0)
    async with server, Proxy(server.sockets[0].getsockname()[1], seed=1) as made:
        yield made


async def connect(address: str) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    host, _, port = address.partition(":")
    return await asyncio.open_connection(host, int(port))


async def says_back(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, data: bytes = b"ask") -> bool:
    writer.write(data)
    try:
        return await asyncio.wait_for(reader.readexactly(len(data)), SOON_S) == data
    except TimeoutError:
        return False


async def test_a_well_network_passes_everything_by_both_addresses(proxy: Proxy) -> None:
    for address in (proxy.bootstrap, proxy.advertised):
        assert await says_back(*await connect(address), b"x" * 200_000)


async def test_a_cut_resets_what_is_open_and_what_comes(proxy: Proxy) -> None:
    reader, writer = await connect(proxy.advertised)
    assert await says_back(reader, writer)
    proxy.set("cut")
    with pytest.raises(ConnectionResetError):
        await reader.read()
    with pytest.raises((ConnectionError, asyncio.IncompleteReadError)):
        await (await connect(proxy.advertised))[0].readexactly(1)
    proxy.set("well")
    assert await says_back(*await connect(proxy.advertised))


async def test_a_half_open_network_takes_connections_and_bytes_and_says_nothing(proxy: Proxy) -> None:
    """sarama#546 in kind: the broker is gone, and no connection ends."""
    old = await connect(proxy.advertised)
    assert await says_back(*old)
    proxy.set("half_open")
    assert not await says_back(*old)
    new = await connect(proxy.advertised)
    assert not await says_back(*new)
    assert not old[0].at_eof()
    proxy.set("well")
    for reader, _ in (old, new):  # a stream with a hole in it does not go on
        with pytest.raises(ConnectionResetError):
            await reader.readexactly(1)
    assert await says_back(*await connect(proxy.advertised))


async def test_without_answers_what_is_sent_arrives(proxy: Proxy) -> None:
    reader, writer = await connect(proxy.advertised)
    proxy.set("no_answers")
    assert not await says_back(reader, writer)
    assert proxy.link.torn


async def test_a_drip_passes_all_slowly_and_a_delay_late(proxy: Proxy) -> None:
    reader, writer = await connect(proxy.advertised)
    proxy.set("drip")
    assert not await says_back(reader, writer, b"x" * 400)
    proxy.set("well")
    assert await says_back(*await connect(proxy.advertised), b"x" * 400)
    reader, writer = await connect(proxy.advertised)
    proxy.set("delay", delay_s=0.1)
    assert not await says_back(reader, writer)
    assert await reader.readexactly(0) == b""


async def test_an_address_that_has_moved_is_refused_and_the_bootstrap_address_stays(proxy: Proxy) -> None:
    before = proxy.advertised
    after = await proxy.move()
    assert after != before
    with pytest.raises(ConnectionRefusedError):
        await connect(before)
    assert await says_back(*await connect(after))
    assert await says_back(*await connect(proxy.bootstrap))


@given(st.binary(max_size=500), st.sampled_from(["well", "delay", "drip"]), st.sampled_from(["in", "out"]))
def test_what_is_passed_at_all_is_passed_whole_and_in_order(data: bytes, mode: str, way: str) -> None:
    link = Link(random.Random(1))
    link.set(mode, 0.1, 0.2)  # type: ignore[arg-type]
    pieces = list(link.pass_on(way, data))  # type: ignore[arg-type]
    assert b"".join(piece.data for piece in pieces) == data
    assert all(piece.after_s >= 0 for piece in pieces)
    assert not link.torn
