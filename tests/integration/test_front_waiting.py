"""Where requests wait and why, as clients of a front are told it; and that they are told of their own requests alone."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import aiohttp

from tests.integration.test_front import Fronts, fronts
from tests.integration.test_front_keys import keys
from tests.support.pipeline import Pipeline, agent_on
from tests.support.stopwatch import Stopwatch

ONE_AT_A_TIME = {"concurrency__per_host": 1}


def body(text: str, **simulated: Any) -> dict[str, Any]:
    messages = [{"role": "user", "content": text}]
    return {"model": "small", "messages": messages, "headrace_sim": {"id": text, **simulated}}


async def send(http: aiohttp.ClientSession, url: str, text: str, key: str | None = None, **simulated: Any) -> str:
    """The id of a request that nobody waits for."""
    headers = {"prefer": "respond-async", "x-headrace-agent": agent_on(3)}
    if key is not None:
        headers = {"prefer": "respond-async", "authorization": f"Bearer {key}"}
    async with http.post(f"{url}/v1/chat/completions", json=body(text, **simulated), headers=headers) as answer:
        assert answer.status == 202, await answer.text()
        return str((await answer.json())["id"])


async def get(http: aiohttp.ClientSession, url: str, path: str, key: str | None = None) -> tuple[int, dict[str, Any]]:
    headers = {} if key is None else {"x-api-key": key}
    async with http.get(f"{url}{path}", headers=headers) as answer:
        return answer.status, await answer.json()


async def told_of(http: aiohttp.ClientSession, serving: Fronts, request_id: str, where: str) -> dict[str, Any]:
    """What a front says of it, once it says that it is there."""
    async with asyncio.timeout(30):
        while True:
            status, told = await get(http, serving.urls[0], f"/v1/requests/{request_id}")
            if status == 200 and told.get("where") == where:
                return told
            await asyncio.sleep(0.1)


async def test_a_waiting_request_is_told_its_place_and_what_it_waits_for(pipeline: Pipeline) -> None:
    """What is under way is not ahead in the queue (twosigma/Cook#908), and each has a place of its own (Qiskit/qiskit#503)."""
    async with fronts(pipeline, **ONE_AT_A_TIME) as serving, aiohttp.ClientSession() as http:
        first = await send(http, serving.urls[0], "first", latency_ms=20_000)
        under_way = await told_of(http, serving, first, "call")
        assert under_way["reason"] is None
        waiting = [await send(http, serving.urls[0], f"next {number}") for number in range(3)]
        told = [await told_of(http, serving, each, "queue") for each in waiting]
        assert [each["position"] for each in told] == [1, 2, 3]
        assert {each["reason"] for each in told} == {"endpoint_slots"}
        assert all("per_host" in each["why"] for each in told)


async def test_a_stream_that_waits_says_so_in_its_comments(pipeline: Pipeline) -> None:
    async with fronts(pipeline, **ONE_AT_A_TIME) as serving, aiohttp.ClientSession() as http:
        first = await send(http, serving.urls[0], "first", latency_ms=25_000)
        await told_of(http, serving, first, "call")
        streamed = body("second") | {"stream": True}
        headers = {"x-headrace-agent": agent_on(3)}
        async with http.post(f"{serving.urls[0]}/v1/chat/completions", json=streamed, headers=headers) as answer:
            line = await asyncio.wait_for(answer.content.readline(), 25)
            assert line.startswith(b": waiting stage=queue reason=endpoint_slots position=1"), line


async def test_a_key_sees_cancels_and_deletes_its_own_requests_alone(pipeline: Pipeline) -> None:
    """An id is no secret: who learns it from a log must not read another's answer (BerriAI/litellm#15757, #39548)."""
    settings = pipeline.settings(front__listen="127.0.0.1:0")
    mine, other, watcher = [
        json.loads(await keys(settings, "create", *given, "--json"))["key"]
        for given in (("mine",), ("other",), ("watcher", "--agents", "mine*"))
    ]
    async with fronts(pipeline, count=2) as serving, aiohttp.ClientSession() as http:
        here, there = serving.urls
        request_id = await send(http, here, "hello", mine)
        for path in (f"/v1/requests/{request_id}", f"/v1/responses/{request_id}", f"/v1/requests/{request_id}/stream"):
            for url in (here, there):
                assert (await get(http, url, path, other))[0] == 404, path
        async with http.delete(f"{there}/v1/requests/{request_id}", headers={"x-api-key": other}) as answer:
            assert answer.status == 404
        async with asyncio.timeout(30):
            while (await get(http, there, f"/v1/requests/{request_id}", mine))[1].get("state") != "ok":  # noqa: ASYNC110
                await asyncio.sleep(0.1)
        assert (await get(http, there, f"/v1/requests/{request_id}", watcher))[0] == 200, "of its agents' pattern"

        async with http.post(
            f"{here}/v1/responses", json={"model": "small", "input": "hi"}, headers={"x-api-key": mine}
        ) as answer:
            response = await answer.json()
        path = f"/v1/responses/{response['id']}"
        assert (await get(http, there, path, mine))[1]["status"] == "completed"
        async with http.delete(f"{there}{path}", headers={"x-api-key": other}) as answer:
            assert answer.status == 404
        async with http.delete(f"{here}{path}", headers={"x-api-key": mine}) as answer:
            assert (answer.status, (await answer.json())["deleted"]) == (200, True)
        async with asyncio.timeout(60):
            for url in (here, there):
                while (await get(http, url, path, mine))[0] != 404:  # noqa: ASYNC110 - another front's reader
                    await asyncio.sleep(0.05)
        assert (await get(http, there, path.replace("responses", "requests"), mine))[0] == 404


async def test_what_no_worker_reads_is_answered_by_its_front_when_its_time_is_over(pipeline: Pipeline) -> None:
    """A caller that waits for a fleet that is away hears so in time and by a true status (developmentseed/stac-auth-proxy#211),
    for a whole answer and for a stream.
    """
    async with fronts(pipeline, workers=0) as serving, aiohttp.ClientSession() as http:
        url, headers = f"{serving.urls[0]}/v1/chat/completions", {"x-headrace-timeout": "1.5"}
        watch = Stopwatch()
        for stream in (False, True):
            async with http.post(url, json=body("unread") | {"stream": stream}, headers=headers) as answer:
                told = await answer.json()
                assert (answer.status, told["error"]["code"]) == (504, "deadline"), told
                assert answer.headers["x-should-retry"] == "true"
                assert answer.headers["x-headrace-id"].startswith("chatcmpl-")
        assert watch.passed_s >= 3
        assert watch.running_s < 20


async def test_what_a_living_worker_has_not_read_is_answered_by_its_front_when_its_class_has_waited(
    pipeline: Pipeline,
) -> None:
    """Its worker would answer once it gets to it, which may take as long as the calls before it."""
    full: dict[str, Any] = {"backpressure__partition_records": 1, "queueing__timeout__normal": "3s"}
    async with fronts(pipeline, **full) as serving, aiohttp.ClientSession() as http:
        url, headers = f"{serving.urls[0]}/v1/chat/completions", {"x-headrace-agent": agent_on(3)}
        called = await send(http, serving.urls[0], "called", latency_ms=30_000)
        await told_of(http, serving, called, "call")
        async with http.post(url, json=body("unread"), headers=headers) as answer:
            told = await answer.json()
        assert (answer.status, told["error"]["code"]) == (504, "deadline"), told
        assert "no worker has answered" in told["error"]["message"]
        assert (await get(http, serving.urls[0], f"/v1/requests/{called}"))[1]["where"] == "call"
