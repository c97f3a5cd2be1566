"""Streams as the OpenAI SDK meets them: a real front, a real worker, a real broker, an upstream that streams at a pace."""

from __future__ import annotations

import asyncio
import re
import time
from datetime import UTC, datetime
from typing import Any

import aiohttp
import openai
import orjson
import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer

from schemas.delta import chunks_of
from streams.front.inbound import AGENT
from tests.integration.test_front import Fronts, fronts
from tests.support.pipeline import Pipeline, agent_on, request
from topics.headers import request_headers
from topics.names import DELTAS, REQUESTS_NORMAL, RESPONSES

TOKENS = 60
PACED = {"completion_tokens": TOKENS}


def chat(text: str, **simulated: Any) -> dict[str, Any]:
    return {
        "model": "small",
        "messages": [{"role": "user", "content": text}],
        "extra_body": {"headrace_sim": {"id": text, **PACED, **simulated}},
    }


async def text_of(stream: Any) -> tuple[str, list[float]]:
    """What the SDK puts together, and when each chunk with text came."""
    text, times = "", []
    async for chunk in stream:
        if chunk.choices and chunk.choices[0].delta.content:
            text += chunk.choices[0].delta.content
            times.append(time.monotonic())
    return text, times


async def whole_of(serving: Fronts, text: str) -> str:
    async with serving.sdk() as sdk:
        answer = await sdk.chat.completions.create(**chat(text))
    return answer.choices[0].message.content or ""


async def test_tokens_come_as_the_provider_makes_them(pipeline: Pipeline) -> None:
    await pipeline.simulator.configure(per_token_ms=60)
    async with fronts(pipeline) as serving, serving.sdk() as sdk:
        stream = await sdk.chat.completions.create(**chat("hello"), stream=True, stream_options={"include_usage": True})
        text, times = await text_of(stream)
        assert text == await whole_of(serving, "hello")
        assert len(times) >= TOKENS / 2
        assert times[-1] - times[0] > TOKENS * 0.06 / 4, "they came over the time in which they were made"
        again, _ = await text_of(await sdk.chat.completions.create(**chat("hello"), stream=True))
        assert again == text, "an answer from the cache streams as well"


async def test_joined_requests_stream_and_are_paid_once(pipeline: Pipeline) -> None:
    await pipeline.simulator.configure(per_token_ms=20)
    async with fronts(pipeline) as serving, serving.sdk() as sdk:
        streams = [await text_of(s) for s in await asyncio.gather(*(_open(sdk, "same") for _ in range(3)))]
    assert len({text for text, _ in streams}) == 1
    assert streams[0][0]
    assert pipeline.simulator.calls_by_id()["same"] == 1


async def _open(sdk: openai.AsyncOpenAI, text: str, **simulated: Any) -> Any:
    return await sdk.chat.completions.create(**chat(text, **simulated), stream=True)


async def test_a_stream_that_the_provider_breaks_off_goes_on_unseen(pipeline: Pipeline) -> None:
    async with fronts(pipeline) as serving, serving.sdk() as sdk:
        text, _ = await text_of(await _open(sdk, "breaks", fault="truncated", fail_first=1))
        assert text == await whole_of(serving, "breaks")
    assert pipeline.simulator.calls_by_id()["breaks"] >= 2


async def test_what_fails_before_the_first_token_has_a_true_status(pipeline: Pipeline) -> None:
    async with fronts(pipeline) as serving, serving.sdk() as sdk:
        with pytest.raises(openai.BadRequestError):
            await _open(sdk, "refused", status=400)


async def test_a_killed_worker_costs_a_stream_nothing(pipeline: Pipeline) -> None:
    await pipeline.simulator.configure(per_token_ms=100)
    async with fronts(pipeline, workers=2, kafka__session_timeout="3s") as serving, serving.sdk() as sdk:

        async def read(number: int) -> str:
            agent = agent_on((0, 1, 4, 5, 8, 9)[number])  # both workers have some, however the partitions are shared
            return (await text_of(await _open(sdk.with_options(default_headers={AGENT: agent}), f"q{number}")))[0]

        reading = [asyncio.create_task(read(number)) for number in range(6)]
        await pipeline.simulator.wait_in_flight(6)
        await asyncio.sleep(1)
        await serving.fleet.replace(serving.fleet.workers[0])
        texts = await asyncio.gather(*reading)
        assert texts == [await whole_of(serving, f"q{number}") for number in range(6)]
    again = sum(pipeline.simulator.calls_by_id()[f"q{number}"] > 1 for number in range(6))
    assert again, "the worker that was killed had none of them"


