"""The routes of a front: what the OpenAI SDKs call, and what says where a request is."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from typing import Any, Final

import orjson
import structlog
from aiohttp import web
from pydantic import ValidationError

from schemas.request import Operation
from schemas.response import Response
from streams.front.access import models_for_caller
from streams.front.chunks import completion_chunks
from streams.front.front import Front
from streams.front.ids import read_id
from streams.front.inbound import Inbound, read_inbound
from streams.front.openapi import document
from streams.front.problems import Problem, ProblemError, invalid, of_answer, unavailable
from streams.metrics import definitions as metrics

log = structlog.get_logger("headrace.front")

_JSON: Final = "application/json"
_STREAM_HEADERS: Final = {"content-type": "text/event-stream", "cache-control": "no-cache", "x-accel-buffering": "no"}
"""The last one switches off the buffering of nginx and of what is built on it."""

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


def front_app(
    front: Front,
    models: Collection[str],
    *,
    most_wait_s: float,
    max_body_bytes: int,
    middlewares: Sequence[Any] = (),
) -> web.Application:
    """The application. `models`: what /v1/models lists. A client waits for at most `most_wait_s`. `middlewares`: the
    first is the outermost.
    """
    routes = _Routes(front, models, most_wait_s, int(time.time()))
    app = web.Application(
        client_max_size=max_body_bytes,
        middlewares=[*middlewares, _problems],
    )
    app.add_routes(
        [
            web.post("/v1/chat/completions", routes.chat),
            web.post("/v1/embeddings", routes.embeddings),
            web.get("/v1/models", routes.list_models),
            web.get("/v1/models/{model:.+}", routes.one_model),
            web.get("/v1/requests/{id}", routes.one_request),
            web.get("/openapi.json", routes.openapi),
        ]
    )
    return app


@web.middleware
async def _problems(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Whatever goes wrong is an error object with a true status; a fault of ours is logged, and told without its inside."""
    try:
        return await handler(request)
    except ProblemError as error:
        problem = error.problem
    except web.HTTPRequestEntityTooLarge as error:
        problem = invalid(f"the body is larger than a request may be: {error.text}", code="too_large", status=413)
    except web.HTTPException as error:
        if error.status < 400:
            raise
        problem = Problem(error.status, "invalid_request_error", "http", error.reason)
    except (ConnectionError, asyncio.CancelledError):
        raise
    except Exception:
        log.exception("a request failed in the front", path=request.path)
        problem = Problem(500, "server_error", "internal", "a fault of the front's own", retryable=True)
    return _refusal(problem)


def _refusal(problem: Problem, **headers: str) -> web.Response:
    return web.Response(
        body=problem.body(), status=problem.status, content_type=_JSON, headers={**problem.headers(), **headers}
    )


class _Routes:
    def __init__(self, front: Front, models: Collection[str], most_wait_s: float, started_at: int) -> None:
        self._front = front
        self._models = models
        self._most_wait_s = most_wait_s
        self._started_at = started_at

    async def chat(self, request: web.Request) -> web.StreamResponse:
        return await self._ask(request, "chat.completions")

    async def embeddings(self, request: web.Request) -> web.StreamResponse:
        return await self._ask(request, "embeddings")

    async def list_models(self, _: web.Request) -> web.Response:
        return _json({"object": "list", "data": [self._model(name) for name in models_for_caller(self._models)]})

    async def one_model(self, request: web.Request) -> web.Response:
        name = request.match_info["model"]
        if name not in models_for_caller(self._models):
            raise ProblemError(invalid(f"there is no model {name[:100]!r}", code="model_not_found", status=404))
        return _json(self._model(name))

    async def openapi(self, _: web.Request) -> web.Response:
        return _json(document())

    async def one_request(self, request: web.Request) -> web.Response:
        """Where a request is: `waiting`, as far as this front knows it, or how it ended, from the log."""
        request_id = request.match_info["id"]
        if request_id in self._front.waiting:
            return _json({"id": request_id, "object": "request", "state": "waiting"})
        if read_id(request_id) is None:
            raise ProblemError(invalid("no front gives such ids", code="request_not_found", status=404))
        answer = await self._front.find(request_id)
        if answer is None:
            return _json({"id": request_id, "object": "request", "state": "unknown"}, 404)
        return _json(
            {"id": request_id, "object": "request", "state": answer.status, "response": answer.model_dump(mode="json")}
        )

    async def _ask(self, request: web.Request, operation: Operation) -> web.StreamResponse:
        inbound = read_inbound(
            operation, {name.lower(): value for name, value in request.headers.items()}, await request.read()
        )
        request_id, answer = await self._front.publish(inbound)
        try:
            if inbound.preference.respond_async:
                return _accepted(request_id)
            wait_s = self._most_wait_s
            if inbound.preference.wait_s is not None:
                wait_s = min(wait_s, inbound.preference.wait_s)
            try:
                value = await asyncio.wait_for(answer, wait_s)
            except TimeoutError:
                return _still_waits(request_id, inbound, wait_s)
        finally:
            self._front.forget(request_id)
        return await self._answer(request, inbound, request_id, value)

    async def _answer(
        self, request: web.Request, inbound: Inbound, request_id: str, value: bytes
    ) -> web.StreamResponse:
        try:
            response = Response.model_validate_json(value)
        except ValidationError as error:
            raise ProblemError(Problem(502, "server_error", "internal", "the fleet's answer cannot be read")) from error
        metrics.FRONT_REQUESTS.labels(inbound.operation, response.status).inc()
        headers = _told(request_id, inbound, response)
        if response.error is not None or response.payload is None:
            problem = of_answer(response.error) if response.error else unavailable("no answer", code="internal")
            return _refusal(problem, **headers)
        if not inbound.streams:
            return web.Response(body=orjson.dumps(response.payload), content_type=_JSON, headers=headers)
        stream = web.StreamResponse(headers={**_STREAM_HEADERS, **headers})
        await stream.prepare(request)
        for chunk in completion_chunks(response.payload, tells_usage=inbound.tells_usage):
            await stream.write(chunk)
        await stream.write_eof()
        return stream

    def _model(self, name: str) -> dict[str, Any]:
        return {"id": name, "object": "model", "created": self._started_at, "owned_by": "headrace"}


def _told(request_id: str, inbound: Inbound, response: Response) -> dict[str, str]:
    """What became of the request, beside its answer."""
    return {
        "x-headrace-id": request_id,
        "x-headrace-class": inbound.priority,
        "x-headrace-queue-ms": f"{response.timing.queue_ms:.0f}",
        "x-headrace-provider": response.provider or "",
        "x-headrace-cache": response.cache,
        "x-headrace-attempts": str(response.attempts),
    }


def _accepted(request_id: str) -> web.Response:
    return _json(
        {"id": request_id, "object": "request", "state": "waiting"},
        202,
        {"x-headrace-id": request_id, "location": f"/v1/requests/{request_id}", "preference-applied": "respond-async"},
    )


def _still_waits(request_id: str, inbound: Inbound, wait_s: float) -> web.Response:
    """The client has waited enough: it gets the id, and its request goes on."""
    if inbound.preference.wait_s is not None:
        return _accepted(request_id)
    message = f"no answer in {wait_s:.0f} s; the request goes on: GET /v1/requests/{request_id} has its answer when it is there"
    problem = Problem(504, "server_error", "still_waiting", message)
    return _refusal(problem, **{"x-headrace-id": request_id})


def _json(value: Any, status: int = 200, headers: Mapping[str, str] | None = None) -> web.Response:
    return web.Response(body=orjson.dumps(value), status=status, content_type=_JSON, headers=headers)
