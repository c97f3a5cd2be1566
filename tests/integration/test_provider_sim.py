"""The simulator over real HTTP, and as the command that people run."""

import asyncio
import base64
import signal
import struct
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Any

import aiohttp
import orjson
import pytest

from ops.processes.fleet import headrace_command
from ops.provider_sim import ProviderSim, SimSettings
from tests.support.processes import heeds_interrupts, running
from tests.support.stopwatch import Stopwatch


def chat(**hint: object) -> dict[str, Any]:
    body: dict[str, Any] = {"model": "small", "messages": [{"role": "user", "content": "hi"}], "max_tokens": 64}
    return body | {"headrace_sim": hint} if hint else body


class Client:
    """Calls one simulator."""

    def __init__(self, session: aiohttp.ClientSession, url: str) -> None:
        self._session, self._url = session, url
        self._root = url.removesuffix("/v1")

    async def post(self, body: object, path: str = "/chat/completions") -> tuple[int, Any]:
        async with self._session.post(self._url + path, data=orjson.dumps(body)) as response:
            return response.status, orjson.loads(await response.read())

    async def admin(self, path: str, body: object = None) -> Any:
        method = "GET" if body is None else "POST"
        data = None if body is None else orjson.dumps(body)
        async with self._session.request(method, f"{self._root}/admin/{path}", data=data) as response:
            return orjson.loads(await response.read())


@pytest.fixture
async def ledger(tmp_path: Path) -> Path:
    return tmp_path / "calls.jsonl"


@pytest.fixture
async def simulator(ledger: Path) -> AsyncIterator[ProviderSim]:
    async with ProviderSim(ledger=ledger) as running:
        yield running


@pytest.fixture
async def client(simulator: ProviderSim) -> AsyncIterator[Client]:
    async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=10)) as session:
        yield Client(session, simulator.url)


def lines(ledger: Path) -> list[dict[str, Any]]:
    return [orjson.loads(line) for line in ledger.read_bytes().splitlines()]


async def test_the_same_chat_gets_the_same_answer_with_its_usage(client: Client) -> None:
    status, first = await client.post(chat(completion_tokens=40))
    assert (status, first) == await client.post(chat(completion_tokens=40))
    assert status == 200
    assert first["usage"]["completion_tokens"] == 40
    assert first["choices"][0]["finish_reason"] == "stop"


async def test_embeddings_come_as_numbers_and_as_base64(client: Client) -> None:
    body = {"model": "embed", "input": ["a", "b"], "dimensions": 8}
    _, plain = await client.post(body, "/embeddings")
    _, packed = await client.post(body | {"encoding_format": "base64"}, "/embeddings")
    unpacked = [struct.unpack("<8f", base64.b64decode(item["embedding"])) for item in packed["data"]]
    for item, vector in zip(plain["data"], unpacked, strict=True):
        assert item["embedding"] == pytest.approx(vector, abs=1e-6)


@pytest.mark.parametrize(
    ("body", "why"),
    [
        ([], "no JSON object"),
        ({"model": "small"}, "messages must be"),
        ({"messages": []}, "model is required"),
        (chat() | {"max_tokens": 0}, "max_tokens must be"),
        (chat(latency=1), "headrace_sim"),
    ],
)
async def test_a_wrong_call_is_answered_as_openai_would(client: Client, body: object, why: str) -> None:
    status, answer = await client.post(body)
    assert status == 400
    assert answer["error"]["type"] == "invalid_request_error"
    assert why in answer["error"]["message"]


async def test_a_request_asks_for_its_own_time_status_and_size(client: Client) -> None:
    watch = Stopwatch()
    assert (await client.post(chat(latency_ms=300)))[0] == 200
    assert watch.passed_s >= 0.3
    assert watch.running_s < 5
    assert (await client.post(chat(status=503)))[0] == 503
    _, large = await client.post(chat(answer_bytes=3_000_000))
    assert len(large["choices"][0]["message"]["content"]) == 3_000_000


async def test_429_says_when_to_come_back(simulator: ProviderSim) -> None:
    async with (
        aiohttp.ClientSession() as session,
        session.post(f"{simulator.url}/chat/completions", json=chat(status=429, retry_after_s=2.5)) as response,
    ):
        assert response.status == 429
        assert response.headers["Retry-After"] == "2.5"


