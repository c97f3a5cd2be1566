"""HTTP requests that mean harm: what a fuzzer, a scanner and a broken client send to a front."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import Callable

from streams.front.ids import Where, new_id

_IDS = [
    new_id("resp_", Where(lane, since_ms), bytes(8))
    for lane in (0, 15, 16, 65_535)
    for since_ms in (0, 1_700_000_000_000, 2**48 - 1)
]
"""Of no request, but of the form that fronts give: any lane, any time."""
_PATHS = (
    "/v1/messages/count_tokens",
    "/v1/responses",
    *(f"/v1/responses/{each}" for each in _IDS),
    *(f"/v1/requests/{each}" for each in _IDS),
    *(f"/v1/requests/{each}/stream?starting_after=0.0.0" for each in _IDS[:3]),
    *(f"/v1/responses/{each}?stream=true&starting_after=7" for each in _IDS[:3]),
    "/v1/requests/chatcmpl-%ff%00/cancel",
    "/openapi.json",
    "/metrics",
    "/v1/chat/completions",
    "/v1/embeddings",
    "/v1/models",
    "/v1/models/%ff",
    "/v1/requests/x",
    "/v1/messages",
    "/",
    "/%00",
)
_HEADERS = (
    "x-headrace-class: \xff",
    "x-headrace-agent: " + "a" * 300,
    "x-headrace-timeout: nan",
    "x-headrace-timeout: 1e400",
    "x-headrace-cache: \t",
    "prefer: wait=99999999999",
    "content-encoding: gzip",
    "content-encoding: br",
    "content-type: multipart/form-data",
    "content-type: text/plain; charset=utf-7",
    "expect: 100-continue",
    "expect: 200-ok",
    "upgrade: websocket",
    "connection: upgrade",
    "authorization: Bearer " + "x" * 4000,
    "range: bytes=0-",
    "if-modified-since: never",
    "cookie: " + "a=b;" * 500,
    "x-forwarded-for: 127.0.0.1",
    "transfer-encoding: chunked",
)
_BODIES = (
    b"",
    b"{",
    b"null",
    b"\xff\xfe{}",
    b'{"model": "\xff"}',
    b'{"model": "\\ud800", "messages": [{}]}',
    b"[" * 50_000,
    b'{"a":' * 20_000,
    b'{"model": "small", "messages": ' + b"[" * 3000 + b"]" * 3000 + b"}",
    b'{"model": "small", "messages": [{"role": "user", "content": 1e999}]}',
    b'{"model": "small", "messages": [{}], "n": ' + b"9" * 5000 + b"}",
    b'{"model": "small", "messages": {}, "messages": []}',
    b'{"model": "small", "messages": [], "service_tier": []}',
    b'{"model": ["small"], "messages": [{}], "user": {"a": 1}}',
    b'{"model": "' + b"m" * 1000 + b'", "messages": [{}]}',
    b'{"model": "small", "input": []}',
    b'{"model": "small", "input": [{"role": "user", "content": [{"type": "input_image", "image_url": 1}]}]}',
    b'{"model": "small", "max_tokens": 1, "messages": [{"role": "user", "content": [{"type": "tool_result"}]}]}',
    b'{"model": "small", "max_tokens": 1, "messages": [[]], "tools": {}, "system": 1, "thinking": []}',
    b'{"model": "small", "input": "x", "tools": [1], "text": 1, "reasoning": [], "background": "yes"}',
    b"\x00" * 1000,
    b"x" * 200_000,
    b'{"model": "small", "messages": [' + b",".join([b"[" * 190 + b"]" * 190] * 500) + b"]}",
)


def hostile_request(pick: random.Random) -> bytes:
    """One request; most are HTTP of a kind, many are none."""
    method = pick.choice(
        ("GET", "POST", "POST", "POST", "PUT", "DELETE", "OPTIONS", "HEAD", "TRACE", "CONNECT", "PATCH", "G\xffT")
    )
    target = pick.choice(_PATHS)
    if pick.random() < 0.1:
        target = pick.choice(
            ("http://evil.example" + target, "*", "//evil.example/", target + "?" + "q" * 20_000, target * 500)
        )
    body = pick.choice(_BODIES)
    if pick.random() < 0.3:
        body = bytes(pick.randrange(256) for _ in range(pick.randrange(200)))
    lines = [
        f"{method} {target} HTTP/{pick.choice(('1.1', '1.1', '1.1', '1.0', '2.0', '0.9', 'x'))}",
        "host: 127.0.0.1",
    ]
    lines += pick.sample(_HEADERS, pick.randrange(4))
    if pick.random() < 0.8:
        lines.append("connection: close")
    lines.append(f"content-length: {pick.choice((len(body), len(body), len(body), len(body) + 1, -1, 10**30))}")
    if pick.random() < 0.05:
        lines += ["x: y"] * 500
    head = "\r\n".join(lines).encode("latin-1") + b"\r\n\r\n"
    if pick.random() < 0.05:
        head = bytes(pick.choice((byte, byte, byte, pick.randrange(256))) for byte in head)
    return head + body


async def attack(host: str, port: int, count: int, *, seed: int = 1, at_once: int = 20) -> Counter[str]:
    """Send so many, a few to a connection; how often which status came, `closed` where none did."""
    statuses: Counter[str] = Counter()
    left = iter(range(count))

    async def one(number: int) -> None:
        pick = random.Random(seed * 1_000_003 + number)
        for _ in left:
            many = pick.choice((1, 1, 1, 3))
            said = await exchange(host, port, b"".join(hostile_request(pick) for _ in range(many)), pick)
            for _ in range(many - 1):
                next(left, None)
            statuses.update(_statuses(said) or ["closed"])

    await asyncio.gather(*(one(number) for number in range(at_once)))
    return statuses


async def exchange(host: str, port: int, sent: bytes, pick: random.Random) -> bytes:
    """Send it, at times in two pieces, at times cut off; what came within a second."""
    try:
        reader, writer = await asyncio.open_connection(host, port)
    except OSError:
        return b""
    said = bytearray()
    try:
        cut = pick.randrange(len(sent) + 1)
        for piece in (sent[:cut], sent[cut:]) if pick.random() < 0.3 else (sent,):
            writer.write(piece)
            await writer.drain()
        if pick.random() < 0.2:
            writer.write_eof()
        async with asyncio.timeout(1.0):
            while piece := await reader.read(65_536):
                said += piece
    except (OSError, TimeoutError):
        pass
    finally:
        writer.transport.abort()
    return bytes(said)


def _statuses(said: bytes) -> list[str]:
    return [part[2:5].decode("latin-1") for part in said.split(b"HTTP/1.")[1:] if part[1:2] == b" "]


async def leave_open(host: str, port: int, count: int, first: Callable[[int], bytes]) -> list[asyncio.StreamWriter]:
    """Open connections, say `first` on each, and leave them."""
    left = []
    for number in range(count):
        try:
            _, writer = await asyncio.open_connection(host, port)
        except OSError:
            continue
        writer.write(first(number))
        left.append(writer)
    return left
