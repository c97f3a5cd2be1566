"""Load of HTTP clients on a front, or on what stands for one, in a process of its own.

    python -m ops.bench.http_load KIND URL PLAN

PLAN is JSON (`Plan`). KIND is `streams` (so many at a time, one after the other in each place), `posts` (open loop, so many a
second), `alone` (one post after the other), `waiting` (requests that nobody answers, held open), `stopped` (streams whose reader
takes nothing), `gone` (requests under way whose clients all close their connections; then how many calls of the upstream are
closed).

Prints WARM when the warm-up is over or all are open, SENT when the measured time is, then its figures.
"""

from __future__ import annotations

import asyncio
import gc
import resource
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

import orjson

from ops.bench.figures import quantiles
from ops.bench.http_calls import Call, Counts, PostConnection
from ops.bench.meter import SENT, WARM, say_mark, say_result

_OPEN_AT_ONCE: Final = 100
_LAST_WITHIN_S: Final = 30.0
_APART_S: Final = 0.013
"""Between an answer and the next post of one who is alone: no multiple of anybody's timer."""


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
    pad_bytes: int = 0
    """That each token is longer."""
    key_file: str | None = None
    upstream: str | None = None
    """Who is asked how many calls are under way."""


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
        self._idle: list[PostConnection] = []
        self._cpu_s = 0.0
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
        plan = self._plan
        loop = asyncio.get_running_loop()
        began = loop.time()
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._measured())
            for number in range(round(plan.count * (plan.warm_s + plan.seconds))):
                due = began + number / plan.count
                await asyncio.sleep(max(0.0, due - loop.time()))
                tasks.create_task(self._post(due))
        self._close_idle()

    async def alone(self) -> None:
        """One post after the other: with nothing else under way every millisecond is one that the way takes."""
        measured, loop = asyncio.create_task(self._measured()), asyncio.get_running_loop()
        while not measured.done():
            await self._post(loop.time())
            await asyncio.sleep(_APART_S)
        await measured
        self._close_idle()

    async def _post(self, due: float) -> None:
        measures, loop = self._measuring, asyncio.get_running_loop()
        connection = self._idle.pop() if self._idle else None
        if connection is None or connection.closed:
            _, connection = await loop.create_connection(PostConnection, self._host, self._port)
        status = await connection.post(self._request(stream=False))
        if status != 200:
            self.counts.refused += 1
        elif measures:
            self.counts.first_ms.append((loop.time() - due) * 1000)
            self.counts.ended += 1
        self._idle.append(connection)

    def _close_idle(self) -> None:
        for connection in self._idle:
            connection.transport.close()

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
        self._say(WARM)
        await asyncio.sleep(self._plan.seconds)
        self._say(SENT)
        for call in calls:
            call.transport.abort()
        await asyncio.gather(*(call.done for call in calls))

    async def gone(self) -> None:
        """Open all of them, every fourth for a whole answer, until the upstream has all; close all at once, and look when the
        planned time is over.
        """
        count, calls = self._plan.count, []
        for number in range(count):
            stream = number % 4 > 0
            calls.append(await self._call(stream=stream, first_ms=self._plan.first_ms if stream else 600_000))
        async with asyncio.timeout(_LAST_WITHIN_S):
            while await self._under_way() < count:  # noqa: ASYNC110 - another process
                await asyncio.sleep(0.1)
            while not all(call.has_begun for call in calls[1::4]):  # noqa: ASYNC110
                await asyncio.sleep(0.1)
        self._say(WARM)
        self.counts.under_way = await self._under_way()
        for call in calls:
            call.transport.abort()
        await asyncio.sleep(self._plan.seconds)
        self.counts.closed = self.counts.under_way - await self._under_way()
        self._say(SENT)
        await asyncio.gather(*(call.done for call in calls))

    async def _under_way(self) -> int:
        parts = urlsplit(self._plan.upstream or "")
        reader, writer = await asyncio.open_connection(parts.hostname, parts.port)
        writer.write(b"GET / HTTP/1.1\r\nhost: upstream\r\n\r\n")
        try:
            head = await reader.readuntil(b"\r\n\r\n")
            return int(await reader.readexactly(int(head.rpartition(b": ")[2])))
        finally:
            writer.close()

    async def _measured(self) -> None:
        await asyncio.sleep(self._plan.warm_s)
        gc.collect()
        gc.freeze()  # a collection of ours must not count as theirs
        self._measuring = True
        self._say(WARM)
        await asyncio.sleep(self._plan.seconds)
        self._measuring = False
        self._say(SENT)

    def _say(self, mark: str) -> None:
        cpu_s = time.process_time()
        if mark == SENT:
            self.counts.cpu_s = cpu_s - self._cpu_s
        self._cpu_s = cpu_s
        say_mark(mark)

    async def _call(self, *, stream: bool, first_ms: int | None = None) -> Call:
        request = self._request(stream=stream, first_ms=first_ms)
        _, call = await asyncio.get_running_loop().create_connection(
            lambda: Call(request, self._plan.tokens, self.counts, lambda: self._measuring),
            self._host,
            self._port,
        )
        return call

    def _request(self, *, stream: bool, first_ms: int | None = None) -> bytes:
        body = self._body(stream=stream, first_ms=first_ms)
        head = (
            f"POST {self._path} HTTP/1.1\r\nhost: {self._host}:{self._port}\r\ncontent-type: application/json\r\n"
            f"authorization: Bearer {self._key}\r\nx-headrace-timeout: 600\r\ncontent-length: {len(body)}\r\n\r\n"
        )
        return head.encode() + body

    def _body(self, *, stream: bool, first_ms: int | None = None) -> bytes:
        plan = self._plan
        self._number += 1
        return orjson.dumps(
            {
                "model": "small",
                "messages": [{"role": "user", "content": f"{plan.run} {self._number}"}],
                "max_tokens": plan.tokens,
                "stream": stream,
                "bench": {
                    "pad_bytes": plan.pad_bytes,
                    "first_ms": first_ms or plan.first_ms,
                    "tokens": plan.tokens,
                    "each_ms": plan.each_ms,
                },
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
        case "alone":
            await load.alone()
        case "waiting":
            await load.waiting()
        case "stopped":
            await load.waiting(stream=True, reads=False)
        case "gone":
            await load.gone()
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
            "under_way": counts.under_way,
            "closed": counts.closed,
            "cpu_s": counts.cpu_s,
        }
    )


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], sys.argv[2], Plan(**orjson.loads(sys.argv[3]))))
