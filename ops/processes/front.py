"""The process around a front: checks before the start, signals, the end in which whoever waits still gets an answer."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack
from typing import Final

import structlog

from ops.processes.health import health_routes, serve_health
from ops.processes.log_file import reopening
from ops.processes.reload import Reload
from ops.processes.service import CannotStartError, Stop, check_start, settle_memory, unless
from ops.processes.settings_file import NO_FILE, SettingsFile
from streams.front.access import Access
from streams.front.front import Front
from streams.front.guards import Bounds, most_connections, receiving
from streams.front.keys.reader import KeyReader
from streams.front.listener import listening
from streams.front.server import front_app
from streams.front.tls import Certificate, CertificateError
from streams.hosts import is_loopback
from streams.limits.token_estimate import TokenEstimator
from streams.metrics import definitions as metrics
from streams.settings import Settings
from streams.unhandled import Unhandled
from topics.access import READ, READ_WRITE, WRITE
from topics.plan import Needs

log = structlog.get_logger("headrace.front")

LAST_ANSWERS_S: Final = 30.0
_KEYS_WITHIN_S: Final = 20.0


def topics_of_front(settings: Settings) -> Needs:
    """What a front needs."""
    names = settings.topics.names
    read = (names.front_responses, names.deltas, names.front_keys, names.metric_samples)
    both = (*names.requests, names.front_claims)  # a request that is found again by its id is looked at
    return {**dict.fromkeys(both, READ_WRITE), **dict.fromkeys(read, READ), names.cancels: WRITE}


async def run_front(settings: Settings, file: SettingsFile = NO_FILE) -> None:
    """Run until SIGTERM or SIGINT; then take nothing new and let those who wait get their answers, for half a minute at most.

    Raises CannotStartError, OSError where an address is taken, and FaultError, after the same end, for what nobody has caught.
    """
    unhandled = Unhandled.watch()
    own = settings.front
    host, _, port = own.listen.rpartition(":")
    host = host.strip("[]")
    stop = Stop.on_signals()
    certificate = _certificate(settings)
    await check_start(settings, topics_of_front(settings))
    async with AsyncExitStack() as stack:
        front = Front(settings)

        def ready() -> bool:
            return front.ready and not stop.asked.is_set() and not unhandled.happened

        reload = Reload(file, settings, "front", on_signal=[reopening()])
        stack.push_async_callback(reload.stop)
        reload.start()
        health = await stack.enter_async_context(
            serve_health(settings.http.listen, ready, private={"/settings": reload.document})
        )
        keys = KeyReader(settings.kafka.client_options(), settings.topics.names.front_keys)
        stack.push_async_callback(keys.stop)
        if not await unless(stop.asked, asyncio.create_task(_read_keys(keys))):
            return
        if not await unless(stop.asked, asyncio.create_task(stack.enter_async_context(front))):
            return
        always = own.require_keys == "always" or not is_loopback(host)
        if not is_loopback(host):
            _insist_on_keys(settings, keys)
        access = Access(keys.ring, always=always, hosts=settings.http.hosts)
        metrics.FRONT_WAITING.set_function(lambda: len(front.waiting))
        app = front_app(
            front,
            _models(settings),
            most_wait_s=own.wait,
            max_body_bytes=settings.requests.max_bytes,
            middlewares=[access.middleware(), receiving(own.body_timeout, settings.requests.max_nodes)],
            estimator=TokenEstimator(settings.limits.default_output),
        )
        if own.serve_health == "always" or is_loopback(host):
            app.add_routes(health_routes(ready))
        if certificate is not None:
            certificate.watch()
            stack.push_async_callback(certificate.stop)
        bounds = Bounds(most_connections(own.max_connections), own.header_timeout, own.body_timeout, own.idle_timeout)
        address = await stack.enter_async_context(
            listening(app, host, int(port), bounds, certificate, last_answers_s=LAST_ANSWERS_S)
        )
        stack.callback(front.cancelling.close)
        settle_memory()
        log.info("ready", listen=address, http=health, keys=len(keys.ring), needs_key=access.needs_key)
        broken = asyncio.create_task(unhandled.wait())
        stack.callback(broken.cancel)
        await unless(stop.asked, broken)


async def _read_keys(keys: KeyReader) -> None:
    try:
        async with asyncio.timeout(_KEYS_WITHIN_S):
            await keys.start()
    except TimeoutError:
        raise CannotStartError(f"the keys could not be read within {_KEYS_WITHIN_S:.0f} s") from None


def _insist_on_keys(settings: Settings, keys: KeyReader) -> None:
    """Nobody else's machine is served without keys. Raises CannotStartError."""
    if not len(keys.ring) and settings.front.require_keys != "always":
        raise CannotStartError(
            f"front.listen = {settings.front.listen!r}: a front without keys serves this machine alone, 127.0.0.1 or [::1]; "
            "`headrace keys create NAME` makes a key"
        )
    if settings.front.tls.cert_file is None:
        log.warning("keys travel in the clear: front.tls is not set, and the front listens beyond this machine")


def _certificate(settings: Settings) -> Certificate | None:
    tls = settings.front.tls
    if tls.cert_file is None or tls.key_file is None:
        return None
    try:
        return Certificate(tls.cert_file, tls.key_file)
    except CertificateError as error:
        raise CannotStartError(f"front.tls: {error}") from error


def _models(settings: Settings) -> list[str]:
    """The models that settings name: those of providers, and those of routing rules; patterns are not names."""
    named = [name for provider in settings.providers for name in provider.models]
    named += [rule.match for rule in settings.routing.models]
    return sorted({name for name in named if "*" not in name})
