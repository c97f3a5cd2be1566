"""The HTTP endpoints of a worker."""

from __future__ import annotations

import aiohttp
import pytest

from ops.health import serve_health
from streams.metrics import definitions as metrics


async def get(address: str, path: str) -> tuple[int, str]:
    async with aiohttp.ClientSession() as session, session.get(f"http://{address}{path}") as response:
        return response.status, await response.text()


async def test_healthz_says_that_the_process_turns_and_readyz_whether_it_works() -> None:
    is_ready = False
    async with serve_health("127.0.0.1:0", lambda: is_ready) as address:
        assert await get(address, "/healthz") == (200, "ok\n")
        assert await get(address, "/readyz") == (503, "not ready\n")
        is_ready = True
        assert await get(address, "/readyz") == (200, "ready\n")
        is_ready = False
        assert (await get(address, "/readyz"))[0] == 503


async def test_metrics_are_what_prometheus_reads() -> None:
    metrics.IN_FLIGHT.set(0)
    async with (
        serve_health("127.0.0.1:0", lambda: True) as address,
        aiohttp.ClientSession() as session,
        session.get(f"http://{address}/metrics") as response,
    ):
        assert response.status == 200
        assert response.headers["content-type"].startswith("text/plain; version=")
        assert "# TYPE headrace_in_flight_requests gauge" in await response.text()


@pytest.mark.parametrize("listen", ["127.0.0.1:0", "localhost:0", "[::1]:0"])
async def test_it_tells_the_address_that_it_bound(listen: str) -> None:
    try:
        async with serve_health(listen, lambda: True) as address:
            assert (await get(address, "/healthz"))[0] == 200
    except OSError as error:
        if "::1" in listen:
            pytest.skip(f"no IPv6 here: {error}")
        raise


async def test_a_taken_port_is_an_error_and_the_port_is_free_again_afterwards() -> None:
    async with serve_health("127.0.0.1:0", lambda: True) as address:
        with pytest.raises(OSError, match="address already in use"):
            async with serve_health(address, lambda: True):
                pass
    async with serve_health(address, lambda: True) as again:
        assert again == address


async def test_there_is_nothing_else() -> None:
    async with serve_health("127.0.0.1:0", lambda: True) as address:
        assert (await get(address, "/"))[0] == 404
