"""A real worker whose key file is replaced under load: no request fails, and nothing is started anew."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import orjson
import pytest
from aiohttp import web

from ops.load.traffic import Answer
from ops.processes.fleet import Fleet
from tests.support.pipeline import Pipeline, request, wait_until

ANSWER = {
    "id": "x",
    "object": "chat.completion",
    "created": 1,
    "model": "small",
    "choices": [{"index": 0, "message": {"role": "assistant", "content": "hi"}, "finish_reason": "stop"}],
    "usage": {"prompt_tokens": 1, "completion_tokens": 1, "total_tokens": 2},
}


class Upstream:
    """Takes 50 ms for a call, and knows which key is good now."""

    def __init__(self) -> None:
        self.good = "sk-first-key"
        self.calls: Counter[tuple[str, int]] = Counter()

    async def answer(self, asked: web.Request) -> web.Response:
        await asked.read()
        await asyncio.sleep(0.05)
        if asked.method == "GET":
            return web.json_response({})
        key = asked.headers.get("authorization", "").removeprefix("Bearer ")
        status = 200 if key == self.good else 401
        self.calls[key, status] += 1
        wrong = {"error": {"message": f"Incorrect API key provided: {key}", "code": "invalid_api_key"}}
        return web.json_response(
            ANSWER if status == 200 else wrong, status=status, dumps=lambda v: orjson.dumps(v).decode()
        )

    @asynccontextmanager
    async def serving(self) -> AsyncIterator[str]:
        app = web.Application()
        app.router.add_route("*", "/{path:.*}", self.answer)
        runner = web.AppRunner(app, shutdown_timeout=1)
        await runner.setup()
        try:
            await web.TCPSite(runner, "127.0.0.1", 0).start()
            host, port = runner.addresses[0][:2]
            yield f"http://{host}:{port}/v1"
        finally:
            await runner.cleanup()


def settings_with_key_file(pipeline: Pipeline, url: str, key: Path) -> Path:
    settings = pipeline.settings()
    keyed = f'endpoints = [{{ url = "{url}", api_key_file = "{key}" }}]'
    settings.write_text(settings.read_text().replace(f'endpoints = [{{ url = "{pipeline.simulator.url}" }}]', keyed))
    assert keyed in settings.read_text()
    return settings


def by_rename(key: Path, text: str) -> None:
    new = key.with_name("key.new")
    new.write_text(text)
    new.replace(key)


def by_symbolic_link(key: Path, text: str) -> None:
    """As Kubernetes does it: the link to the folder is swapped. What is there becomes such a link at the first time."""
    folder = key.with_name("..2026_02")
    folder.mkdir()
    (folder / "key").write_text(text)
    link = key.with_name("..data_tmp")
    link.symlink_to(folder / "key")
    link.replace(key)


@pytest.mark.parametrize("replace", [by_rename, by_symbolic_link])
async def test_a_key_replaced_under_load_costs_no_request_and_no_restart(
    pipeline: Pipeline, replace: Callable[[Path, str], None]
) -> None:
    answers: list[Answer] = []
    upstream, key = Upstream(), pipeline.directory / "key"
    in_file(key, "sk-first-key\n")
    async with upstream.serving() as url:
        settings = settings_with_key_file(pipeline, url, key)
        async with Fleet(settings, pipeline.directory) as fleet, pipeline.traffic(on_answer=answers.append) as traffic:
            (worker,) = await fleet.start(1)

            async def answered(count: int) -> None:
                async def enough() -> bool:
                    return len(answers) >= count

                await wait_until(enough, 60)

            async def send(numbers: range) -> None:
                for number in numbers:
                    await traffic.send("normal", f"agent-{number % 7}", request(f"r-{number}"))
                    await asyncio.sleep(1 / 60)

            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(send(range(160)))
                await answered(40)
                replace(key, "sk-second-key\n")
                upstream.good = "sk-second-key"  # from this moment on: the provider gives no overlap
            await answered(160)
            in_file(key, "")  # emptied by mistake: the key in use stays

            async def is_told() -> bool:
                return "the key file holds no key now" in worker.log_text()

            await wait_until(is_told, 60)
            await send(range(160, 240))
            await answered(240)
            await pipeline.wait_all_committed(60)
            assert worker.alive
            said = worker.log_text()
    assert Counter(answer.status for answer in answers) == {"ok": 240}
    assert {orjson.loads(answer.value or b"")["attempts"] for answer in answers} == {1}
    assert {key for key, status in upstream.calls if status == 200} == {"sk-first-key", "sk-second-key"}
    assert sum(upstream.calls.values()) - 240 == upstream.calls["sk-first-key", 401]
    assert upstream.calls["sk-first-key", 401] <= 60, "only what was under way, until the file was looked at"
    assert "sk-first-key" not in said
    assert "sk-second-key" not in said
    assert said.count("api key read again") == 1
    assert said.count("the key file holds no key now") == 1


def in_file(key: Path, text: str) -> None:
    key.write_text(text)
