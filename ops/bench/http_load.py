"""Load of HTTP clients on a front, or on what stands for one, in a process of its own.

    python -m ops.bench.http_load KIND URL PLAN

PLAN is JSON (`Plan`). KIND is `streams` (so many at a time, one after the other in each place), `posts` (open loop, so many a
second), `waiting` (requests that nobody answers, held open), `stopped` (streams whose reader takes nothing).

Prints WARM when the warm-up is over or all are open, SENT when the measured time is, then its figures.
"""

from __future__ import annotations

import asyncio
import gc
import resource
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

import orjson

from ops.bench.figures import quantiles
from ops.bench.meter import SENT, WARM, say_mark, say_result
from ops.bench.token_upstream import MARK

_TAIL_BYTES: Final = 40
"""More than a token's mark takes: one that two reads share is found in the second."""
_OPEN_AT_ONCE: Final = 100
_LAST_WITHIN_S: Final = 30.0


@dataclass(frozen=True, slots=True)
class Plan:
    """What is asked of whom. Times are seconds, or ms by name."""

    run: str
    """Begins every prompt, so that no cache knows it."""
    count: int
    """Streams or requests at a time; of `posts` a second."""
    seconds: float
    warm_s: float = 5.0
    first_ms: int = 20
    tokens: int = 250
    each_ms: float = 20.0
    key_file: str | None = None


@dataclass(slots=True)
class Counts:
    """What came of all of them."""

    first_ms: list[float] = field(default_factory=list)
    """From the request until its first token (or its whole answer) was read."""
    token_ms: list[float] = field(default_factory=list)
    """From the upstream's sending a token until it was read; without the first of each stream."""
    ended: int = 0
    cut: int = 0
    """Without the last event, or not all tokens."""
    refused: int = 0


class Call(asyncio.Protocol):
    """One request on one connection. `done` is set when the answer has ended, however."""

    def __init__(self, request: bytes, tokens: int, counts: Counts, measures: Callable[[], bool]) -> None:
        self._request = request
        self._tokens = tokens
        self._counts = counts
        self._measures = measures
        self._tail = b""
        self._seen = 0
        self.done = asyncio.get_running_loop().create_future()
        self.transport: asyncio.Transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport
        self._sent_ns = time.monotonic_ns()
        transport.write(self._request)

    def data_received(self, data: bytes) -> None:
        now = time.monotonic_ns()
        if not self._seen and not self._tail and b" 200 " not in data[:16]:
            self._counts.refused += 1
            self._finish()
            return
        data, after = self._tail + data, 0
        for mark in MARK.finditer(data):
            after = mark.end()
            self._seen += 1
            if self._measures():
                if self._seen == 1:
                    self._counts.first_ms.append((now - self._sent_ns) / 1e6)
                else:
                    self._counts.token_ms.append((now - int(mark[1])) / 1e6)
        if b"[DONE]" in data:
            whole = self._seen == self._tokens
            self._counts.ended += whole
            self._counts.cut += not whole
            self._finish()
        self._tail = data[max(after, len(data) - _TAIL_BYTES) :]

    def connection_lost(self, error: Exception | None) -> None:
        if not self.done.done():
            self._counts.cut += 1
            self.done.set_result(None)

    def _finish(self) -> None:
        if not self.done.done():
            self.done.set_result(None)
        self.transport.close()


