"""The HTTP endpoints of a worker."""

from __future__ import annotations

import socket
from collections.abc import Mapping

import aiohttp
import pytest

from ops.processes.health import serve_health
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


ACTED = {"/act": lambda asked: {"did": asked}}
DOCUMENTS = {"/agents": lambda: {"agent": 1}}


async def ask(
    address: str,
    path: str,
    *,
    local: str = "127.0.0.1",
    body: bytes | None = None,
    headers: Mapping[str, str] | None = None,
) -> int:
    connector = aiohttp.TCPConnector(local_addr=(local, 0))
    async with aiohttp.ClientSession(connector=connector) as session:
        method = "GET" if body is None else "POST"
        async with session.request(method, f"http://{address}{path}", data=body, headers=headers) as response:
            return response.status


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        pytest.param({}, 200, id="as the command asks"),
        pytest.param({"Host": "localhost:1"}, 200, id="localhost"),
        pytest.param({"Host": "[::1]:80"}, 200, id="IPv6"),
        pytest.param({"Host": "ops.example"}, 200, id="a name of http.hosts"),
        pytest.param({"Host": "evil.example"}, 403, id="rebound DNS (CVE-2018-5702)"),
        pytest.param({"Host": "127.0.0.1.evil.example:80"}, 403, id="a name that looks like an address"),
        pytest.param({"Host": "localhost.evil.example"}, 403, id="a name that looks like localhost"),
        pytest.param({"Origin": "http://evil.example"}, 403, id="a page (CWE-352)"),
        pytest.param({"Origin": "null"}, 403, id="a page in a sandbox"),
        pytest.param({"Content-Type": "text/plain"}, 403, id="what a form can send"),
    ],
)
async def test_who_may_change_something(headers: dict[str, str], status: int) -> None:
    async with serve_health("127.0.0.1:0", lambda: True, DOCUMENTS, ACTED, hosts=["ops.example"]) as address:
        assert await ask(address, "/act", body=b"{}", headers={"Content-Type": "application/json", **headers}) == status
        if "Host" in headers:
            assert await ask(address, "/agents", headers=headers) == status
            assert await ask(address, "/healthz", headers=headers) == 200


def own_address() -> str:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.connect(("192.0.2.1", 9))
        found: str = probe.getsockname()[0]
    return found


@pytest.mark.parametrize(
    ("given", "status"), [("Bearer right", 200), ("Bearer wrong", 403), ("", 403), ("Bearer ré", 403)]
)
async def test_from_beyond_loopback_only_with_the_token(given: str, status: int) -> None:
    try:
        here = own_address()
    except OSError:
        pytest.skip("there is no address but loopback's here")
    if here.startswith("127."):
        pytest.skip("there is no address but loopback's here")
    headers = {"Content-Type": "application/json", **({"Authorization": given} if given else {})}
    async with serve_health("0.0.0.0:0", lambda: True, None, ACTED, token="right") as address:
        port = address.rpartition(":")[2]
        assert await ask(f"{here}:{port}", "/act", local=here, body=b"{}", headers=headers) == status
    async with serve_health("0.0.0.0:0", lambda: True, None, ACTED) as address:
        port = address.rpartition(":")[2]
        assert await ask(f"{here}:{port}", "/act", local=here, body=b"{}", headers=headers) == 403
