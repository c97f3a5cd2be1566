"""The front's HTTP application: the routes of every API, and what holds for all of them."""

from __future__ import annotations

import time
from collections.abc import Collection, Sequence
from typing import Any

from aiohttp import web

from streams.front.front import Front
from streams.front.openapi import document
from streams.front.routes.anthropic import AnthropicRoutes
from streams.front.routes.asking import Asking
from streams.front.routes.cancels import CancelRoutes
from streams.front.routes.faults import problems
from streams.front.routes.openai import OpenAIRoutes
from streams.front.routes.replies import json_reply, tell_request_id
from streams.front.routes.requests import RequestRoutes
from streams.front.routes.responses import ResponsesRoutes
from streams.front.tracing import tracing_middleware
from streams.limits.token_estimate import TokenEstimator


def front_app(
    front: Front,
    models: Collection[str],
    *,
    most_wait_s: float,
    max_body_bytes: int,
    estimator: TokenEstimator,
    middlewares: Sequence[Any] = (),
) -> web.Application:
    """The application. `models`: what /v1/models lists. A client waits for at most `most_wait_s`. `middlewares`: the
    first is the outermost.
    """
    asking = Asking(front, most_wait_s)
    app = web.Application(
        client_max_size=max_body_bytes,
        middlewares=[*middlewares, tracing_middleware(lambda: front.tracing), front.cancelling.middleware(), problems],
    )
    app.on_response_prepare.append(tell_request_id)
    app.add_routes(OpenAIRoutes(asking, models, int(time.time())).table())
    app.add_routes(AnthropicRoutes(asking, estimator).table())
    app.add_routes(ResponsesRoutes(front, asking).table())
    app.add_routes(RequestRoutes(front).table())
    app.add_routes(CancelRoutes(front).table())
    app.add_routes([web.get("/openapi.json", _openapi)])
    return app


async def _openapi(_: web.Request) -> web.Response:
    return json_reply(document())
