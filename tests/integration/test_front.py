"""The front as the OpenAI SDK meets it: a real front, a real worker, a real broker, the vendor's own package."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
import openai
import orjson
import pytest
from aiokafka import AIOKafkaProducer

from ops.processes.fleet import Fleet, WorkerProcess
from tests.support.pipeline import Pipeline
from tests.support.positions import read_all
from topics.names import FRONT_RESPONSES, REQUEST_TOPICS

_LISTENS = re.compile(r'"listen":"(http://[^"]+)"')


@dataclass(frozen=True)
class Fronts:
    """Fronts and workers of one test."""

    fleet: Fleet
    urls: list[str]
    processes: list[WorkerProcess]

    def sdk(self, number: int = 0, **options: Any) -> openai.AsyncOpenAI:
        return openai.AsyncOpenAI(
            base_url=f"{self.urls[number]}/v1", api_key="none", **{"max_retries": 0, "timeout": 60, **options}
        )


@asynccontextmanager
async def fronts(pipeline: Pipeline, count: int = 1, workers: int = 1, **changed: object) -> AsyncIterator[Fronts]:
    settings = pipeline.settings(front__listen="127.0.0.1:0", **changed)
    async with Fleet(settings, pipeline.directory) as fleet:
        processes = [
            WorkerProcess(f"front{number}", settings, pipeline.directory / f"front{number}.log", command="front")
            for number in range(count)
        ]
        try:
            await fleet.start(workers)
            for process in processes:
                await process.wait_ready()
            found = [_LISTENS.search(process.log_text()) for process in processes]
            yield Fronts(fleet, [each[1] for each in found if each is not None], processes)
        finally:
            await asyncio.gather(*(process.stop() for process in processes))


def chat(text: str, **simulated: Any) -> dict[str, Any]:
    return {
        "model": "small",
        "messages": [{"role": "user", "content": text}],
        "extra_body": {"headrace_sim": {"id": text, **simulated}} if simulated else {},
    }


async def test_the_openai_sdk_works_by_its_base_url_alone(pipeline: Pipeline) -> None:
    async with fronts(pipeline) as serving, serving.sdk() as sdk:
        answer = await sdk.chat.completions.with_raw_response.create(**chat("hello"))
        assert answer.parse().choices[0].message.content
        assert answer.headers["x-headrace-provider"] == "sim"
        assert answer.headers["x-headrace-attempts"] == "1"
        again = await sdk.chat.completions.with_raw_response.create(**chat("hello"))
        assert again.headers["x-headrace-cache"] == "memory"

        stream = await sdk.chat.completions.create(
            **chat("stream"), stream=True, stream_options={"include_usage": True}
        )
        chunks = [chunk async for chunk in stream]
        assert "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices)
        assert chunks[-1].usage is not None

        embedded = await sdk.embeddings.create(model="small", input=["a", "b"])
        assert len(embedded.data) == 2
        assert [model.id async for model in sdk.models.list()] == []


async def test_errors_are_what_the_sdk_knows(pipeline: Pipeline) -> None:
    async with fronts(pipeline, requests__max_bytes="8KiB") as serving, serving.sdk() as sdk:
        with pytest.raises(openai.BadRequestError) as empty:
            await sdk.chat.completions.create(model="small", messages=[])
        assert empty.value.type == "invalid_request_error"
        with pytest.raises(openai.APIStatusError) as large:
            await sdk.chat.completions.create(**chat("x" * 10_000))
        assert (large.value.status_code, large.value.code) == (413, "too_large")
        with pytest.raises(openai.NotFoundError):
            await sdk.models.retrieve("nothing")
        with pytest.raises(openai.APIStatusError) as late:
            await sdk.chat.completions.create(
                **chat("late", latency_ms=5000), extra_headers={"x-headrace-timeout": "0.5"}
            )
        assert (late.value.status_code, late.value.code) == (504, "deadline")
        assert late.value.response.headers["x-should-retry"] == "true"


async def test_a_client_that_does_not_wait_finds_its_answer_on_any_front(pipeline: Pipeline) -> None:
    async with fronts(pipeline, count=2) as serving, aiohttp.ClientSession() as http:
        body = {
            "model": "small",
            "messages": [{"role": "user", "content": "later"}],
            "headrace_sim": {"latency_ms": 500},
        }
        async with http.post(
            f"{serving.urls[0]}/v1/chat/completions", json=body, headers={"prefer": "respond-async"}
        ) as accepted:
            assert accepted.status == 202
            where = accepted.headers["location"]
        states = set()
        async with asyncio.timeout(60):
            while "ok" not in states:
                async with http.get(serving.urls[1] + where) as asked:
                    found = await asked.json()
                    states.add(found["state"])
                await asyncio.sleep(0.1)
        assert found["response"]["payload"]["choices"]
        async with http.get(f"{serving.urls[1]}/v1/requests/chatcmpl-nothing") as asked:
            assert asked.status == 404


async def test_an_answer_that_somebody_else_wrote_is_not_believed(pipeline: Pipeline) -> None:
    async with (
        fronts(pipeline) as serving,
        aiohttp.ClientSession() as http,
        AIOKafkaProducer(**pipeline.client_options) as producer,
    ):
        body = {"model": "small", "messages": [{"role": "user", "content": "?"}], "headrace_sim": {"latency_ms": 1500}}
        asking = asyncio.create_task(_post(http, serving.urls[0], body))
        request_id, lane = await _only_request(pipeline)
        forged = {
            "request_id": request_id, "agent_id": "http", "status": "ok",
            "payload": {"choices": [{"message": {"content": "APPROVED"}}]},
            "timing": {"queue_ms": 0, "provider_ms": 0, "total_ms": 0}, "completed_at": "2026-01-01T00:00:00Z",
        }  # fmt: skip
        headers = [("request_id", request_id.encode()), ("ce_id", b"agent.requests.normal:0:999")]
        await producer.send_and_wait(FRONT_RESPONSES, orjson.dumps(forged), partition=lane, headers=headers)
        status, answer = await asking
    assert status == 200
    assert "APPROVED" not in str(answer)


async def _post(http: aiohttp.ClientSession, url: str, body: Any) -> tuple[int, Any]:
    async with http.post(f"{url}/v1/chat/completions", json=body) as response:
        return response.status, await response.json()


async def _only_request(pipeline: Pipeline) -> tuple[str, int]:
    """The id of the one request that was published, and its lane: more than a stranger should know."""
    async with asyncio.timeout(60):
        while True:
            if records := await read_all(pipeline.client_options, REQUEST_TOPICS):
                lane = int(dict(records[0].headers)["reply_partition"])
                return str(orjson.loads(records[0].value)["request_id"]), lane


async def test_killed_workers_cost_no_client_its_answer(pipeline: Pipeline) -> None:
    asked = 60
    async with fronts(pipeline, workers=2, kafka__session_timeout="3s") as serving, serving.sdk(timeout=60) as sdk:
        asking = [
            asyncio.create_task(sdk.chat.completions.create(**chat(f"q{number}", latency_ms=300 + number * 20)))
            for number in range(asked)
        ]
        await pipeline.simulator.wait_in_flight(10)
        await serving.fleet.replace(serving.fleet.workers[0])
        answers = await asyncio.gather(*asking)
    assert len({answer.id for answer in answers}) >= 1
    assert all(answer.choices[0].message.content for answer in answers)


async def test_a_front_that_is_told_to_end_answers_who_waits(pipeline: Pipeline) -> None:
    async with fronts(pipeline) as serving, serving.sdk() as sdk:
        asking = asyncio.create_task(sdk.chat.completions.create(**chat("last", latency_ms=2000)))
        await pipeline.simulator.wait_in_flight(1)
        code = await serving.processes[0].stop(20)
        assert (await asking).choices[0].message.content
        assert code == 0


async def test_a_front_listens_to_this_machine_alone(pipeline: Pipeline, tmp_path: Path) -> None:
    process = WorkerProcess(
        "front", pipeline.settings(front__listen="0.0.0.0:0"), tmp_path / "front.log", command="front"
    )
    assert await process.wait_ended(30)
    assert process.exit_code == 2
    assert "serves this machine alone" in process.log_text()
