"""`Idempotency-Key` on two fronts of one fleet: the same answer, one call paid."""

from __future__ import annotations

import asyncio
from typing import Any

import aiohttp
import orjson

from tests.integration.test_front import fronts
from tests.support.pipeline import Pipeline
from tests.support.stopwatch import Stopwatch


def body(text: str, **simulated: Any) -> dict[str, Any]:
    """A temperature above 0 and no cache: nothing but the key makes two of them one."""
    return {
        "model": "small",
        "temperature": 1.5,
        "messages": [{"role": "user", "content": text}],
        "headrace_sim": {"id": text, **simulated},
    }


async def ask(
    http: aiohttp.ClientSession, url: str, key: str, asked: dict[str, Any], **more: str
) -> tuple[int, Any, str | None]:
    headers = {"idempotency-key": key, "x-headrace-cache": "off", **more}
    async with http.post(f"{url}/v1/chat/completions", json=asked, headers=headers) as response:
        text = await response.text()
        found = text if text.startswith((":", "data:", "id:")) else orjson.loads(text)
        return response.status, found, response.headers.get("x-headrace-id")


async def test_the_same_key_is_one_request_on_any_front(pipeline: Pipeline) -> None:
    async with fronts(pipeline, count=2) as serving, aiohttp.ClientSession() as http:
        one, two = serving.urls

        # at the same moment on two fronts, and twice on each
        asked = body("together", latency_ms=800)
        answers = await asyncio.gather(*(ask(http, url, "k1", asked) for url in (one, two, one, two)))
        assert [status for status, _, _ in answers] == [200] * 4
        assert len({orjson.dumps(answer) for _, answer, _ in answers}) == 1
        assert len({request_id for _, _, request_id in answers}) == 1

        # later, on the other front; and as a stream
        later = await ask(http, two, "k1", asked)
        assert later[1:] == answers[0][1:]
        stats = await pipeline.simulator.stats()
        assert stats["by_id"]["together"] == 1

        # another body
        for url in (one, two):
            status, refused, _ = await ask(http, url, "k1", body("another"))
            assert (status, refused["error"]["code"]) == (422, "idempotency_key_reused")

        # a failure that may pass is asked again
        failing = body("flaky", status=503)
        first = await ask(http, one, "k2", failing)
        second = await ask(http, two, "k2", failing)
        assert first[0] == second[0] >= 500
        assert first[2] != second[2]

        # a stream with a key, then the whole again
        streamed = {**body("streamed"), "stream": True}
        status, told, _ = await ask(http, one, "k3", streamed)
        assert status == 200
        again_status, told_again, _ = await ask(http, two, "k3", streamed)
        assert again_status == 200
        assert told.strip().endswith("[DONE]")
        assert told_again.strip().endswith("[DONE]")
        stats = await pipeline.simulator.stats()
        assert stats["by_id"]["streamed"] == 1

        # who asks again with a limit of its own waits no longer than that, whole or as a stream; the first one's answer comes
        slow = body("slow", latency_ms=3000)
        slow_stream = {**body("slow stream", latency_ms=3000), "stream": True}
        firsts = [asyncio.create_task(ask(http, one, key, each)) for key, each in (("k4", slow), ("k5", slow_stream))]
        await asyncio.sleep(0.5)
        limit = {"x-headrace-timeout": "1"}
        watch = Stopwatch()
        joined = await asyncio.gather(
            *(
                ask(http, url, key, each, **limit)
                for key, each in (("k4", slow), ("k5", slow_stream))
                for url in (one, two)
            )
        )
        assert watch.running_s < 2.4
        assert [(status, refused["error"]["code"]) for status, refused, _ in joined] == [(504, "deadline")] * 4
        assert [status for status, _, _ in await asyncio.gather(*firsts)] == [200, 200]