async def test_broken_answers_are_broken_in_the_way_that_was_asked_for(client: Client) -> None:
    with pytest.raises(aiohttp.ClientPayloadError):
        await client.post(chat(fault="truncated"))
    with pytest.raises((aiohttp.ClientOSError, aiohttp.ServerDisconnectedError)):
        await client.post(chat(fault="reset"))
    with pytest.raises(orjson.JSONDecodeError):
        await client.post(chat(fault="invalid_json"))
    assert (await client.post(chat()))[0] == 200


async def test_faults_are_switched_on_and_off_at_run_time(client: Client) -> None:
    changed = await client.admin("config", {"error_share": 1, "error_status": 502})
    assert changed["error_share"] == 1
    assert (await client.post(chat()))[0] == 502
    assert "add up" in (await client.admin("config", {"hang_share": 0.5}))["error"]["message"]
    await client.admin("reset", {})
    assert (await client.post(chat()))[0] == 200


async def test_every_call_of_an_id_is_counted_and_written(client: Client, ledger: Path) -> None:
    await client.post(chat(id="a", status=500))
    await client.post(chat(id="a"))
    await client.post(chat() | {"user": "b"})
    stats = await client.admin("stats")
    assert stats["by_id"] == {"a": 2, "b": 1}
    assert (stats["calls"], stats["in_flight"], stats["by_outcome"]) == (3, 0, {"ok": 2, "error": 1})
    written = [(line["event"], line["id"], line.get("outcome")) for line in lines(ledger)]
    assert written == [
        ("arrival", "a", None),
        ("end", "a", "error"),
        ("arrival", "a", None),
        ("end", "a", "ok"),
        ("arrival", "b", None),
        ("end", "b", "ok"),
    ]


async def test_a_caller_that_goes_away_is_in_the_ledger(client: Client, ledger: Path) -> None:
    for hint in ({"id": "slow", "latency_ms": 60_000}, {"id": "never", "fault": "hang"}):
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(client.post(chat(**hint)), 1.5)
    async with asyncio.timeout(60):
        while (await client.admin("stats"))["in_flight"]:
            pass  # asking is the wait
    ended = {line["id"]: line["outcome"] for line in lines(ledger) if line["event"] == "end"}
    assert ended == {"slow": "abandoned", "never": "hang"}


async def test_calls_overlap_and_the_most_at_once_is_told(client: Client) -> None:
    await asyncio.gather(*(client.post(chat(latency_ms=200)) for _ in range(20)))
    stats = await client.admin("stats")
    assert stats["max_in_flight"] == 20
    assert stats["in_flight"] == 0


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
async def test_the_command_says_where_it_listens_and_ends_cleanly(number: signal.Signals, ledger: Path) -> None:
    async with command("--port", "0", "--latency", "10ms", "--ledger", str(ledger)) as process:
        assert process.stdout is not None
        url = (await asyncio.wait_for(process.stdout.readline(), 20)).decode().split()[-1]
        async with aiohttp.ClientSession() as session:
            assert (await Client(session, url).post(chat(id="a")))[0] == 200
            process.send_signal(number)
            assert await asyncio.wait_for(process.wait(), 60) == 0
    assert [line["event"] for line in lines(ledger)] == ["arrival", "end"]


@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        (("--latency", "fast"), b"--latency"),
        (("--error-share", "2"), b"error_share"),
        (("--ledger", "/nowhere/calls.jsonl"), b"cannot start"),
    ],
)
async def test_a_wrong_option_is_one_line_and_exit_code_2(arguments: tuple[str, ...], why: bytes) -> None:
    async with command("--port", "0", *arguments) as process:
        _, said = await asyncio.wait_for(process.communicate(), 20)
    assert process.returncode == 2
    assert why in said
    assert said.count(b"\n") == 1


def command(*arguments: str) -> AbstractAsyncContextManager[asyncio.subprocess.Process]:
    pipe = asyncio.subprocess.PIPE
    return running(*headrace_command("provider-sim", *arguments), stdout=pipe, stderr=pipe, preexec_fn=heeds_interrupts)


async def test_settings_of_a_simulator_in_this_process_hold() -> None:
    async with ProviderSim(SimSettings(latency_ms=100)) as running, aiohttp.ClientSession() as session:
        watch = Stopwatch()
        assert (await Client(session, running.url).post(chat()))[0] == 200
        assert watch.passed_s >= 0.1
