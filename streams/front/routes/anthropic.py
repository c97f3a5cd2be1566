"""What the Anthropic SDKs call: messages, and an estimate of their tokens."""

from __future__ import annotations

from typing import Final

import orjson
from aiohttp import web

from streams.front.anthropic.answer import message_of
from streams.front.anthropic.events import MessageEvents, event_bytes
from streams.front.anthropic.request import chat_payload
from streams.front.chunks import chunk_objects
from streams.front.inbound import json_object, read_inbound
from streams.front.routes.asking import Accepted, Asking
from streams.front.routes.replies import STREAM_HEADERS, accepted, json_reply, lower_headers
from streams.limits.token_estimate import TokenEstimator

_PREFIX: Final = "msg_"


class AnthropicRoutes:
    """`estimator`: tokens before a call, as the fleet's own limits guess them."""

    def __init__(self, asking: Asking, estimator: TokenEstimator) -> None:
        self._asking = asking
        self._estimator = estimator

    def table(self) -> list[web.RouteDef]:
        return [
            web.post("/v1/messages", self.create),
            web.post("/v1/messages/count_tokens", self.count_tokens),
        ]

    async def create(self, request: web.Request) -> web.StreamResponse:
        payload = chat_payload(json_object(await request.read()))
        inbound = read_inbound("chat.completions", lower_headers(request), orjson.dumps(payload), id_prefix=_PREFIX)
        answer = await self._asking.ask(inbound)
        if isinstance(answer, Accepted):
            return accepted(answer.request_id)
        if not inbound.streams:
            return json_reply(message_of(answer.payload, answer.request_id), headers=answer.headers)
        stream = web.StreamResponse(headers={**STREAM_HEADERS, **answer.headers})
        await stream.prepare(request)
        events = MessageEvents(answer.request_id)
        for chunk in chunk_objects(answer.payload, tells_usage=True):
            for event in events.take(chunk):
                await stream.write(event_bytes(event))
        for event in events.end():
            await stream.write(event_bytes(event))
        await stream.write_eof()
        return stream

    async def count_tokens(self, request: web.Request) -> web.Response:
        """An estimate of this product's own, rather too high than too low: the model's own count is the provider's secret."""
        payload = chat_payload(json_object(await request.read()), counts=True)
        estimate = self._estimator.estimate("chat.completions", payload)
        return json_reply({"input_tokens": estimate.input}, headers={"x-headrace-count": "estimate"})
