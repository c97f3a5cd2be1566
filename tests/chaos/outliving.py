"""Streams over fronts, workers and brokers that are killed: a client that goes on where it was, and what it should have got."""

from __future__ import annotations

import asyncio
import random
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp
import orjson

from ops.processes.fleet import Fleet, WorkerProcess
from ops.provider_sim.answers import chat_text, chat_tokens
from ops.provider_sim.responses import as_chat
from ops.provider_sim.settings import Hint
from streams.front.inbound import AGENT
from streams.providers.formats.responses.request import translate_request
from tests.support.pipeline import Pipeline

TOKENS = 150
_LISTENS = re.compile(r'"listen":"(http://[^"]+)"')
_SILENT_S = 30.0
_WITHIN_S = 240.0
_PROVIDERS = {
    "reattach": {"format": "responses", "stream_on_loss": "reattach"},
    "continue": {"stream_on_loss": "continue"},
    "restart": {"stream_on_loss": "restart"},
    "error": {"stream_on_loss": "error"},
}


def settings_of(pipeline: Pipeline, **changed: object) -> Path:
    """A provider for each policy, which serves the model of its name."""
    kinds = iter(_PROVIDERS.items())
    first, given = next(kinds)
    pipeline.provider = {"models": [first], **given}
    path = pipeline.settings(front__listen="127.0.0.1:0", **changed)
    lines = path.read_text().splitlines()
    usual = lines[lines.index("[[providers]]") + 2 :][:4]
    for name, given in kinds:
        more = {"models": [name], **given}
        lines += ["[[providers]]", f'name = "{name}"', *usual]
        lines += [f"{key} = {orjson.dumps(value).decode()}" for key, value in more.items()]
    path.write_text("\n".join(lines) + "\n")
    return path


def body_of(policy: str, name: str) -> dict[str, Any]:
    return {
        "model": policy,
        "messages": [{"role": "user", "content": name}],
        "headrace_sim": {"id": name, "completion_tokens": TOKENS},
    }


def expected(policy: str, name: str) -> str:
    """What the upstream says."""
    body = body_of(policy, name)
    asked = as_chat(translate_request(body)) if policy == "reattach" else body
    return chat_text(asked, chat_tokens(asked, Hint(completion_tokens=TOKENS)), 0)


@dataclass(slots=True)
class Told:
    """What a client got in the end."""

    policy: str
    name: str
    text: str = ""
    ends: list[str] = field(default_factory=list)
    """Terminal events: `done`, or the code of an error."""
    restarts: int = 0
    reconnects: int = 0
    request_id: str | None = None
    last: str | None = None
    answer: str | None = None
    """The text on the response topic."""


