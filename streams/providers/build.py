"""Providers from the settings: transports, keys, slots, bounds, health."""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from contextlib import AsyncExitStack
from urllib.parse import urlsplit

from streams.limits import UNLIMITED, Budget
from streams.limits.token_estimate import TokenEstimator
from streams.limits.tokenizer import measure_of
from streams.pipeline import NO_DELTAS, DeltaWriter
from streams.providers.agent_connections import AgentConnections
from streams.providers.breaker import BreakerPolicy
from streams.providers.checks import CheckTimes, HealthChecks
from streams.providers.endpoint import Endpoint
from streams.providers.failures import FaultRules
from streams.providers.formats.anthropic.format import AnthropicFormat
from streams.providers.formats.openai.format import OpenaiFormat
from streams.providers.formats.responses.format import ResponsesFormat
from streams.providers.formats.wire import Format
from streams.providers.health import Health
from streams.providers.http.bandwidth import Bandwidth
from streams.providers.http.body import Traffic
from streams.providers.http.client import EndpointClient, Limits
from streams.providers.http.memory import Bodies, ReadBuffers
from streams.providers.http.transports import Transports
from streams.providers.keys import KeyFile, KeyFiles, KeySource
from streams.providers.model_names import ModelMap
from streams.providers.provider import Provider, Timing
from streams.providers.providers import Providers
from streams.providers.retry import RetryPolicy
from streams.providers.retry_budget import RetryBudget
from streams.providers.routes import Routes, Rule
from streams.settings import Settings
from streams.settings.providers import Endpoint as EndpointSettings
from streams.settings.providers import Provider as ProviderSettings
from streams.settings.routing import Routing
from streams.slots import Slots


async def open_providers(
    settings: Settings,
    stack: AsyncExitStack,
    budget_of: Callable[[str], Budget] = lambda _: UNLIMITED,
    transports: Callable[[Settings, ProviderSettings, AsyncExitStack], Transports] = Transports,
    now: Callable[[], float] = time.time,
    deltas: DeltaWriter = NO_DELTAS,
) -> Providers:
    """The providers that the settings name; their connections and health checks end with `stack`.

    `budget_of`: what a provider allows, by its name. `now` is the time by which requests expire (Unix seconds).
    `deltas`: where streamed answers are told as they come.
    Raises SettingsError for a key or a certificate that is not there.
    """
    of_worker: dict[str, Slots] = {}
    built = [
        await _provider(settings, each, budget_of(each.name), of_worker, transports(settings, each, stack))
        for each in settings.providers
    ]
    routing, connections = settings.routing, settings.agents.connections
    rules = [
        Rule(each.match, each.algorithm or routing.algorithm, each.providers, each.fallbacks) for each in routing.models
    ]
    models = {each.name: ModelMap.of(each.model_map) for each in settings.providers}
    windows = {each.name: each.context_windows for each in settings.providers}
    providers = Providers(
        built,
        Routes(built, models, [*rules, Rule("*", routing.algorithm)], windows),
        AgentConnections(connections.pool_size, connections.timeout),
        TokenEstimator(settings.limits.default_output, measure_of(settings.limits.tokenizer)),
        now,
        deltas,
    )
    times = CheckTimes(routing.health_check.interval, routing.health_check.timeout)
    checks = HealthChecks([each for provider in built for each in provider.endpoints], times, random.random)
    stack.push_async_callback(checks.stop)
    stack.push_async_callback(providers.cancels.stop)
    keys = [each.client.key for provider in built for each in provider.endpoints]
    stack.push_async_callback(KeyFiles(each for each in keys if isinstance(each, KeyFile)).stop)
    return providers


async def _provider(
    settings: Settings, given: ProviderSettings, budget: Budget, of_worker: dict[str, Slots], transports: Transports
) -> Provider:
    """`of_worker`: the slots of each host, over all providers of the worker."""
    wire = _wire(given)
    memory, largest = given.memory, settings.requests.max_answer_bytes
    traffic = Traffic(Bandwidth(given.bandwidth), ReadBuffers(memory.buffer, largest))
    compression, high_share = settings.network.compression, settings.concurrency.high_share
    of_provider: dict[str, Slots] = {}
    endpoints = []
    for place, each in enumerate(given.endpoints):
        host = _host(each.url)
        slots = (
            of_provider.setdefault(host, Slots(given.connections.per_host, high_share)),
            of_worker.setdefault(host, Slots(settings.concurrency.per_host, high_share)),
        )
        gzip = each.accepts_gzip and compression.algorithm == "gzip"
        client = EndpointClient(
            given.name,
            each.url,
            await transports.of(each.url),
            wire,
            Limits(largest, compression.threshold if gzip else None, given.stream_idle_timeout),
            traffic,
            headers=each.headers,
            key=_key(given.name, each),
            health_path=each.health_path,
        )
        endpoint = Endpoint(given.name, place, each.weight, client, slots, _health(settings.routing))
        client.key.on_change = endpoint.new_key
        endpoints.append(endpoint)
    retry, budget_of = given.retry, given.retry.budget
    return Provider(
        name=given.name,
        endpoints=endpoints,
        wire=wire,
        stream=given.stream,
        on_loss=given.stream_on_loss,
        connections=Slots(given.connections.max, high_share),
        bodies=Bodies(max(1, memory.peak - memory.buffer)),
        planned_bytes=memory.baseline,
        traffic=traffic,
        budget=budget,
        timing=Timing(given.timeout, retry.max_time),
        retry=RetryPolicy(retry.max_attempts, retry.base_delay, retry.max_delay, retry.dead_letter),
        retry_budget=RetryBudget(budget_of.share, budget_of.floor.per_second, budget_of.burst),
        fault_rules=FaultRules(frozenset(given.failover.on), frozenset(given.fatal.on)),
    )


def _wire(given: ProviderSettings) -> Format:
    if given.format == "responses":
        return ResponsesFormat(background=given.stream_on_loss == "reattach")
    return AnthropicFormat() if given.format == "anthropic" else OpenaiFormat()


def _key(provider: str, endpoint: EndpointSettings) -> KeySource:
    current = endpoint.api_key()
    if endpoint.api_key_file is None or current is None:
        return KeySource(current)
    return KeyFile(endpoint.api_key_file, current, provider, endpoint.url)


def _health(routing: Routing) -> Health:
    breaker, check = routing.breaker, routing.health_check
    policy = BreakerPolicy(
        breaker.calls,
        breaker.window,
        breaker.min_volume,
        breaker.error_share,
        breaker.open_for,
        breaker.probes,
        breaker.in_a_row,
        breaker.most_open_for,
        breaker.refused_for,
        breaker.most_refused_for,
    )
    return Health(policy, check.unhealthy_threshold, check.healthy_threshold)


def _host(url: str) -> str:
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc}"
