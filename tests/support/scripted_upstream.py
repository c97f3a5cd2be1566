"""An upstream that answers by a script, over real HTTP/1.1, byte for byte: what no decent simulator would say."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, Final

import orjson

JSON: Final = {"content-type": "application/json"}


@dataclass(frozen=True)
class Reply:
    """One answer. `body` is bytes as they are, or an object that is written as JSON; None hangs up without an answer."""

    status: int = 200
    body: Any = None
    headers: dict[str, str] = field(default_factory=dict)
    after_s: float = 0.0

    def encode(self) -> bytes:
        body = self.body if isinstance(self.body, bytes) else orjson.dumps(self.body)
        headers = JSON | {"content-length": str(len(body))} | self.headers
        lines = [f"HTTP/1.1 {self.status} Said", *(f"{name}: {value}" for name, value in headers.items())]
        return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


HANG_UP: Final = Reply(0)


@dataclass(frozen=True)
class Seen:
    """One call as it came."""

    at: float
    body: dict[str, Any]
    head: str


@dataclass
class Upstream:
    """`script` gives the reply to each call by its body. Checks (GET) are answered well."""

    script: Callable[[dict[str, Any]], Reply]
    calls: list[Seen] = field(default_factory=list)
    url: str = ""

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
                sizes = [
                    line.split(":")[1] for line in head.lower().split("\r\n") if line.startswith("content-length:")
                ]
                body = await reader.readexactly(int(sizes[0]) if sizes else 0)
                reply = Reply(200, {"data": []})
                if not head.startswith("GET"):
                    self.calls.append(Seen(time.monotonic(), orjson.loads(body), head))
                    reply = self.script(self.calls[-1].body)
                await asyncio.sleep(reply.after_s)
                if reply is HANG_UP:
                    return
                writer.write(reply.encode())
                await writer.drain()
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()


@asynccontextmanager
async def upstream(script: Callable[[dict[str, Any]], Reply] | Reply) -> AsyncIterator[Upstream]:
    """A server on a free port of loopback; it ends with the context."""
    found = Upstream(script if callable(script) else lambda _: script)
    server = await asyncio.start_server(found.serve, "127.0.0.1", 0, limit=1 << 22)
    host, port = server.sockets[0].getsockname()
    found.url = f"http://{host}:{port}/v1"
    try:
        yield found
    finally:
        server.close()


def completion(content: str | None = "well", **more: Any) -> dict[str, Any]:
    """A chat completion in the OpenAI format."""
    choice = {"index": 0, "message": {"role": "assistant", "content": content}, "finish_reason": "stop"}
    usage = {"prompt_tokens": 5, "completion_tokens": 2, "total_tokens": 7}
    return {
        "id": "chat-1",
        "object": "chat.completion",
        "created": 1,
        "model": "m",
        "choices": [choice],
        "usage": usage,
    } | more
