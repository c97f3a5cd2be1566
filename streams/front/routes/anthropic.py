"""What the Anthropic SDKs call: messages, and an estimate of their tokens."""

from __future__ import annotations

from typing import Final

import orjson
from aiohttp import web

from streams.front.anthropic.answer import message_of
from streams.front.anthropic.request import chat_payload
from streams.front.anthropic.stream import MessageStream
from streams.front.inbound import Inbound, json_object, read_inbound
from streams.front.routes.asking import Accepted, Asking
from streams.front.routes.replies import accepted, failed, json_reply, lower_headers, told
from streams.front.stream import write_events
from streams.limits.token_estimate import TokenEstimator
from streams.metrics import definitions as metrics

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
        if inbound.streams and not inbound.preference.respond_async:
            return await self._stream(request, inbound)
        answer = await self._asking.ask(inbound)
        if isinstance(answer, Accepted):
            return accepted(answer.request_id)
        return json_reply(message_of(answer.payload, answer.request_id), headers=answer.headers)

    async def _stream(self, request: web.Request, inbound: Inbound) -> web.StreamResponse:
        async with await self._asking.exchange(inbound) as exchange:
            request_id = exchange.request_id
            stream, ended = await write_events(
                request,
                exchange,
                MessageStream(request_id),
                {"x-headrace-id": request_id, "x-headrace-class": inbound.priority},
                on_failure=lambda response: failed(request, response, told(request_id, inbound, response)),
            )
        metrics.FRONT_REQUESTS.labels(inbound.operation, ended).inc()
        return stream

    async def count_tokens(self, request: web.Request) -> web.Response:
        """An estimate of this product's own, rather too high than too low: the model's own count is the provider's secret."""
        payload = chat_payload(json_object(await request.read()), counts=True)
        estimate = self._estimator.estimate("chat.completions", payload)
        return json_reply({"input_tokens": estimate.input}, headers={"x-headrace-count": "estimate"})
