"""How an answer goes out, well or badly. What the HTTP server must be able to do for it is `Reply`."""

from __future__ import annotations

import asyncio
import time
import zlib
from collections.abc import Iterable, Mapping
from typing import Final, Protocol

from ops.provider_sim.behaviour import Plan

_HANG_S: Final = 3600.0  # longer than any caller's patience, so that a hung call ends by its caller's hand
_LEAST_SLEEP_S: Final = 0.002  # shorter ones cost more than they tell


class Reply(Protocol):
    """One exchange, seen from the server. Everything but `reset` and `cut` may raise ConnectionError: the caller went away."""

    async def send(self, status: int, headers: Mapping[str, str], body: bytes) -> None:
        """The whole answer at once."""

    async def begin(self, status: int, headers: Mapping[str, str], size: int | None) -> None:
        """The head of an answer of `size` bytes, or of unknown size."""

    async def write(self, chunk: bytes) -> None: ...

    async def end(self) -> None: ...

    def cut(self) -> None:
        """Close the connection behind what was written, as if the answer ended there."""

    def reset(self) -> None:
        """End the connection at once, with TCP RST where there is one connection a call."""


JSON: Final = {"content-type": "application/json"}


async def whole(reply: Reply, plan: Plan, headers: Mapping[str, str], body: bytes, drip_s: float) -> None:
    """An answer that is not streamed; its time has passed."""
    if plan.outcome == "reset":
        reply.reset()
    elif plan.outcome == "invalid_json":
        await reply.send(200, headers, b'{"choices": [{"message": ')
    elif plan.outcome in ("truncated", "stall"):
        await reply.begin(200, headers, len(body))
        await reply.write(body[: len(body) // 2])
        await _break(reply, plan.outcome)
    elif plan.outcome == "slow_drip":
        await reply.begin(200, headers, len(body))
        await drip(reply, body, drip_s)
    else:
        await reply.send(plan.status, headers, body)


async def streamed(
    reply: Reply, plan: Plan, headers: Mapping[str, str], events: Iterable[bytes], drip_s: float
) -> None:
    """Server-sent events: the first one now, the others over the plan's time. A broken one ends half-way."""
    chunks = list(events)
    if plan.outcome == "reset":
        return reply.reset()
    if plan.outcome == "invalid_json":
        chunks[len(chunks) // 2] = b'data: {"choices": [{"delta": \n\n'
    await reply.begin(200, headers, None)
    if plan.outcome == "slow_drip":
        return await drip(reply, b"".join(chunks), drip_s)
    breaks = plan.outcome in ("truncated", "stall")
    if breaks:
        chunks = chunks[: len(chunks) // 2]
    began, waiting = time.monotonic(), bytearray()
    for number, chunk in enumerate(chunks):
        due_s = began + plan.rest_s * number / len(chunks) - time.monotonic()
        if due_s > _LEAST_SLEEP_S:
            if waiting:
                await reply.write(bytes(waiting))
                waiting.clear()
            await asyncio.sleep(due_s)
        waiting += chunk
    await reply.write(bytes(waiting))
    return await _break(reply, plan.outcome) if breaks else await reply.end()


async def drip(reply: Reply, body: bytes, drip_s: float) -> None:
    """A byte at a time."""
    for byte in body:
        await reply.write(bytes((byte,)))
        await asyncio.sleep(drip_s)
    await reply.end()


async def hang() -> None:
    await asyncio.sleep(_HANG_S)


async def _break(reply: Reply, outcome: str) -> None:
    if outcome == "stall":
        await hang()
    reply.cut()


def packed(body: bytes) -> bytes:
    """Compressed as gzip does it."""
    press = zlib.compressobj(wbits=31)
    return press.compress(body) + press.flush()


def unpacked(body: bytes) -> bytes:
    """ValueError where it is no gzip."""
    try:
        return zlib.decompressobj(wbits=31).decompress(body)
    except zlib.error as error:
        raise ValueError(f"the body is no gzip: {error}") from error
