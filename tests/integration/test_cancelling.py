"""Requests that end before their answer: real fronts, workers, broker and upstream, and clients that hang up."""

from __future__ import annotations

import asyncio
import signal
import time
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

import aiohttp
import orjson
from aiokafka import AIOKafkaProducer

from tests.integration.test_front import Fronts, fronts
from tests.integration.test_pause import why
from tests.support.pipeline import Pipeline, agent_on, request, wait_until
from tests.support.positions import read_all
from topics.names import CANCELS, REQUESTS_NORMAL, RESPONSES

LONG_MS = 30_000
WITHIN_S = 10.0
"""After the client has gone; 3 s are the bar of test_front_crowds.py, which has the machine to itself."""


def body(text: str, **simulated: object) -> dict[str, Any]:
    return {
        "model": "small",
        "messages": [{"role": "user", "content": text}],
        "headrace_sim": {"id": text, "latency_ms": LONG_MS, **simulated},
    }


async def ask(http: aiohttp.ClientSession, url: str, text: str, headers: Mapping[str, str], **fields: object) -> Any:
    async with http.post(f"{url}/v1/chat/completions", json={**body(text), **fields}, headers=headers) as response:
        return response.status, await response.json()


async def publish(
    pipeline: Pipeline, topic: str, value: Mapping[str, Any], key: str, partition: int | None = None
) -> str:
    """The record's place."""
    async with AIOKafkaProducer(**pipeline.client_options, acks="all") as producer:
        sent = await producer.send_and_wait(topic, orjson.dumps(value), key=key.encode(), partition=partition)
    return f"{sent.topic}:{sent.partition}:{sent.offset}"


async def answers(pipeline: Pipeline) -> dict[str, list[str]]:
    """Every answer on the response topic: `ok`, or the type of its error, by request id."""
    found: dict[str, list[str]] = {}
    for record in await read_all(pipeline.client_options, [RESPONSES]):
        value = orjson.loads(record.value)
        found.setdefault(value["request_id"], []).append((value.get("error") or {"type": value["status"]})["type"])
    return found


async def wait_closed(pipeline: Pipeline, count: int, timeout_s: float = 60.0) -> None:
    """Until so many calls are under way at the upstream and no more."""

    async def is_down() -> bool:
        return bool((await pipeline.simulator.stats())["in_flight"] == count)

    await wait_until(is_down, timeout_s)


async def test_calls_of_clients_that_hang_up_are_closed_and_detached_ones_never(
    pipeline: Pipeline,
) -> None:
    async with fronts(pipeline) as serving, aiohttp.ClientSession() as http:
        url = serving.urls[0]
        detached: list[tuple[str, Mapping[str, str]]] = [
            ("keyed", {"Idempotency-Key": "k1"}),
            ("low", {"x-headrace-class": "low"}),
            ("async", {"Prefer": "respond-async"}),
        ]
        leaving = [asyncio.create_task(ask(http, url, f"leaves-{n}", {}, stream=n % 2 == 0)) for n in range(20)]
        leaving += [asyncio.create_task(ask(http, url, text, headers)) for text, headers in detached]
        await pipeline.simulator.wait_in_flight(23)
        for task in leaving:
            task.cancel()  # closes its connection
        left_at = time.time()
        await asyncio.gather(*leaving, return_exceptions=True)
        await wait_closed(pipeline, len(detached))
        ended = {call.request_id: call.ended_at for call in pipeline.simulator.calls() if call.ended_at is not None}
        assert set(ended) == {f"leaves-{n}" for n in range(20)}
        assert max(at for at in ended.values() if at is not None) - left_at < WITHIN_S
        await asyncio.sleep(2)  # twice the grace
        assert (await pipeline.simulator.stats())["in_flight"] == len(detached)
        assert pipeline.simulator.calls_by_id() == {
            **{f"leaves-{n}": 1 for n in range(20)},
            "keyed": 1,
            "low": 1,
            "async": 1,
        }


async def test_clients_that_hang_up_at_once_leave_no_call_behind(pipeline: Pipeline) -> None:
    """Wherever their request is by then: read, published, or on its way. aio-libs/aiohttp#2595, BerriAI/litellm#31499."""
    async with fronts(pipeline) as serving:
        address = urlsplit(serving.urls[0])
        for number in range(20):
            value = orjson.dumps(body(f"at-once-{number}"))
            head = (
                f"POST /v1/chat/completions HTTP/1.1\r\nhost: {address.netloc}\r\ncontent-length: {len(value)}\r\n\r\n"
            )
            _, writer = await asyncio.open_connection(address.hostname, address.port)
            writer.write(head.encode() + value)
            await writer.drain()
            await asyncio.sleep(number / 1000)
            writer.close()
        await asyncio.sleep(3)  # until what is published of them is

        async def each_is_cancelled() -> bool:
            published = await read_all(pipeline.client_options, [REQUESTS_NORMAL])
            return len(await read_all(pipeline.client_options, [CANCELS])) >= len(published)

        await wait_until(each_is_cancelled, 60)
        await wait_closed(pipeline, 0)
        await pipeline.wait_all_committed(60)
        assert all(call.ended_at is not None for call in pipeline.simulator.calls())


