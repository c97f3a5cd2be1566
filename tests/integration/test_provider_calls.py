"""Calls to a real HTTP server, good and bad, over each transport: outcomes, retries, limits, and slots that come back."""

from __future__ import annotations

import asyncio
import gzip
import time
import tracemalloc

import orjson
import pytest

from ops.provider_sim import ProviderSim, SimSettings
from streams.pipeline import Busy
from streams.providers.retry import RetryPolicy
from tests.integration.provider_rig import (
    API_KEY,
    MAX_ANSWER_BYTES,
    OpenRig,
    ask,
    asking,
    error_type,
    free_port,
    serving,
)
from tests.support.requests import until
from tests.support.stopwatch import Stopwatch


async def test_an_answer_comes_with_its_body_usage_and_provider(rig: OpenRig, simulator: ProviderSim) -> None:
    async with rig(simulator.url) as sim:
        outcome = await sim.call(asking(prompt_tokens=11, completion_tokens=7, latency_ms=50))
    assert (outcome.status, outcome.provider, outcome.attempts, outcome.error) == ("ok", "sim", 1, None)
    assert (outcome.usage.prompt_tokens, outcome.usage.completion_tokens, outcome.usage.total_tokens) == (11, 7, 18)
    assert orjson.loads(outcome.payload or b"")["object"] == "chat.completion"
    assert 0.05 <= outcome.provider_s < 5


@pytest.mark.parametrize(
    "hint", [{"status": 500}, {"fault": "reset"}, {"fault": "invalid_json"}, {"fault": "truncated"}]
)
async def test_a_failure_that_passes_is_tried_again(
    rig: OpenRig, simulator: ProviderSim, hint: dict[str, object]
) -> None:
    async with rig(simulator.url) as sim:
        outcome = await sim.call(asking(id="r", fail_first=1, **hint))
    assert (outcome.status, outcome.attempts, simulator.ledger.counts.by_id) == ("ok", 2, {"r": 2})


@pytest.mark.parametrize(
    ("hint", "calls"),
    [
        ({"status": 503}, 3),
        ({"fault": "reset"}, 3),
        ({"fault": "truncated"}, 3),
        ({"fault": "invalid_json"}, 2),  # what cannot be read was paid for: it is bought once more, not twice
    ],
)
async def test_a_failure_that_stays_ends_with_the_attempts(
    rig: OpenRig, simulator: ProviderSim, hint: dict[str, object], calls: int
) -> None:
    async with rig(simulator.url) as sim:
        outcome = await sim.call(asking(id="r", **hint))
    assert (outcome.status, error_type(outcome), outcome.attempts) == ("error", "provider_error", calls)
    assert outcome.error is not None
    assert outcome.error.retryable
    assert simulator.ledger.counts.by_id == {"r": calls}


@pytest.mark.parametrize("wanted", [True, False])
async def test_only_what_may_pass_and_did_not_becomes_a_dead_letter_and_only_if_wanted(
    rig: OpenRig, simulator: ProviderSim, wanted: bool
) -> None:
    async with rig(simulator.url, provider={"retry": {"dead_letter": wanted}}) as sim:
        outcomes = [await sim.call(asking(**hint)) for hint in ({"status": 503}, {"status": 400}, {})]
    assert [outcome.status for outcome in outcomes] == ["error", "error", "ok"]
    assert [outcome.dead_letter for outcome in outcomes] == [wanted, False, False]


async def test_what_the_provider_calls_wrong_is_not_paid_twice(rig: OpenRig, simulator: ProviderSim) -> None:
    async with rig(simulator.url) as sim:
        outcome = await sim.call(asking(id="r", status=400))
    assert (outcome.status, error_type(outcome), outcome.attempts) == ("error", "provider_error", 1)
    assert outcome.error is not None
    assert not outcome.error.retryable


async def test_a_429_is_tried_again_no_earlier_than_it_says(rig: OpenRig, simulator: ProviderSim) -> None:
    async with rig(simulator.url) as sim:
        watch = Stopwatch()
        outcome = await sim.call(asking(id="r", status=429, retry_after_s=0.4, fail_first=1))
    assert (outcome.status, outcome.attempts) == ("ok", 2)
    assert watch.passed_s >= 0.4
    assert watch.running_s < 4


async def test_a_429_that_asks_for_more_time_than_is_left_is_answered_at_once(
    rig: OpenRig, simulator: ProviderSim
) -> None:
    async with rig(simulator.url) as sim:
        watch = Stopwatch()
        outcome = await sim.call(asking(status=429, retry_after_s=60))
    assert (error_type(outcome), outcome.attempts) == ("provider_error", 1)
    assert watch.running_s < 4


