"""Embeddings that share calls, over HTTP: everybody gets what a call of its own would have brought."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import orjson
import pytest
from aiohttp import web

from ops.load.traffic import Answer
from ops.processes.fleet import Fleet
from ops.provider_sim import ProviderSim
from streams.flow.dispatch import Dispatch
from tests.integration.provider_rig import OpenRig, rig, simulator
from tests.support.pipeline import Pipeline, wait_until
from tests.support.requests import rules, until
from tests.unit.flow.test_dispatch import Answered
from tests.unit.flow.test_merge import embedding

__all__ = ["rig", "simulator"]


async def test_shared_calls_bring_what_single_ones_do_and_one_bad_input_fails_alone(
    rig: OpenRig, simulator: ProviderSim
) -> None:
    requests = [
        embedding(f"text {n}" if n % 3 else [f"a {n}", f"b {n}"], agent=f"agent-{n % 6}", dimensions=4)
        for n in range(60)
    ]
    bad = requests[41] = embedding(["fine", ""], agent="agent-1", dimensions=4)
    async with rig(simulator.url, slots=1) as providers:
        answered = Answered()
        dispatch = Dispatch(rules(), providers.providers, answered, lambda: 1000.0, time.monotonic)
        dispatch.accept(requests)
        await until(lambda: len(answered.outcomes) == len(requests))
        await dispatch.stop()
        shared_calls = simulator.ledger.counts.calls
        await asyncio.sleep(0)
        outcomes = dict(answered.outcomes)
        for request in (requests[0], requests[1], requests[59]):
            alone = await providers.call(request)
            assert orjson.loads(alone.payload or b"")["data"] == orjson.loads(outcomes[request].payload or b"")["data"]
            assert outcomes[request].usage.prompt_tokens > 0
    assert [request for request, outcome in outcomes.items() if outcome.status != "ok"] == [bad]
    assert "400" in str(outcomes[bad].error)
    assert shared_calls <= 20


@asynccontextmanager
async def upstream_that_takes(
    most: int, refusal: dict[str, object], status: int = 400
) -> AsyncIterator[tuple[str, list[int]]]:
    """An OpenAI-like server whose vectors tell their text; its address, and the inputs of each call (below 0: refused)."""
    calls: list[int] = []

    async def embed(asked: web.Request) -> web.Response:
        found = orjson.loads(await asked.read())["input"]
        texts = found if isinstance(found, list) else [found]
        if len(texts) > most:
            calls.append(-len(texts))
            return web.json_response(refusal, status=status)
        calls.append(len(texts))
        data = [
            {"object": "embedding", "index": n, "embedding": [float(text.split()[1])]} for n, text in enumerate(texts)
        ]
        usage = {"prompt_tokens": len(texts), "total_tokens": len(texts)}
        return web.json_response({"object": "list", "data": data, "model": "e", "usage": usage})

    app = web.Application()
    app.router.add_post("/v1/embeddings", embed)
    runner = web.AppRunner(app, shutdown_timeout=1)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        host, port = runner.addresses[0][:2]
        yield f"http://{host}:{port}/v1", calls
    finally:
        await runner.cleanup()


@pytest.mark.parametrize(
    ("refusal", "status"),
    [
        pytest.param(
            {"error": {"code": "InvalidParameter", "message": "batch size is invalid, it should not be larger than 10."}},
            400,
            id="memodb-io/memobase#142",
        ),
        pytest.param({"message": "input batch size 100 > maximum allowed batch size 10"}, 413, id="n4ze3m/page-assist#371"),
        pytest.param({"detail": [{"msg": "List should have at most 10 items"}]}, 422, id="text-embeddings-inference kind"),
    ],
)  # fmt: skip
async def test_a_hundred_embeddings_at_a_provider_that_takes_ten(
    rig: OpenRig, refusal: dict[str, object], status: int
) -> None:
    async with upstream_that_takes(10, refusal, status) as (url, calls), rig(url, slots=10) as providers:
        answered = Answered()
        dispatch = Dispatch(rules(), providers.providers, answered, lambda: 1000.0, time.monotonic)
        for number in range(2):
            requests = [embedding(f"text {n}", agent=f"agent-{n % 25}") for n in range(100)]
            before = len(calls)
            dispatch.accept(requests)
            await until(lambda: len(answered.outcomes) == 100)
            for request, outcome in answered.outcomes:
                body = orjson.loads(outcome.payload or b"")
                assert [body["data"][0]["embedding"][0]] == [float(request.request.payload["input"].split()[1])]
            answered.outcomes.clear()
            if number:
                assert calls[before:] == [10] * 10
            else:
                assert sum(each < 0 for each in calls) <= 6
            await asyncio.sleep(0.3)  # admission fills up again
        await dispatch.stop()


async def test_one_request_of_more_inputs_than_the_provider_takes(rig: OpenRig) -> None:
    async with upstream_that_takes(10, {}) as (url, calls), rig(url, slots=2, provider={"max_inputs": 10}) as providers:
        answered = Answered()
        known = rules(most_inputs={"sim": 10})
        dispatch = Dispatch(known, providers.providers, answered, lambda: 1000.0, time.monotonic)
        dispatch.accept([embedding([f"text {n}" for n in range(35)])])
        await until(lambda: len(answered.outcomes) == 1)
        await dispatch.stop()
    ((_, outcome),) = answered.outcomes
    body = orjson.loads(outcome.payload or b"")
    assert [(each["index"], each["embedding"]) for each in body["data"]] == [(n, [float(n)]) for n in range(35)]
    assert (sorted(calls), outcome.usage.prompt_tokens) == ([5, 10, 10, 10], 35)


async def test_a_worker_learns_what_its_provider_takes(pipeline: Pipeline) -> None:
    """100 requests of one input each, twice, through Kafka: the second hundred is refused nothing."""
    answers: list[Answer] = []
    refusal: dict[str, object] = {"error": {"message": "too many inputs in one request"}}
    async with upstream_that_takes(10, refusal) as (url, calls):
        settings = pipeline.settings(backpressure__burst=10_000, backpressure__rate="10000/s")
        settings.write_text(settings.read_text().replace(pipeline.simulator.url, url))
        async with Fleet(settings, pipeline.directory) as fleet, pipeline.traffic(on_answer=answers.append) as traffic:
            await fleet.start(1)
            for number in range(2):
                before = len(calls)
                for n in range(100):
                    payload = {"model": "embed10", "input": f"text {number * 100 + n}"}
                    value = {"request_id": f"{number}-{n}", "operation": "embeddings", "payload": payload}
                    await traffic.send("normal", f"agent-{n}", value)
                expected = 100 * (number + 1)

                async def all_ended(expected: int = expected) -> bool:
                    return len(answers) >= expected

                await wait_until(all_ended, 60)
            second = calls[before:]
    assert {answer.status for answer in answers} == {"ok"}
    for answer in answers:
        number, n = map(int, answer.request_id.split("-"))
        (entry,) = orjson.loads(answer.value or b"")["payload"]["data"]
        assert entry["embedding"] == [float(number * 100 + n)]
    assert min(second) > 0
    assert len(second) <= 20