async def test_a_call_that_another_client_waits_for_goes_on(pipeline: Pipeline) -> None:
    async with fronts(pipeline) as serving, aiohttp.ClientSession() as http:
        url, same = serving.urls[0], {"latency_ms": 8000, "completion_tokens": 8}
        fields = {"headrace_sim": {"id": "same", **same}, "max_tokens": 8}
        first = asyncio.create_task(ask(http, url, "same", {"x-headrace-agent": "a"}, **fields))
        await pipeline.simulator.wait_in_flight(1)
        second = asyncio.create_task(ask(http, url, "same", {"x-headrace-agent": "b"}, **fields))

        async def both_are_there() -> bool:
            """With one worker, which has read the second request as soon as it knows where that is."""
            sent = await read_all(pipeline.client_options, [REQUESTS_NORMAL])
            ids = [orjson.loads(each.value)["request_id"] for each in sent]
            told = [await why(serving.fleet.workers[0].http, each) for each in ids]
            return len(told) == 2 and not {"unknown", "elsewhere", "unread", "received", "cache"} & {
                each["stage"] for each in told
            }

        await wait_until(both_are_there, 60)
        first.cancel()
        status, answer = await second
        assert (status, answer["choices"][0]["message"]["role"]) == (200, "assistant")
        assert pipeline.simulator.calls_by_id() == {"same": 1}
        assert len(await read_all(pipeline.client_options, [CANCELS])) == 1


async def test_an_explicit_cancel_ends_a_detached_request_on_any_front(pipeline: Pipeline) -> None:
    async with fronts(pipeline, count=2) as serving, aiohttp.ClientSession() as http:
        status, accepted = await ask(http, serving.urls[0], "later", {"Prefer": "respond-async"})
        assert status == 202
        await pipeline.simulator.wait_in_flight(1)
        where = f"{serving.urls[1]}/v1/requests/{accepted['id']}"
        async with http.delete(where) as cancelled:
            assert (cancelled.status, (await cancelled.json())["state"]) == (202, "cancelling")
        await wait_closed(pipeline, 0)
        found = await _ended(http, where)
        assert (found["state"], found["response"]["error"]["type"]) == ("error", "cancelled")
        async with http.post(f"{where}/cancel") as again:
            assert (again.status, (await again.json())["state"]) == (200, "error")
        async with http.delete(f"{serving.urls[1]}/v1/requests/chatcmpl-guess") as unknown:
            assert unknown.status == 404


async def _ended(http: aiohttp.ClientSession, where: str) -> Any:
    async with asyncio.timeout(60):
        while True:
            async with http.get(where) as asked:
                if asked.status == 200 and (found := await asked.json())["state"] != "waiting":
                    return found
            await asyncio.sleep(0.1)


async def test_who_waits_for_a_request_that_somebody_cancels_hears_499(pipeline: Pipeline) -> None:
    async with fronts(pipeline) as serving, aiohttp.ClientSession() as http:
        asking = asyncio.create_task(_post(http, serving, "mine"))
        await pipeline.simulator.wait_in_flight(1)
        (record,) = await read_all(pipeline.client_options, [REQUESTS_NORMAL])
        async with http.delete(f"{serving.urls[0]}/v1/requests/{orjson.loads(record.value)['request_id']}"):
            pass
        status, retry, code = await asking
        assert (status, retry, code) == (499, "false", "cancelled")


async def _post(http: aiohttp.ClientSession, serving: Fronts, text: str) -> tuple[int, str, str]:
    async with http.post(f"{serving.urls[0]}/v1/chat/completions", json=body(text)) as response:
        return response.status, response.headers["x-should-retry"], (await response.json())["error"]["code"]


async def test_a_cancel_before_its_request_and_one_of_a_stranger(pipeline: Pipeline) -> None:
    """A cancel names all that it says; who knows an id alone, or another agent's, ends nothing."""
    agent = agent_on(3)
    async with pipeline.fleet() as fleet:
        await fleet.start(1)
        await publish(pipeline, REQUESTS_NORMAL, request("last", latency_ms=LONG_MS), agent)
        await pipeline.simulator.wait_in_flight(1)
        early = {"request_id": "early", "agent_id": agent, "reason": "too late"}
        for cancel in (early, {"request_id": "stays"}, {"request_id": "stays", "agent_id": "agent-other"}):
            await publish(pipeline, CANCELS, cancel, "any", partition=0)
        for value in (b"", b"{", b'{"request_id": 7}', b"\xff" * 9000):
            async with AIOKafkaProducer(**pipeline.client_options) as producer:
                await producer.send_and_wait(CANCELS, value)
        await publish(pipeline, CANCELS, {"request_id": "last", "agent_id": agent}, "any", partition=0)
        await wait_closed(pipeline, 0)  # the worker has read those before it, too
        await publish(pipeline, REQUESTS_NORMAL, request("early"), agent)
        await publish(pipeline, REQUESTS_NORMAL, request("stays"), agent)
        await pipeline.wait_all_committed(60)
    assert await answers(pipeline) == {"last": ["cancelled"], "early": ["cancelled"], "stays": ["ok"]}
    assert pipeline.simulator.calls_by_id() == {"last": 1, "stays": 1}


async def test_a_worker_that_is_killed_right_after_a_cancel_leaves_it_to_the_next_one_which_does_not_call(
    pipeline: Pipeline,
) -> None:
    agents = [agent_on(partition) for partition in range(6)]
    async with pipeline.fleet(kafka__session_timeout="3s") as fleet:
        await fleet.start(1)
        places = {
            agent: await publish(pipeline, REQUESTS_NORMAL, request(f"r-{agent}", latency_ms=LONG_MS), agent)
            for agent in agents
        }
        await pipeline.simulator.wait_in_flight(len(agents))
        fleet.workers[0].signal(signal.SIGSTOP)  # so that the cancel is read by the next worker, if by any
        for agent, place in places.items():
            await publish(pipeline, CANCELS, {"request_id": f"r-{agent}", "record": place}, f"r-{agent}")
        await fleet.replace(fleet.workers[0])
        await pipeline.wait_all_committed(60)
    found = await answers(pipeline)
    assert {name: set(kinds) for name, kinds in found.items()} == {f"r-{agent}": {"cancelled"} for agent in agents}
    assert set(pipeline.simulator.calls_by_id().values()) == {1}
