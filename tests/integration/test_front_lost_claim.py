"""A front that dies between the claim of an `Idempotency-Key` and the request's record: who asks again is answered, paid once.

Reports of the same kind elsewhere: a key that stays in progress for ever when its first request dies
(https://brandur.org/idempotency-keys has a process of its own for them).
"""

from __future__ import annotations

import asyncio
import json

import aiohttp

from streams.front.front import Front
from streams.front.inbound import read_inbound
from streams.settings import load_settings
from tests.integration.test_front import fronts
from tests.integration.test_front_idempotency import ask, body
from tests.support.pipeline import Pipeline
from tests.support.positions import read_all


async def claim_and_die(pipeline: Pipeline, key: str, asked: object) -> str:
    """What is left of a front that was killed before the broker had the request: its claim, by its own code."""
    headers = {"idempotency-key": key, "x-headrace-cache": "off"}
    inbound = read_inbound("chat.completions", headers, json.dumps(asked).encode())
    assert inbound.idempotency is not None
    async with Front(load_settings(pipeline.settings(), {})) as front:
        request_id = front.make_id(inbound.id_prefix)
        await front.claims.claim(inbound.idempotency.scope, request_id, inbound.idempotency.body)
    return request_id


async def count(pipeline: Pipeline) -> int:
    return len(await read_all(pipeline.client_options, pipeline.names.requests))


async def test_a_key_whose_front_died_before_its_record_is_answered_and_paid_once(pipeline: Pipeline) -> None:
    whole, streamed = body("whole"), {**body("streamed"), "stream": True}
    ids = [await claim_and_die(pipeline, *each) for each in (("k1", whole), ("k2", streamed))]
    async with fronts(pipeline, count=2, kafka__request_timeout="2s") as serving, aiohttp.ClientSession() as http:
        one, two = serving.urls
        slow = body("slow", latency_ms=27_000)
        first = asyncio.create_task(ask(http, one, "k3", slow))
        while await count(pipeline) == 0:  # noqa: ASYNC110 - a broker has no event for us
            await asyncio.sleep(0.2)
        asking = [ask(http, url, *each) for url in (one, two, one, two) for each in (("k1", whole), ("k2", streamed))]
        answers, *joined = await asyncio.wait_for(
            asyncio.gather(asyncio.gather(*asking), first, ask(http, two, "k3", slow)), 120
        )
        assert [status for status, _, _ in answers] == [200] * 8
        assert [request_id for _, _, request_id in answers] == ids * 4
        assert len({answer["choices"][0]["message"]["content"] for _, answer, _ in answers[::2]}) == 1
        assert all(told.strip().endswith("[DONE]") for _, told, _ in answers[1::2])
        made = (await pipeline.simulator.stats())["by_id"]
        assert (made["whole"], made["streamed"]) == (1, 1)
        assert joined[0] == joined[1], "one that is only slow was found on the log"
        assert made["slow"] == 1
        assert await count(pipeline) == 3, "each was published once"