class Load:
    """One run of a plan."""

    def __init__(self, url: str, plan: Plan) -> None:
        parts = urlsplit(url)
        assert parts.hostname is not None
        self._host, self._port = parts.hostname, parts.port or 80
        self._path = f"{parts.path}/chat/completions"
        self._plan = plan
        self._key = Path(plan.key_file).read_text() if plan.key_file else "none"
        self._number = 0
        self._measuring = False
        self.counts = Counts()

    async def streams(self) -> None:
        """As many as planned at a time, evenly spread over the length of one."""
        plan = self._plan
        lasts_s = plan.tokens * plan.each_ms / 1000
        ends_at = asyncio.get_running_loop().time() + plan.warm_s + plan.seconds

        async def place(number: int) -> None:
            await asyncio.sleep(number / plan.count * min(lasts_s, plan.warm_s))
            while asyncio.get_running_loop().time() < ends_at:
                await (await self._call(stream=True)).done

        places = [asyncio.create_task(place(number)) for number in range(plan.count)]
        await self._measured()
        async with asyncio.timeout(lasts_s + _LAST_WITHIN_S):
            await asyncio.gather(*places)

    async def posts(self) -> None:
        """So many a second on connections that are used again, at fixed times: `first_ms` counts from when each was due."""
        import aiohttp

        plan = self._plan
        loop = asyncio.get_running_loop()
        began = loop.time()
        url = f"http://{self._host}:{self._port}{self._path}"
        headers = {"content-type": "application/json", "authorization": f"Bearer {self._key}"}

        async def post(due: float) -> None:
            measures = self._measuring
            async with session.post(url, data=self._body(stream=False), headers=headers) as response:
                await response.read()
            if response.status != 200:
                self.counts.refused += 1
            elif measures:
                self.counts.first_ms.append((loop.time() - due) * 1000)
                self.counts.ended += 1

        async with (
            aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as session,
            asyncio.TaskGroup() as tasks,
        ):
            tasks.create_task(self._measured())
            for number in range(round(plan.count * (plan.warm_s + plan.seconds))):
                due = began + number / plan.count
                await asyncio.sleep(max(0.0, due - loop.time()))
                tasks.create_task(post(due))

    async def waiting(self, *, stream: bool = False, reads: bool = True) -> None:
        """Open all of them, hold them for the planned time, close them."""
        calls: list[Call] = []
        for begin in range(0, self._plan.count, _OPEN_AT_ONCE):
            some = range(begin, min(begin + _OPEN_AT_ONCE, self._plan.count))
            opened = await asyncio.gather(*(self._call(stream=stream) for _ in some))
            if not reads:
                for call in opened:
                    call.transport.pause_reading()
            calls += opened
            await asyncio.sleep(0.1)
        say_mark(WARM)
        await asyncio.sleep(self._plan.seconds)
        say_mark(SENT)
        for call in calls:
            call.transport.abort()
        await asyncio.gather(*(call.done for call in calls))

    async def _measured(self) -> None:
        await asyncio.sleep(self._plan.warm_s)
        gc.collect()
        gc.freeze()  # a collection of ours must not count as theirs
        self._measuring = True
        say_mark(WARM)
        await asyncio.sleep(self._plan.seconds)
        self._measuring = False
        say_mark(SENT)

    async def _call(self, *, stream: bool) -> Call:
        body = self._body(stream=stream)
        head = (
            f"POST {self._path} HTTP/1.1\r\nhost: {self._host}:{self._port}\r\ncontent-type: application/json\r\n"
            f"authorization: Bearer {self._key}\r\ncontent-length: {len(body)}\r\n\r\n"
        )
        loop = asyncio.get_running_loop()
        _, call = await loop.create_connection(
            lambda: Call(head.encode() + body, self._plan.tokens, self.counts, lambda: self._measuring),
            self._host,
            self._port,
        )
        return call

    def _body(self, *, stream: bool) -> bytes:
        plan = self._plan
        self._number += 1
        return orjson.dumps(
            {
                "model": "small",
                "messages": [{"role": "user", "content": f"{plan.run} {self._number}"}],
                "max_tokens": plan.tokens,
                "stream": stream,
                "bench": {"first_ms": plan.first_ms, "tokens": plan.tokens, "each_ms": plan.each_ms},
            }
        )


async def main(kind: str, url: str, plan: Plan) -> None:
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    load = Load(url, plan)
    match kind:
        case "streams":
            await load.streams()
        case "posts":
            await load.posts()
        case "waiting":
            await load.waiting()
        case "stopped":
            await load.waiting(stream=True, reads=False)
    counts = load.counts
    say_result(
        {
            "first_ms": quantiles(counts.first_ms),
            "token_ms": quantiles(counts.token_ms),
            "firsts": len(counts.first_ms),
            "tokens": len(counts.token_ms),
            "ended": counts.ended,
            "cut": counts.cut,
            "refused": counts.refused,
        }
    )


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], sys.argv[2], Plan(**orjson.loads(sys.argv[3]))))