async def test_a_provider_that_hangs_is_a_timeout_within_the_limit(rig: OpenRig, simulator: ProviderSim) -> None:
    async with rig(simulator.url, timeout_s=0.5) as sim:
        watch = Stopwatch()
        outcome = await sim.call(asking(fault="hang"))
        assert watch.passed_s >= 0.5
        assert watch.running_s < 10
        await until(lambda: not simulator.ledger.counts.in_flight)
    assert (outcome.status, error_type(outcome), outcome.attempts) == ("error", "provider_timeout", 1)


async def test_retries_do_not_make_the_limit_longer(rig: OpenRig, simulator: ProviderSim) -> None:
    patient = RetryPolicy(max_attempts=20, base_delay_s=0.5, max_delay_s=0.5)
    async with rig(simulator.url, timeout_s=2.0, retry=patient) as sim:
        watch = Stopwatch()
        outcome = await sim.call(asking(status=500, latency_ms=100))
        assert watch.running_s < 8
    assert outcome.status == "error"
    assert 2 <= outcome.attempts < 20


async def test_at_its_own_limit_a_request_expires_and_its_call_is_cancelled(
    rig: OpenRig, simulator: ProviderSim
) -> None:
    async with rig(simulator.url, timeout_s=20.0) as sim:
        request = asking(latency_ms=30_000)
        request.expires_at = time.time() + 1.5
        watch = Stopwatch()
        outcome = await sim.call(request)
        assert watch.running_s < 10
        await until(lambda: simulator.ledger.counts.by_outcome["abandoned"] == 1)
    assert (outcome.status, error_type(outcome), outcome.attempts) == ("expired", "deadline", 1)


async def test_a_request_that_is_late_already_is_not_called(rig: OpenRig, simulator: ProviderSim) -> None:
    async with rig(simulator.url) as sim:
        request = asking()
        request.expires_at = time.time() - 1
        outcome = await sim.call(request)
    assert (outcome.status, outcome.attempts, simulator.ledger.counts.calls) == ("expired", 0, 0)


async def test_nobody_at_the_address_is_unavailable_and_may_pass(rig: OpenRig) -> None:
    async with rig(f"http://127.0.0.1:{free_port()}/v1") as nobody:
        outcome = await nobody.call(asking())
    assert (outcome.status, error_type(outcome), outcome.attempts) == ("error", "provider_unavailable", 3)
    assert outcome.error is not None
    assert outcome.error.retryable


async def test_the_second_endpoint_is_used_when_the_first_one_fails(rig: OpenRig, simulator: ProviderSim) -> None:
    async with rig(f"http://127.0.0.1:{free_port()}/v1", simulator.url) as both:
        outcomes = [await both.call(asking()) for _ in range(4)]
    assert [outcome.status for outcome in outcomes] == ["ok"] * 4
    assert {outcome.attempts for outcome in outcomes} <= {1, 2}
    assert 2 in {outcome.attempts for outcome in outcomes}


async def test_endpoints_take_turns(rig: OpenRig, simulator: ProviderSim) -> None:
    async with ProviderSim() as second, rig(simulator.url, second.url) as both:
        for _ in range(6):
            await both.call(asking())
        assert (simulator.ledger.counts.calls, second.ledger.counts.calls) == (3, 3)


async def test_a_full_provider_gives_no_slot_until_one_is_given_back(rig: OpenRig, simulator: ProviderSim) -> None:
    async with rig(simulator.url, slots=2) as sim:
        first, second = sim.reserve(asking()), sim.reserve(asking())
        assert ask(sim.providers, asking()) == Busy("route")
        first.release()
        sim.reserve(asking()).release()
        second.release()


@pytest.mark.parametrize("hint", [{"latency_ms": 30_000}, {"status": 500}])
async def test_cancelled_calls_give_their_slots_back(
    rig: OpenRig, simulator: ProviderSim, hint: dict[str, object]
) -> None:
    slow = RetryPolicy(max_attempts=20, base_delay_s=2.0, max_delay_s=2.0)
    async with rig(simulator.url, slots=8, timeout_s=60, retry=slow) as sim:
        calls = [asyncio.create_task(sim.call(asking(**hint))) for _ in range(8)]
        await until(lambda: simulator.ledger.counts.calls >= 8)
        for call in calls:
            call.cancel()
        await asyncio.gather(*calls, return_exceptions=True)
        assert all(call.cancelled() for call in calls)
        assert (await sim.call(asking())).status == "ok"


