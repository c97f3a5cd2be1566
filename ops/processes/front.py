"""The process around a front: checks before the start, signals, the end in which whoever waits still gets an answer."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from ipaddress import ip_address
from typing import Final

import structlog
from aiohttp import web

from ops.processes.health import serve_health
from ops.processes.service import CannotStartError, Stop, check_start, unless
from streams.front.front import Front
from streams.front.server import front_app
from streams.limits.token_estimate import TokenEstimator
from streams.metrics import definitions as metrics
from streams.settings import Settings
from streams.unhandled import Unhandled
from topics.access import READ, WRITE

log = structlog.get_logger("headrace.front")

_LAST_ANSWERS_S: Final = 30.0


async def run_front(settings: Settings) -> None:
    """Run until SIGTERM or SIGINT; then take nothing new and let those who wait get their answers, for half a minute at most.

    Raises CannotStartError, OSError where an address is taken, and FaultError, after the same end, for what nobody has caught.
    """
    unhandled = Unhandled.watch()
    host, _, port = settings.front.listen.rpartition(":")
    host = host.strip("[]")
    if not _is_loopback(host):
        raise CannotStartError(
            f"front.listen = {settings.front.listen!r}: a front without keys serves this machine alone: 127.0.0.1 or [::1]"
        )
    stop = Stop.on_signals()
    names = settings.topics.names
    await check_start(settings, {**dict.fromkeys(names.requests, WRITE), names.front_responses: READ})
    async with AsyncExitStack() as stack:
        front = Front(settings)
        health = await stack.enter_async_context(
            serve_health(
                settings.http.listen, lambda: front.ready and not stop.asked.is_set() and not unhandled.happened
            )
        )
        starting = asyncio.create_task(stack.enter_async_context(front))
        if not await unless(stop.asked, starting):
            return
        metrics.FRONT_WAITING.set_function(lambda: len(front.waiting))
        app = front_app(
            front,
            _models(settings),
            most_wait_s=settings.front.wait,
            max_body_bytes=settings.requests.max_bytes,
            estimator=TokenEstimator(settings.limits.default_output),
        )
        address = await stack.enter_async_context(_serve(app, host, int(port)))
        log.info("ready", listen=address, http=health)
        broken = asyncio.create_task(unhandled.wait())
        stack.callback(broken.cancel)
        await unless(stop.asked, broken)


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False


def _models(settings: Settings) -> list[str]:
    """The models that settings name: those of providers, and those of routing rules; patterns are not names."""
    named = [name for provider in settings.providers for name in provider.models]
    named += [rule.match for rule in settings.routing.models]
    return sorted({name for name in named if "*" not in name})


@asynccontextmanager
async def _serve(app: web.Application, host: str, port: int) -> AsyncIterator[str]:
    runner = web.AppRunner(app, access_log=None, handler_cancellation=True, shutdown_timeout=_LAST_ANSWERS_S)
    await runner.setup()
    try:
        await web.TCPSite(runner, host, port).start()
        bound, number, *_ = runner.addresses[0]
        yield f"http://[{bound}]:{number}" if ":" in bound else f"http://{bound}:{number}"
    finally:
        await runner.cleanup()
