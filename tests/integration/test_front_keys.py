"""Keys of the front from outside: the command, a real broker, real fronts, and where a key must never be seen."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import aiohttp
import openai
import orjson
import pytest
from aiokafka import AIOKafkaProducer

from ops.processes.fleet import WorkerProcess
from streams.front.keys.secret import hash_of
from tests.integration.test_front import fronts
from tests.support.cli import headrace
from tests.support.pipeline import Pipeline
from tests.support.positions import read_all
from tests.support.stopwatch import Stopwatch
from topics.names import FRONT_KEYS, REQUEST_TOPICS

CHAT = {"model": "small", "messages": [{"role": "user", "content": "hi"}]}


async def keys(settings: Path, *arguments: str, code: int = 0) -> str:
    """What `headrace keys` says on stdout."""
    called = await headrace("keys", *arguments, settings=settings)
    assert called.code == code, called.err
    assert "hr_" not in called.err
    return called.out


async def post(http: aiohttp.ClientSession, url: str, key: str | None, **fields: Any) -> tuple[int, Any]:
    headers = {} if key is None else {"authorization": f"Bearer {key}"}
    async with http.post(f"{url}/v1/chat/completions", json=CHAT | fields, headers=headers) as answer:
        return answer.status, await answer.json()


async def until_status(http: aiohttp.ClientSession, url: str, key: str | None, wanted: int) -> float:
    """Seconds until a look at the models answers so."""
    watch = Stopwatch()
    headers = {} if key is None else {"x-api-key": key}
    async with asyncio.timeout(60):
        while True:
            async with http.get(f"{url}/v1/models", headers=headers) as answer:
                if answer.status == wanted:
                    return watch.running_s
            await asyncio.sleep(0.02)


async def test_a_key_is_made_used_and_revoked_at_once(pipeline: Pipeline) -> None:
    """A deleted key went on for a day behind a cache of keys (civitai/civitai#2658)."""
    settings = pipeline.settings(front__listen="127.0.0.1:0")
    async with fronts(pipeline, count=2) as serving, aiohttp.ClientSession() as http:
        assert (await post(http, serving.urls[0], None))[0] == 200
        made = json.loads(
            await keys(settings, "create", "team-a", "--agents", "team-a-*", "--model", "small", "--json")
        )
        secret = made["key"]
        for url in serving.urls:
            await until_status(http, url, None, 401)
            await until_status(http, url, secret, 200)
        assert (await post(http, serving.urls[0], secret))[0] == 200
        assert (await post(http, serving.urls[0], secret, user="team-b"))[0] == 403
        async with openai.AsyncOpenAI(base_url=f"{serving.urls[1]}/v1", api_key="hr_wrong", max_retries=0) as sdk:
            with pytest.raises(openai.AuthenticationError):
                await sdk.models.list()

        stopped, took_s = asyncio.Event(), []

        async def watch(url: str) -> None:
            await stopped.wait()
            took_s.append(await until_status(http, url, secret, 401))

        watching = [asyncio.create_task(watch(url)) for url in serving.urls]
        await keys(settings, "revoke", "team-a")
        stopped.set()
        await asyncio.gather(*watching)
        assert max(took_s) < 5.0
        listed = json.loads(await keys(settings, "list", "--json"))["keys"]
        assert [(each["name"], each["state"]) for each in listed] == [("team-a", "revoked")]
        await keys(settings, "revoke", "team-a", code=1)
        records = await read_all(pipeline.client_options, REQUEST_TOPICS)
        assert sorted(orjson.loads(record.value)["agent_id"] for record in records) == ["http", "team-a"]


async def test_a_key_is_nowhere_but_with_its_holder(pipeline: Pipeline) -> None:
    """Raw keys stood in the log of failed authentications (sxueck/llm-gateway#34)."""
    settings = pipeline.settings(front__listen="127.0.0.1:0", logging__level="debug")
    secret = (await keys(settings, "create", "team-a")).strip()
    assert secret.startswith("hr_")
    assert "\n" not in secret
    async with fronts(pipeline, logging__level="debug") as serving, aiohttp.ClientSession() as http:
        url = serving.urls[0]
        assert (await post(http, url, secret))[0] == 200
        wrong = secret[:-4] + "zzzz"
        assert (await post(http, url, wrong))[0] == 401
        host, port = url.removeprefix("http://").split(":")
        for head in (
            f"authorization: Bearer {secret}\x01\x00",
            f"bad header {secret}: x",
            f"x-api-key: {secret}\r\nbroken",
        ):
            reader, writer = await asyncio.open_connection(host, int(port))
            writer.write(f"GET /v1/models HTTP/1.1\r\nhost: a\r\n{head}\r\n\r\n".encode())
            said = await reader.read(2000)
            assert b" 400 " in said
            assert secret[:20].encode() not in said
            writer.close()
        async with http.get(f"http://{serving.processes[0].http}/metrics") as answer:
            shown = await answer.text()
        logs = "".join(process.log_text() for process in (*serving.processes, *serving.fleet.workers))
    everything = [record async for record in _all_records(pipeline)]
    for place in (shown, logs, *everything):
        assert secret not in place
        assert wrong not in place


async def _all_records(pipeline: Pipeline) -> Any:
    for record in await read_all(pipeline.client_options, pipeline.names.all):
        yield f"{record.key} {record.value} {record.headers}"


async def test_beyond_this_machine_a_front_listens_only_with_keys(pipeline: Pipeline, tmp_path: Path) -> None:
    settings = pipeline.settings(front__listen="0.0.0.0:0")
    refusing = WorkerProcess("front", settings, tmp_path / "refused.log", command="front")
    assert await refusing.wait_ended(30)
    assert refusing.exit_code == 2
    assert "keys create" in refusing.log_text()
    waiting = pipeline.settings(front__listen="0.0.0.0:0", front__require_keys="always")
    process = WorkerProcess("front", waiting, tmp_path / "front.log", command="front")
    try:
        await process.wait_ready()
        url = f"http://127.0.0.1:{_port(process)}"
        async with aiohttp.ClientSession() as http:
            assert (await post(http, url, None))[0] == 401
            secret = (await keys(waiting, "create", "first")).strip()
            await until_status(http, url, secret, 200)
    finally:
        await process.stop()
    served = WorkerProcess(
        "front", pipeline.settings(front__listen="0.0.0.0:0"), tmp_path / "keyed.log", command="front"
    )
    try:
        await served.wait_ready()
    finally:
        await served.stop()


def _port(process: WorkerProcess) -> int:
    ready = next(line for line in process.log_text().splitlines() if '"event":"ready"' in line)
    return int(json.loads(ready)["listen"].rpartition(":")[2])


async def test_forged_records_on_the_topic_of_keys_open_nothing_and_end_nothing(pipeline: Pipeline) -> None:
    settings = pipeline.settings(front__listen="127.0.0.1:0")
    secret = (await keys(settings, "create", "honest")).strip()
    forged = "hr_" + "f" * 43
    async with (
        AIOKafkaProducer(**pipeline.client_options) as producer,
        fronts(pipeline, workers=0) as serving,
        aiohttp.ClientSession() as http,
    ):
        for name in (b"", b"\xff\xfe", b"x" * 5000, (hash_of(forged) or "").encode()):
            for value in (b"", b"\xff", b"{" * 100_000, b'{"name": "x"}', b"null", b"9" * 900_000):
                await producer.send_and_wait(FRONT_KEYS, value, key=name, partition=0)
        later = (await keys(settings, "create", "later")).strip()
        await until_status(http, serving.urls[0], later, 200)
        await until_status(http, serving.urls[0], secret, 200)
        await until_status(http, serving.urls[0], forged, 401)
        assert serving.processes[0].alive
