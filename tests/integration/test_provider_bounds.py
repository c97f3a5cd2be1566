"""What a provider's settings bound is bounded over real HTTP, and changing a setting changes what happens."""

from __future__ import annotations

import asyncio
import time
from contextlib import AsyncExitStack
from typing import Any

import pytest

from ops.provider_sim import ProviderSim, SimSettings
from streams.limits import Route
from streams.pipeline import Busy, Outcome
from streams.providers.build import open_providers
from streams.providers.call import ProviderCall
from streams.providers.retry import RetryPolicy
from streams.settings import Settings
from tests.integration.provider_load import Load
from tests.integration.provider_rig import Rig, ask, asking, error_type, free_port, open_rig, over_aiohttp, url_of
from tests.support.fixtures import FULL, Measured, measured
from tests.support.requests import pending, until
from tests.support.stopwatch import Stopwatch, undisturbed
from topics.names import Priority

__all__ = ["measured"]

ONCE = RetryPolicy(max_attempts=1, base_delay_s=0.01, max_delay_s=0.01)
# A breaker that never opens: the last retries are failures alone, and would open it, which is another wait than the budget's.
CALM = {"breaker": {"min_volume": 1000, "calls": 1000}}
MANY = {"connections": {"pool_size": 400}}
FREE_AGENTS: dict[str, Any] = {"connections": {"pool_size": 1000}}


def big(kilobytes: int) -> Any:
    return lambda _: pending(payload={"padding": "x" * 1000 * kilobytes, "max_tokens": 1})


