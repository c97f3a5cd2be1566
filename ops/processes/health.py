"""The small HTTP server of every process: /healthz, /readyz, /metrics. It listens on loopback unless settings say otherwise."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Mapping
from contextlib import asynccontextmanager
from hmac import compare_digest
from ipaddress import ip_address
from typing import Any

import orjson
from aiohttp import web
from prometheus_client import CONTENT_TYPE_LATEST, REGISTRY, generate_latest

from streams.hosts import is_asked_for_by_name
from streams.otel.labels import Renamed
from streams.otel.names import Semconv
from streams.supervise import ailing


@asynccontextmanager
async def serve_health(
    listen: str,
    ready: Callable[[], bool],
    documents: Mapping[str, Callable[[], Any]] | None = None,
    actions: Mapping[str, Callable[[Any], Any]] | None = None,
    questions: Mapping[str, Callable[[Any], Any]] | None = None,
    *,
    private: Mapping[str, Callable[[], Any]] | None = None,
    token: str | None = None,
    hosts: Collection[str] | None = None,
    semconv: Semconv = "new",
) -> AsyncIterator[str]:
    """Serve on `listen` (HOST:PORT, port 0 for any free one) while the block runs; gives the address that was bound.

    /healthz answers 200 as long as the event loop turns, /readyz 200 or 503 as `ready` says, and 503 while a loop
    that requests need begins again after a fault. `documents` are further paths,
    each with what makes its JSON now; None makes it a 503. `actions` are paths that take a POST of JSON and answer with JSON; a
    ValueError or KeyError of theirs is a 400. `questions` are asked alike and change nothing, so that whoever reaches the port
    may. Actions are for this machine, and for others that bring the `token` (Authorization:
    Bearer). Where `hosts` is given, documents and actions are asked for by an address, `localhost` or one of these: whoever
    else's name leads here, a page in a browser has been told so by its own DNS. `private` are documents that are so in any case.
    `semconv`: names of metrics.
    Raises OSError where the address is taken.
    """

    def document(
        make: Callable[[], Any], hosts: Collection[str] | None
    ) -> Callable[[web.Request], Awaitable[web.Response]]:
        async def answer(request: web.Request) -> web.Response:
            if hosts is not None and not is_asked_for_by_name(request.host, hosts):
                return _json({"error": "not by this Host: see http.hosts"}, 403)
            found = make()
            body = orjson.dumps(found if found is not None else {"error": "not known now"})
            return web.Response(body=body, status=503 if found is None else 200, content_type="application/json")

        return answer

    def action(act: Callable[[Any], Any], *, asks: bool = False) -> Callable[[web.Request], Awaitable[web.Response]]:
        async def answer(request: web.Request) -> web.Response:
            # A page in a browser can post text to this port, but not JSON, which it would have to ask for first.
            if request.content_type != "application/json" or "Origin" in request.headers:
                return _json({"error": "only by JSON, and from no page"}, 403)
            if hosts is not None and not is_asked_for_by_name(request.host, hosts):
                return _json({"error": "not by this Host: see http.hosts"}, 403)
            if not (asks or _from_here(request) or _has_token(request, token)):
                return _json({"error": "only from this machine, or with the token of http.token_env"}, 403)
            try:
                return _json(act(orjson.loads(await request.read())))
            except (ValueError, KeyError, TypeError) as error:
                return _json({"error": str(error)}, 400)

        return answer

    app = web.Application()
    app.add_routes(health_routes(ready, semconv))
    app.add_routes([web.get(path, document(make, hosts)) for path, make in (documents or {}).items()])
    app.add_routes([web.get(path, document(make, hosts or ())) for path, make in (private or {}).items()])
    app.add_routes([web.post(path, action(act)) for path, act in (actions or {}).items()])
    app.add_routes([web.post(path, action(ask, asks=True)) for path, ask in (questions or {}).items()])
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    try:
        host, _, port = listen.rpartition(":")
        site = web.TCPSite(runner, host.strip("[]"), int(port))
        await site.start()
        host, port, *_ = runner.addresses[0]
        yield f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
    finally:
        await runner.cleanup()


def health_routes(ready: Callable[[], bool], semconv: Semconv = "new") -> list[web.RouteDef]:
    """/healthz, /readyz and /metrics, for an application."""

    async def healthz(_: web.Request) -> web.Response:
        return web.Response(text="ok\n")

    async def readyz(_: web.Request) -> web.Response:
        if failing := ailing():
            return web.Response(text=f"not ready: {', '.join(failing)} failed and begins again\n", status=503)
        return web.Response(text="ready\n") if ready() else web.Response(text="not ready\n", status=503)

    async def metrics(_: web.Request) -> web.Response:
        body = generate_latest(Renamed(REGISTRY, semconv))
        return web.Response(body=body, headers={"content-type": CONTENT_TYPE_LATEST})

    return [web.get("/healthz", healthz), web.get("/readyz", readyz), web.get("/metrics", metrics)]


def _json(value: Any, status: int = 200) -> web.Response:
    return web.Response(body=orjson.dumps(value), status=status, content_type="application/json")


def _has_token(request: web.Request, token: str | None) -> bool:
    given = request.headers.get("Authorization", "").encode("utf-8", "surrogateescape")
    return token is not None and compare_digest(given, b"Bearer " + token.encode())


def _from_here(request: web.Request) -> bool:
    try:
        return ip_address(request.remote or "").is_loopback
    except ValueError:
        return False