async def test_an_answer_over_the_limit_is_refused_and_never_kept(rig: OpenRig, simulator: ProviderSim) -> None:
    async with rig(simulator.url) as sim:
        outcome = await sim.call(asking(answer_bytes=MAX_ANSWER_BYTES))
    assert (outcome.status, error_type(outcome), outcome.attempts) == ("error", "answer_too_large", 1)


async def test_an_answer_without_end_costs_no_more_memory_than_the_limit(rig: OpenRig) -> None:
    sent = 0

    async def endless(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal sent
        writer.write(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n")
        while True:
            writer.write(b"10000\r\n" + b"x" * 65_536 + b"\r\n")
            sent += 65_536
            await writer.drain()

    async with serving(endless) as url, rig(url) as provider:
        assert error_type(await provider.call(asking())) == "answer_too_large"
    assert sent < 50 * MAX_ANSWER_BYTES  # what the socket buffers of both sides hold, and no more


async def test_a_compressed_bomb_costs_little_memory(rig: OpenRig) -> None:
    bomb = gzip.compress(b"x" * 200_000_000)

    async def explode(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = f"HTTP/1.1 200 OK\r\ncontent-encoding: gzip\r\ncontent-length: {len(bomb)}\r\n\r\n"
        writer.write(head.encode() + bomb)
        await writer.drain()

    async with serving(explode) as url, rig(url) as provider:
        tracemalloc.start()
        try:
            outcome = await provider.call(asking())
            _, peak_bytes = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
    assert error_type(outcome) == "answer_too_large"
    assert peak_bytes < 10_000_000  # of 200: a step of decompression, not the whole


@pytest.mark.parametrize(
    "answer",
    [
        b"",
        b"\x00\xff\xfe garbage \r\n\r\n",
        b"HTTP/1.1 banana\r\n\r\n",
        b"HTTP/1.1 200 OK\r\ncontent-length: -5\r\n\r\n{}",
        b"HTTP/1.1 200 OK\r\ncontent-length: banana\r\n\r\n{}",
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n",
        b"HTTP/1.1 200 OK\r\ncontent-encoding: gzip\r\ncontent-length: 9\r\n\r\nnot gzip!",
        b"HTTP/1.1 200 OK\r\n" + b"x-long: " + b"y" * 500_000 + b"\r\n\r\n",
        b"HTTP/1.1 302 Found\r\nlocation: http://127.0.0.1:1/\r\ncontent-length: 0\r\n\r\n",
        b"HTTP/1.1 429 Busy\r\nretry-after: \xff\xfe\r\ncontent-length: 0\r\n\r\n",
        b"HTTP/1.1 101 Switching Protocols\r\nupgrade: websocket\r\n\r\n",
    ],
)  # fmt: skip
async def test_what_is_no_decent_http_is_a_provider_error(rig: OpenRig, answer: bytes) -> None:
    async def serve(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(answer)
        await writer.drain()

    async with serving(serve) as url, rig(url, timeout_s=2.0) as provider:
        outcome = await provider.call(asking())
    assert outcome.status == "error"
    assert error_type(outcome) in ("provider_error", "provider_timeout")


async def test_a_key_that_the_provider_quotes_is_in_no_message(rig: OpenRig) -> None:
    async def echo(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        said = orjson.dumps({"error": {"message": f"Incorrect API key provided: {API_KEY}."}})
        writer.write(b"HTTP/1.1 401 No\r\ncontent-length: " + str(len(said)).encode() + b"\r\n\r\n" + said)
        await writer.drain()

    async with serving(echo) as url, rig(url) as provider:
        outcome = await provider.call(asking())
    assert outcome.error is not None
    assert API_KEY not in outcome.error.message
    assert "Incorrect API key provided" in outcome.error.message


async def test_a_simulator_with_every_fault_leaves_no_slot_behind(rig: OpenRig) -> None:
    faults = SimSettings(
        error_share=0.1, rate_limited_share=0.1, retry_after_s=0.01, hang_share=0.1, reset_share=0.1,
        invalid_json_share=0.1, truncated_share=0.1, latency_ms=5,
    )  # fmt: skip
    async with ProviderSim(faults) as simulator, rig(simulator.url, slots=40, timeout_s=1.0) as sim:
        outcomes = await asyncio.gather(*(sim.call(asking()) for _ in range(40)))
        statuses = {outcome.status for outcome in outcomes}
        assert statuses <= {"ok", "error"}
        assert "ok" in statuses