@pytest.mark.parametrize(("bandwidth", "bytes_per_s"), [("10MB/s", 10_000_000), ("4MB/s", 4_000_000)])
@pytest.mark.parametrize("way", ["out", "in"])
async def test_bytes_a_second_are_held_within_5_percent(
    way: str, bandwidth: str, bytes_per_s: int, measured: Measured
) -> None:
    seconds = 20 if FULL else 3
    size = 200_000
    async with ProviderSim(SimSettings(answer_bytes=size if way == "in" else 0)) as sim, open_rig(
        over_aiohttp, sim.url, slots=20, timeout_s=60, provider={"bandwidth": bandwidth}, agents=FREE_AGENTS,
        requests={"max_answer_bytes": "1MB"},
    ) as rig:  # fmt: skip
        load, traffic = Load(rig.providers), rig.providers.all[0].traffic

        async def measure() -> float:
            for _ in range(2 * bytes_per_s * seconds // size):
                load.put(big(size // 1000 if way == "out" else 0)(0))
            enough = traffic.bandwidth.total + bytes_per_s
            await until(lambda: traffic.bandwidth.total > enough)
            began = time.monotonic()
            before = traffic.bandwidth.passed(began)
            await asyncio.sleep(seconds)
            ended = time.monotonic()
            return (traffic.bandwidth.passed(ended) - before) / (ended - began)

        rate = await undisturbed(measure)
        await load.stop()
    measured(f"{way}: {rate / 1e6:.2f} MB/s of {bytes_per_s / 1e6:g}")
    assert rate <= 1.05 * bytes_per_s
    assert rate >= (0.95 if FULL else 0.25) * bytes_per_s  # a machine with much else to do reaches less


@pytest.mark.parametrize(("peak", "buffer"), [("4MB", "1MB"), ("8MB", "3MB")])
async def test_bodies_in_memory_stay_inside_their_bounds(peak: str, buffer: str, measured: Measured) -> None:
    memory = {"baseline": "1MB", "peak": peak, "buffer": buffer}
    most, most_answers = int(peak[0]) * 1_000_000, int(buffer[0]) * 1_000_000
    async with ProviderSim(SimSettings(latency_ms=50, answer_bytes=300_000)) as sim:
        async with open_rig(
            over_aiohttp, sim.url, slots=50, timeout_s=60, provider={"memory": memory}, agents=FREE_AGENTS,
            requests={"max_answer_bytes": "400KB"},
        ) as rig:  # fmt: skip
            load, provider = Load(rig.providers), rig.providers.all[0]
            for _ in range(60):
                load.put(big(500)(0))
            most_bodies = 0
            while len(load.done) < load.sent:
                await asyncio.sleep(0.001)
                most_bodies = max(most_bodies, provider.bodies.held)
        assert {each.outcome.status for each in load.done} == {"ok"}
    measured(f"peak {peak}: requests {most_bodies / 1e6:.1f} MB, answers {provider.traffic.buffers.peak / 1e6:.1f} MB")
    assert most_bodies <= most - most_answers
    assert most_bodies > (most - most_answers) / 2  # it was the bound that held them
    assert provider.traffic.buffers.peak <= most_answers


async def held(rig: Rig, *, agent_id: str | None = None, priority: Priority = "normal") -> tuple[int, Busy]:
    """How many calls fit, and why the next one does not."""
    calls: list[ProviderCall] = []
    while True:
        request = pending(priority=priority)
        if agent_id is not None:
            request.agent_id = agent_id
        found = ask(rig.providers, request)
        if isinstance(found, Busy):
            break
        assert isinstance(found, ProviderCall)
        calls.append(found)
    for call in calls:
        call.release()
    return len(calls), found


@pytest.mark.parametrize(
    ("connections", "concurrency", "fit"),
    [
        ({"max": 50, "per_host": 10}, {"per_host": 20}, 10),
        ({"max": 50, "per_host": 30}, {"per_host": 20}, 20),
        ({"max": 7, "per_host": 7}, {"per_host": 20}, 7),
    ],
)
async def test_connections_of_provider_and_host_are_settings(
    simulator: ProviderSim, connections: dict[str, int], concurrency: dict[str, int], fit: int
) -> None:
    async with open_rig(
        over_aiohttp, simulator.url, provider={"connections": connections}, agents=FREE_AGENTS, concurrency=concurrency
    ) as rig:
        assert await held(rig) == (fit, Busy("route"))


@pytest.mark.parametrize(("share", "others"), [("0%", 10), ("10%", 9), ("50%", 5)])
async def test_the_share_kept_for_high_is_a_setting(simulator: ProviderSim, share: str, others: int) -> None:
    async with open_rig(
        over_aiohttp, simulator.url, slots=10, agents=FREE_AGENTS, concurrency={"per_host": 10, "high_share": share}
    ) as rig:
        assert await held(rig) == (others, Busy("class" if others < 10 else "route"))
        assert (await held(rig, priority="high"))[0] == 10


@pytest.mark.parametrize(("size", "wait", "wait_s"), [(10, "30s", 30.0), (3, "5s", 5.0)])
async def test_an_agents_connections_and_their_wait_are_settings(
    simulator: ProviderSim, size: int, wait: str, wait_s: float
) -> None:
    agents = {"connections": {"pool_size": size, "timeout": wait}}
    async with open_rig(over_aiohttp, simulator.url, slots=50, agents=agents) as rig:
        fit, busy = await held(rig, agent_id="a")
        assert (fit, busy.scope) == (size, "agent")
        assert busy.retry_in_s == pytest.approx(wait_s, abs=0.1)


async def test_a_request_that_waited_enough_for_its_agents_connection_expires(simulator: ProviderSim) -> None:
    agents = {"connections": {"pool_size": 1, "timeout": "200ms"}}
    async with open_rig(over_aiohttp, simulator.url, agents=agents) as rig:
        request, waiting = pending(), pending()
        request.agent_id = waiting.agent_id = "a"
        call = rig.reserve(request)
        assert isinstance(ask(rig.providers, waiting), Busy)
        await asyncio.sleep(0.25)
        expired = rig.providers.reserve(waiting)
        assert isinstance(expired, Outcome)
        assert expired.status == "expired"
        call.release()


@pytest.mark.parametrize("attempts", [1, 2, 4])
async def test_attempts_are_a_setting(simulator: ProviderSim, attempts: int) -> None:
    policy = RetryPolicy(attempts, 0.01, 0.01)
    async with open_rig(over_aiohttp, simulator.url, retry=policy) as rig:
        assert (await rig.call(asking(status=500))).attempts == attempts


@pytest.mark.parametrize(("longest", "least_s"), [("200ms", 0.2), ("600ms", 0.6)])
async def test_the_time_of_one_call_leaves_time_for_another_one(
    simulator: ProviderSim, longest: str, least_s: float
) -> None:
    provider = {"timeout": longest, "retry": {"max_time": "20s"}}
    async with open_rig(over_aiohttp, simulator.url, provider=provider) as rig:
        watch = Stopwatch()
        outcome = await rig.call(asking(id="r", fault="hang", fail_first=1))
        assert watch.passed_s >= least_s
        assert watch.running_s < least_s + 10
    assert (outcome.status, outcome.attempts) == ("ok", 2)


@pytest.mark.parametrize(("burst", "floor", "least_s"), [(1, "4/s", 0.5), (20, "1/s", 0.0)])
async def test_a_retry_beyond_the_budget_waits_for_it(
    simulator: ProviderSim, burst: int, floor: str, least_s: float
) -> None:
    budget = {"share": "0%", "floor": floor, "burst": burst}
    async with open_rig(over_aiohttp, simulator.url, slots=8, provider={"retry": {"budget": budget}}) as rig:
        watch = Stopwatch()
        outcomes = await asyncio.gather(*(rig.call(asking(id=f"r{n}", status=500, fail_first=1)) for n in range(4)))
        passed_s, running_s = watch.passed_s, watch.running_s
    assert {(outcome.status, outcome.attempts) for outcome in outcomes} == {("ok", 2)}
    assert passed_s >= least_s
    assert running_s < least_s + 2.5


@pytest.mark.parametrize(("min_volume", "share", "failures"), [(4, "50%", 4), (6, "100%", 6)])
async def test_when_the_breaker_opens_is_a_setting(
    simulator: ProviderSim, min_volume: int, share: str, failures: int
) -> None:
    breaker = {"min_volume": min_volume, "error_share": share, "open_for": "1h"}
    async with open_rig(over_aiohttp, simulator.url, retry=ONCE, routing={"breaker": breaker}) as rig:
        (endpoint,) = rig.endpoints
        for _ in range(failures):
            assert endpoint.health.state == "healthy"
            await rig.call(asking(status=500))
        assert endpoint.health.state == "open"
        assert ask(rig.providers, pending()) == Busy("model")


async def test_a_429_never_opens_the_breaker(simulator: ProviderSim) -> None:
    breaker = {"min_volume": 2, "calls": 4}
    async with open_rig(over_aiohttp, simulator.url, retry=ONCE, routing={"breaker": breaker}) as rig:
        for _ in range(8):
            assert error_type(await rig.call(asking(status=429, retry_after_s=0))) == "provider_error"
        assert rig.endpoints[0].health.state == "healthy"


@pytest.mark.parametrize(("bad", "good"), [(3, 1), (1, 2)])
async def test_checks_and_their_thresholds_are_settings(simulator: ProviderSim, bad: int, good: int) -> None:
    check = {"interval": "100ms", "timeout": "100ms", "unhealthy_threshold": bad, "healthy_threshold": good}
    told: list[Route] = []
    async with open_rig(over_aiohttp, simulator.url, routing={"health_check": check}) as rig:
        (endpoint,) = rig.endpoints
        rig.providers.on_room(told.append)
        await until(lambda: simulator.ledger.counts.checks >= 2)
        await simulator.set(outage="hang")
        before = simulator.ledger.counts.checks
        await until(lambda: endpoint.health.state == "unhealthy")
        assert simulator.ledger.counts.checks - before in (bad - 1, bad, bad + 1)
        assert isinstance(ask(rig.providers, pending()), Busy)
        await simulator.set(outage="none")
        before = simulator.ledger.counts.checks
        await until(lambda: endpoint.health.state == "healthy")
        assert simulator.ledger.counts.checks - before in (good, good + 1)
    assert told == [Route("sim", "*")]


async def test_another_provider_takes_over_where_the_first_is_dead_or_full(simulator: ProviderSim) -> None:
    dead = f"http://127.0.0.1:{free_port()}/v1"
    unlimited = {"rate_limit": {"requests": "unlimited", "tokens": "unlimited"}}
    settings = Settings.model_validate(
        {
            "providers": [
                {"name": "first", "endpoints": [{"url": dead}], "connections": {"max": 1, "per_host": 1}} | unlimited,
                {"name": "second", "format": "anthropic", "endpoints": [{"url": simulator.url}]} | unlimited,
            ],
            "routing": {"models": [{"match": "picky", "providers": ["first"]}]},
        }
    )
    async with AsyncExitStack() as stack:
        rig = Rig(await open_providers(settings, stack))
        outcome = await rig.call(pending())
        assert (outcome.status, outcome.provider, outcome.attempts) == ("ok", "second", 2)
        assert url_of(rig.reserve(pending())) == simulator.url  # the first one failed just now
        held_one = rig.reserve(pending(model="picky"))
        assert url_of(held_one) == dead
        assert url_of(rig.reserve(pending())) == simulator.url  # the first one is full
        assert ask(rig.providers, pending(model="picky")) == Busy("route")


async def test_a_few_requests_that_fail_among_many_good_ones_are_answered_within_seconds(
    simulator: ProviderSim,
) -> None:
    default = RetryPolicy(max_attempts=3, base_delay_s=0.5, max_delay_s=8.0)
    async with open_rig(
        over_aiohttp, simulator.url, slots=400, timeout_s=60, retry=default, routing=CALM, agents=MANY
    ) as rig:
        watch = Stopwatch()
        hints: list[dict[str, Any]] = [{"status": 500} if n % 31 == 0 else {} for n in range(310)]
        outcomes = await asyncio.gather(*(rig.call(asking(id=f"r{n}", **hint)) for n, hint in enumerate(hints)))
        took_s = watch.running_s
    assert [outcome.status for outcome in outcomes] == ["error" if hint else "ok" for hint in hints]
    assert {outcome.attempts for outcome, hint in zip(outcomes, hints, strict=True) if hint} == {3}
    assert took_s < 8, took_s


async def test_requests_that_always_fail_do_not_keep_the_breaker_open_for_the_others(simulator: ProviderSim) -> None:
    breaker = {"min_volume": 4, "calls": 4, "open_for": "1s"}
    retry = RetryPolicy(max_attempts=3, base_delay_s=0.1, max_delay_s=0.2)
    async with open_rig(
        over_aiohttp, simulator.url, slots=50, timeout_s=60, retry=retry, routing={"breaker": breaker}
    ) as rig:
        health = rig.endpoints[0].health
        failing = [asyncio.create_task(rig.call(asking(id=f"f{n}", status=500))) for n in range(8)]
        await until(lambda: health.state == "open", timeout_s=60)
        watch = Stopwatch()
        outcomes = await asyncio.gather(*failing)
        took_s = watch.running_s
        assert {outcome.status for outcome in outcomes} == {"error"}
        assert took_s < 4, took_s  # each round of probes that opened it again is another second
        await until(lambda: health.state != "open", timeout_s=60)
        assert [(await rig.call(asking(id=f"g{n}"))).status for n in range(5)] == ["ok"] * 5
        assert health.state == "healthy"


@pytest.mark.parametrize(("window", "state"), [("30s", "open"), ("200ms", "healthy")])
async def test_how_long_the_breaker_remembers_is_a_setting(simulator: ProviderSim, window: str, state: str) -> None:
    breaker = {"min_volume": 4, "open_for": "1h", "window": window}
    async with open_rig(over_aiohttp, simulator.url, retry=ONCE, routing={"breaker": breaker}) as rig:
        for pause_s in (0.0, 0.0, 0.5, 0.0):
            await asyncio.sleep(pause_s)
            await rig.call(asking(status=500))
        assert rig.endpoints[0].health.state == state


@pytest.mark.parametrize(("probes", "after_one"), [(1, "healthy"), (2, "half_open")])
async def test_how_many_good_calls_close_the_breaker_is_a_setting(
    simulator: ProviderSim, probes: int, after_one: str
) -> None:
    breaker = {"min_volume": 2, "calls": 2, "open_for": "100ms", "probes": probes}
    async with open_rig(over_aiohttp, simulator.url, retry=ONCE, routing={"breaker": breaker}) as rig:
        health = rig.endpoints[0].health
        for _ in range(2):
            await rig.call(asking(status=500))
        await until(lambda: health.state == "half_open", timeout_s=60)
        assert (await rig.call(asking())).status == "ok"
        assert health.state == after_one


@pytest.mark.parametrize(("longest", "least_s"), [("500ms", 0.0), ("2s", 1.0)])
async def test_the_time_of_all_calls_is_a_setting(simulator: ProviderSim, longest: str, least_s: float) -> None:
    steady = RetryPolicy(max_attempts=2, base_delay_s=8.0, max_delay_s=8.0)
    provider = {"timeout": "60s", "retry": {"max_time": longest}}
    async with open_rig(over_aiohttp, simulator.url, retry=steady, provider=provider) as rig:
        watch = Stopwatch()
        outcome = await rig.call(asking(fault="hang"))
        passed_s, running_s = watch.passed_s, watch.running_s
    assert outcome.status == "error"
    assert passed_s >= least_s
    assert running_s < least_s + 10
