"""Calls of responses in the background: begin one, take it up again, fetch it, cancel it.

POST /v1/responses {"background": true, "stream": true}
GET /v1/responses/{id}[?stream=true[&starting_after=N]]
POST /v1/responses/{id}/cancel
"""

from __future__ import annotations

import re
import time
from collections.abc import Mapping
from typing import Final

import orjson

from ops.provider_sim import answers
from ops.provider_sim.background import Background, Backgrounds
from ops.provider_sim.behaviour import Plan
from ops.provider_sim.events import STREAM_TYPE
from ops.provider_sim.reply import JSON, Reply, hang

_ONE: Final = re.compile(r"/v1/responses/([\w-]{1,100})(/cancel)?")
_STREAM: Final = {"content-type": STREAM_TYPE, "cache-control": "no-cache"}


class BackgroundCalls:
    """Of one simulator."""

    def __init__(self) -> None:
        self.kept = Backgrounds()

    async def begin(self, to: Reply, plan: Plan, background: Background, *, stream: bool) -> None:
        """Begin one, which goes on whatever becomes of its reader. Where the plan breaks it off, half of it is told."""
        self.kept.put(background)
        if not stream:
            return await to.send(200, JSON, orjson.dumps(background.state(time.monotonic())))
        await to.begin(200, _STREAM, None)
        breaks = plan.outcome in ("reset", "truncated", "stall", "invalid_json", "slow_drip")
        async for data in background.read(-1, len(background.events) // 2 if breaks else None):
            await to.write(data)
        if plan.outcome == "stall":
            await hang()
        return to.cut() if breaks else await to.end()

    async def handle(self, method: str, path: str, query: Mapping[str, str], to: Reply) -> bool:
        """Answer a call of one response; False where it is none."""
        found = _ONE.fullmatch(path)
        if found is None or method != ("POST" if found[2] else "GET"):
            return False
        background, now = self.kept.find(found[1]), time.monotonic()
        if background is None:
            await _refuse(to, 404, f"Response with id '{found[1]}' not found.")
        elif found[2]:
            await to.send(200, JSON, orjson.dumps(background.cancel(now)))
        elif query.get("stream") != "true":
            await to.send(200, JSON, orjson.dumps(background.state(now)))
        elif not background.streamable(now):
            await _refuse(to, 400, "This response can no longer be streamed because it is more than 5 minutes old")
        elif not (after := query.get("starting_after", "-1")).removeprefix("-").isdigit():
            await _refuse(to, 400, "starting_after must be a sequence number")
        else:
            background.counts.attached += 1
            await to.begin(200, _STREAM, None)
            async for data in background.read(int(after)):
                await to.write(data)
            await to.end()
        return True


async def _refuse(to: Reply, status: int, why: str) -> None:
    await to.send(status, JSON, orjson.dumps(answers.error_answer(status, why)))
