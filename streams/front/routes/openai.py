"""What the OpenAI SDKs call: chat completions, embeddings, models."""

from __future__ import annotations

from collections.abc import Collection
from datetime import UTC, datetime
from typing import Any

import orjson
from aiohttp import web

from schemas.request import Operation
from streams.front.access import models_for_caller
from streams.front.inbound import Inbound, read_inbound
from streams.front.problems import ProblemError, invalid
from streams.front.routes.asking import Accepted, Asking
from streams.front.routes.replies import JSON, accepted, failed, json_reply, lower_headers, speaks_anthropic, told
from streams.front.stream import write_stream
from streams.metrics import definitions as metrics


class OpenAIRoutes:
    """`models`: names that /v1/models lists, served since `started_at` (Unix time in seconds)."""

    def __init__(self, asking: Asking, models: Collection[str], started_at: int) -> None:
        self._asking = asking
        self._models = models
        self._started_at = started_at

    def table(self) -> list[web.RouteDef]:
        return [
            web.post("/v1/chat/completions", self.chat),
            web.post("/v1/embeddings", self.embeddings),
            web.get("/v1/models", self.list_models),
            web.get("/v1/models/{model:.+}", self.one_model),
        ]

    async def chat(self, request: web.Request) -> web.StreamResponse:
        return await self._ask(request, "chat.completions")

    async def embeddings(self, request: web.Request) -> web.StreamResponse:
        return await self._ask(request, "embeddings")

    async def list_models(self, request: web.Request) -> web.Response:
        if speaks_anthropic(request):
            models = [self._anthropic_model(name) for name in models_for_caller(self._models)]
            ends = (
                {"first_id": models[0]["id"], "last_id": models[-1]["id"]}
                if models
                else {"first_id": None, "last_id": None}
            )
            return json_reply({"data": models, "has_more": False, **ends})
        return json_reply({"object": "list", "data": [self._model(name) for name in models_for_caller(self._models)]})

    async def one_model(self, request: web.Request) -> web.Response:
        name = request.match_info["model"]
        if name not in models_for_caller(self._models):
            raise ProblemError(invalid(f"there is no model {name[:100]!r}", code="model_not_found", status=404))
        return json_reply(self._anthropic_model(name) if speaks_anthropic(request) else self._model(name))

    async def _ask(self, request: web.Request, operation: Operation) -> web.StreamResponse:
        inbound = read_inbound(operation, lower_headers(request), await request.read())
        if inbound.streams and not inbound.preference.respond_async:
            return await self._stream(request, inbound)
        answer = await self._asking.ask(inbound)
        if isinstance(answer, Accepted):
            return accepted(answer.request_id)
        return web.Response(body=orjson.dumps(answer.payload), content_type=JSON, headers=answer.headers)

    async def _stream(self, request: web.Request, inbound: Inbound) -> web.StreamResponse:
        async with await self._asking.exchange(inbound) as exchange:
            request_id = exchange.request_id
            stream, ended = await write_stream(
                request,
                exchange,
                request_id,
                {"x-headrace-id": request_id, "x-headrace-class": inbound.priority},
                tells_usage=inbound.tells_usage,
                on_failure=lambda response: failed(request, response, told(request_id, inbound, response)),
            )
        metrics.FRONT_REQUESTS.labels(inbound.operation, ended).inc()
        return stream

    def _model(self, name: str) -> dict[str, Any]:
        return {"id": name, "object": "model", "created": self._started_at, "owned_by": "headrace"}

    def _anthropic_model(self, name: str) -> dict[str, Any]:
        created = datetime.fromtimestamp(self._started_at, UTC).isoformat().replace("+00:00", "Z")
        return {"type": "model", "id": name, "display_name": name, "created_at": created}
