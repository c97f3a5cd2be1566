"""The simulator's HTTP side: routes, the way of one call, start and stop."""

import asyncio
import random
import socket
import struct
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import orjson
from aiohttp import web

from ops.provider_sim import answers
from ops.provider_sim.behaviour import Plan, plan_call
from ops.provider_sim.ledger import Ledger
from ops.provider_sim.settings import Hint, SimSettings

_MAX_BODY_BYTES = 16 * 1024 * 1024
_HANG_S = 3600.0  # longer than any caller's patience, so that a hung call ends by its caller's hand
_BACKLOG = 1024
_STATUS_CLIENT_GONE = 499

Answer = Callable[[], dict[str, Any]]


class ProviderSim:
    """A simulator for the time of an `async with` block; `url` is its base, with `/v1`, once it listens.

    Args:
        settings: latency model and faults at the start, and again after `POST /admin/reset`.
        host: to listen on; loopback unless told otherwise.
        port: 0 chooses a free one.
        ledger: file to append every call to, see `Ledger`.

    Raises:
        OSError: (at entering) the port is taken, or the ledger cannot be written.
    """

    def __init__(
        self, settings: SimSettings | None = None, *, host: str = "127.0.0.1", port: int = 0, ledger: Path | None = None
    ) -> None:
        self._at_start = self.settings = settings or SimSettings()
        self._rng = random.Random(self.settings.seed)
        self._host, self._port, self._ledger_path = host, port, ledger
        self.url = ""

    async def __aenter__(self) -> Self:
        self.ledger = Ledger(self._ledger_path)
        app = web.Application(client_max_size=_MAX_BODY_BYTES)
        app.add_routes(
            [
                web.post("/v1/chat/completions", self._chat),
                web.post("/v1/embeddings", self._embeddings),
                web.get("/v1/models", self._models),
                web.get("/healthz", self._health),
                web.get("/admin/stats", self._stats),
                web.get("/admin/config", self._get_config),
                web.post("/admin/config", self._set_config),
                web.post("/admin/reset", self._reset),
            ]
        )
        # A call whose caller went away is cancelled: its end belongs in the ledger, and its sleep need not go on.
        self._runner = web.AppRunner(app, access_log=None, handler_cancellation=True, shutdown_timeout=0.5)
        await self._runner.setup()
        try:
            await web.TCPSite(self._runner, self._host, self._port, backlog=_BACKLOG).start()
        except OSError:
            await self._close()
            raise
        host, port, *_ = self._runner.addresses[0]
        self.url = f"http://[{host}]:{port}/v1" if ":" in host else f"http://{host}:{port}/v1"
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._close()

    async def _close(self) -> None:
        await self._runner.cleanup()
        self.ledger.close()

    async def _chat(self, request: web.Request) -> web.StreamResponse:
        def prepare(body: dict[str, Any], hint: Hint) -> tuple[int, Answer]:
            tokens = answers.chat_tokens(body, hint)
            least = self.settings.answer_bytes if hint.answer_bytes is None else hint.answer_bytes
            return tokens.completion, lambda: answers.chat_answer(body, tokens, least)

        return await self._call(request, "chat.completions", prepare)

    async def _embeddings(self, request: web.Request) -> web.StreamResponse:
        def prepare(body: dict[str, Any], hint: Hint) -> tuple[int, Answer]:
            answer = answers.embeddings_answer(body, hint)
            return 0, lambda: answer

        return await self._call(request, "embeddings", prepare)

    async def _call(
        self, request: web.Request, operation: str, prepare: Callable[[dict[str, Any], Hint], tuple[int, Answer]]
    ) -> web.StreamResponse:
        raw = await request.read()
        try:
            body, hint = answers.parse_body(raw)
            completion_tokens, answer = prepare(body, hint)
        except answers.BadRequestError as error:
            refused = self.ledger.arrive(None, operation)
            self.ledger.end(refused, "bad_request", 400)
            return _json(answers.error_answer(400, str(error)), 400)
        user = body.get("user")
        request_id = hint.id if hint.id is not None else user if isinstance(user, str) else None
        plan = plan_call(
            self.settings,
            hint,
            completion_tokens=completion_tokens,
            earlier_calls=self.ledger.earlier_calls(request_id),
            rng=self._rng,
        )
        call = self.ledger.arrive(request_id, operation)
        try:
            await asyncio.sleep(plan.delay_s)
            if plan.outcome == "hang":
                await asyncio.sleep(_HANG_S)
            response = await _respond(request, plan, answer)
        except (asyncio.CancelledError, ConnectionError):
            self.ledger.end(call, "hang" if plan.outcome == "hang" else "abandoned", _STATUS_CLIENT_GONE)
            raise
        self.ledger.end(call, plan.outcome, plan.status)
        return response

    async def _models(self, request: web.Request) -> web.Response:
        return _json(answers.models_answer())

    async def _health(self, request: web.Request) -> web.Response:
        return _json({"status": "ok"})

    async def _stats(self, request: web.Request) -> web.Response:
        return _json(self.ledger.stats())

    async def _get_config(self, request: web.Request) -> web.Response:
        return _json(self.settings.model_dump())

    async def _set_config(self, request: web.Request) -> web.Response:
        """Change the named settings and leave the others."""
        try:
            changed = SimSettings.model_validate(self.settings.model_dump() | orjson.loads(await request.read()))
        except (ValueError, TypeError) as error:
            return _json(answers.error_answer(400, str(error)), 400)
        if changed.seed != self.settings.seed:
            self._rng = random.Random(changed.seed)
        self.settings = changed
        return _json(changed.model_dump())

    async def _reset(self, request: web.Request) -> web.Response:
        self.settings = self._at_start
        self._rng = random.Random(self.settings.seed)
        self.ledger.reset()
        return _json(self.settings.model_dump())


def _json(value: Any, status: int = 200, headers: dict[str, str] | None = None) -> web.Response:
    return web.Response(body=orjson.dumps(value), status=status, headers=headers, content_type="application/json")


async def _respond(request: web.Request, plan: Plan, answer: Answer) -> web.StreamResponse:
    if plan.outcome == "reset":
        return _reset_connection(request)
    if plan.outcome == "invalid_json":
        return web.Response(body=b'{"choices": [{"message": ', content_type="application/json")
    if plan.outcome == "truncated":
        return await _truncate(request, orjson.dumps(answer()))
    if plan.status >= 300:
        headers = {"Retry-After": f"{plan.retry_after_s:g}"} if plan.outcome == "rate_limited" else None
        return _json(answers.error_answer(plan.status, f"simulated {plan.status}"), plan.status, headers)
    return _json(answer(), plan.status)


def _reset_connection(request: web.Request) -> web.Response:
    """End the connection with a TCP reset: closing a socket that lingers for 0 s sends RST in place of FIN."""
    if request.transport is not None:
        connection = request.transport.get_extra_info("socket")
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        request.transport.abort()
    return web.Response()  # goes nowhere; aiohttp wants one


async def _truncate(request: web.Request, body: bytes) -> web.StreamResponse:
    """Promise all of the body in Content-Length, send half of it, and close."""
    response = web.StreamResponse(headers={"Content-Type": "application/json", "Content-Length": str(len(body))})
    await response.prepare(request)
    await response.write(body[: len(body) // 2])
    if request.transport is not None:
        request.transport.close()
    return response