class World:
    """Fronts and workers that are killed and started again, and clients that do not mind."""

    def __init__(self, fleet: Fleet, settings: Path, folder: Path, seed: int) -> None:
        self.fleet = fleet
        self.kills: dict[str, int] = {"worker": 0, "front": 0, "broker": 0}
        self._settings, self._folder = settings, folder
        self._fronts: list[WorkerProcess] = []
        self._urls: dict[WorkerProcess, str] = {}
        self._random = random.Random(seed)
        self._started = 0

    async def start_front(self) -> None:
        self._started += 1
        name = f"front{self._started}"
        front = WorkerProcess(name, self._settings, self._folder / f"{name}.log", command="front")
        self._fronts.append(front)
        await front.wait_ready(90)
        found = _LISTENS.search(front.log_text())
        assert found is not None
        self._urls[front] = found[1]

    async def kill_front(self) -> None:
        """One that serves; another one is started first, so that there is always somebody to go to."""
        victim = self._random.choice([front for front in self._fronts if front in self._urls])
        del self._urls[victim]
        victim.kill()
        self._fronts.remove(victim)
        self.kills["front"] += 1
        await self.start_front()

    async def kill_worker(self) -> None:
        self.kills["worker"] += 1
        await self.fleet.replace(self._random.choice(self.fleet.workers), ready_within_s=90)

    async def stop(self) -> None:
        await asyncio.gather(*(front.stop() for front in self._fronts))

    async def read(self, http: aiohttp.ClientSession, policy: str, name: str) -> Told:
        """A stream to its end, over as many connections as it takes; without an end where that takes too long."""
        told = Told(policy, name)
        with suppress(TimeoutError):
            await asyncio.wait_for(self._read(http, told), _WITHIN_S)
        return told

    async def _read(self, http: aiohttp.ClientSession, told: Told) -> None:
        while not told.ends:
            with suppress(aiohttp.ClientError, TimeoutError, ConnectionError):
                await self._read_once(http, told)
            if not told.ends:
                told.reconnects += 1
                await asyncio.sleep(self._random.uniform(0.1, 0.5))
        while told.answer is None and told.ends == ["done"]:
            told.answer = await self._answer(http, told)

    def _url(self) -> str:
        return self._random.choice(list(self._urls.values()))

    async def _read_once(self, http: aiohttp.ClientSession, told: Told) -> None:
        if told.request_id is None:
            headers = {AGENT: f"agent-{told.name}", "idempotency-key": told.name}
            data = orjson.dumps({**body_of(told.policy, told.name), "stream": True})
            asking = http.post(f"{self._url()}/v1/chat/completions", data=data, headers=headers)
        else:
            headers = {} if told.last is None else {"last-event-id": told.last}
            asking = http.get(f"{self._url()}/v1/requests/{told.request_id}/stream", headers=headers)
        async with asking as response:
            if response.status in (429, 503, 404, 500, 502, 504) or response.status == 409:
                return
            if response.status != 200:
                told.ends.append(f"status {response.status}")
                return
            told.request_id = response.headers["x-headrace-id"]
            event: dict[bytes, bytes] = {}
            async for line in response.content:
                name, _, value = line.rstrip(b"\n").partition(b": ")
                if name:
                    event[name] = value
                elif event:
                    self._take(told, event)
                    event = {}

    def _take(self, told: Told, event: dict[bytes, bytes]) -> None:
        data = event.get(b"data", b"")
        if b"id" in event:
            told.last = event[b"id"].decode()
        if event.get(b"event") == b"restarted":
            told.text, told.restarts = "", told.restarts + 1
        elif data == b"[DONE]":
            told.ends.append("done")
        elif data:
            chunk = orjson.loads(data)
            if (error := chunk.get("error")) is not None and error.get("code") != "still_waiting":
                told.ends.append(str(error.get("code")))
            for choice in chunk.get("choices") or ():
                told.text += choice["delta"].get("content") or ""

    async def _answer(self, http: aiohttp.ClientSession, told: Told) -> str | None:
        try:
            async with http.get(f"{self._url()}/v1/requests/{told.request_id}") as response:
                found = orjson.loads(await response.read())
            text: str = found["response"]["payload"]["choices"][0]["message"]["content"]
        except (aiohttp.ClientError, TimeoutError, KeyError, TypeError, orjson.JSONDecodeError):
            await asyncio.sleep(0.5)
            return None
        return text


@asynccontextmanager
async def world_of(
    pipeline: Pipeline, *, fronts: int, workers: int, seed: int = 1, **changed: object
) -> AsyncIterator[World]:
    settings = settings_of(pipeline, **changed)
    async with Fleet(settings, pipeline.directory) as fleet:
        world = World(fleet, settings, pipeline.directory, seed)
        try:
            await fleet.start(workers, ready_within_s=90)
            await asyncio.gather(*(world.start_front() for _ in range(fronts)))
            yield world
        finally:
            await world.stop()


async def read_all(world: World, streams: list[tuple[str, str]], at_once: int) -> list[Told]:
    """All streams, so many at a time."""
    room = asyncio.Semaphore(at_once)
    timeout = aiohttp.ClientTimeout(total=None, sock_connect=10, sock_read=_SILENT_S)
    async with aiohttp.ClientSession(timeout=timeout, connector=aiohttp.TCPConnector(limit=0)) as http:

        async def one(policy: str, name: str) -> Told:
            async with room:
                return await world.read(http, policy, name)

        return await asyncio.gather(*(one(policy, name) for policy, name in streams))