async def test_any_front_goes_on_behind_the_last_event(pipeline: Pipeline) -> None:
    """And tells nothing of other streams (modelcontextprotocol/servers#4099), and nothing twice where several events came
    with one record (hephaestus-build/Hephaestus#1163, feder-cr/invisible_playwright_mcp#1263).
    """
    await pipeline.simulator.configure(per_token_ms=30)
    body = {
        "model": "small",
        "stream": True,
        "messages": [{"role": "user", "content": "resume"}],
        "headrace_sim": PACED,
    }
    async with fronts(pipeline, count=2) as serving, serving.sdk() as sdk, aiohttp.ClientSession() as http:
        other = asyncio.create_task(text_of(await _open(sdk, "another one on this lane")))
        async with http.post(f"{serving.urls[0]}/v1/chat/completions", json=body) as response:
            request_id = response.headers["x-headrace-id"]
            assert response.headers["cache-control"] == "no-cache, no-transform"
            head = b""
            while head.count(b"\n\n") < 8:
                head += await response.content.readany()
        head = head[: head.rindex(b"\n\n") + 2]
        last = re.findall(rb"id: (\S+)", head)[-1].decode()
        url = f"{serving.urls[1]}/v1/requests/{request_id}/stream"
        async with http.get(url, headers={"last-event-id": last}) as response:
            tail = await response.read()
        async with http.get(url, params={"starting_after": last, "include_usage": "true"}) as response:
            later = await response.read()
        async with http.get(url) as response:
            everything = await response.read()
        async with http.get(url, params={"starting_after": "nonsense"}) as response:
            assert response.status == 400
        async with http.get(url, headers={"last-event-id": f"{int(last.split('.')[0]) + 1}.0.0"}) as response:
            assert response.status == 404, "a place in another lane is none of this stream's"
        await other
    assert tail.count(b"data: [DONE]") == 1
    assert _events(head) + _events(tail) == _events(everything)
    assert _events(later)[:-1] == _events(tail)
    assert "usage" in _events(later)[-1]


def _events(told: bytes) -> list[dict[str, Any]]:
    found = [line[6:] for line in told.split(b"\n") if line.startswith(b"data: ")]
    return [orjson.loads(each) for each in found if each != b"[DONE]"]


async def test_a_strangers_deltas_are_not_believed(pipeline: Pipeline) -> None:
    async with (
        fronts(pipeline) as serving,
        serving.sdk() as sdk,
        AIOKafkaProducer(**pipeline.client_options) as producer,
    ):
        asking = asyncio.create_task(_open(sdk, "slow", latency_ms=1500))
        await pipeline.simulator.wait_in_flight(1)
        async with AIOKafkaConsumer(
            REQUESTS_NORMAL, auto_offset_reset="earliest", **pipeline.client_options
        ) as consumer:
            record = await consumer.getone()
        forged = orjson.dumps([{"choices": [{"index": 0, "delta": {"content": "APPROVED"}}]}])
        headers = [("request_id", orjson.loads(record.value)["request_id"].encode())]
        headers += [("ce_id", b"agent.requests.normal:0:999"), ("epoch", b"1"), ("seq", b"0")]
        lane = int(dict(record.headers)["reply_partition"])
        await producer.send_and_wait(DELTAS, forged, partition=lane, headers=headers)
        text, _ = await text_of(await asking)
    assert text
    assert "APPROVED" not in text


async def test_a_kafka_consumer_has_the_deltas_of_its_request(pipeline: Pipeline) -> None:
    """Without `reply_to` they are on the partition of the request's id; what they say is what the answer says."""
    await pipeline.simulator.configure(per_token_ms=20)
    async with (
        pipeline.fleet() as fleet,
        AIOKafkaConsumer(DELTAS, RESPONSES, auto_offset_reset="earliest", **pipeline.client_options) as consumer,
        AIOKafkaProducer(**pipeline.client_options) as producer,
    ):
        await fleet.start(1)
        headers = request_headers(event_id="1", source="/test", time=datetime.now(UTC), stream=True)
        value = orjson.dumps(request("r-1", completion_tokens=40) | {"agent_id": agent_on(3)})
        sent = await producer.send_and_wait(REQUESTS_NORMAL, value, key=agent_on(3).encode(), headers=headers)
        chunks: list[Any] = []
        numbers: list[int] = []
        async with asyncio.timeout(30):
            async for record in consumer:
                named = dict(record.headers)
                assert named["ce_id"].decode() == f"{sent.topic}:{sent.partition}:{sent.offset}"
                if record.topic == RESPONSES:
                    break
                assert record.key == named["request_id"] == b"r-1"
                numbers.append(int(named["seq"]))
                chunks += [orjson.loads(chunk) for chunk in chunks_of(record.value)]
    whole = orjson.loads(record.value)["payload"]["choices"][0]["message"]["content"]
    assert "".join(each["choices"][0]["delta"].get("content", "") for each in chunks if each["choices"]) == whole
    assert numbers == list(range(len(numbers)))
    assert len(numbers) > 3
