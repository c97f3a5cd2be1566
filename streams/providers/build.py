"""Providers from the settings: transports, keys, slots, bounds, health."""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from contextlib import AsyncExitStack
from weakref import WeakValueDictionary

from streams.limits import UNLIMITED, Budget
from streams.limits.token_estimate import TokenEstimator
from streams.limits.tokenizer import measure_of
from streams.money.budgets import Budgets
from streams.money.build import costs_of
from streams.money.costs import Costs
from streams.pipeline import NO_DELTAS, DeltaWriter
from streams.providers.agent_connections import AgentConnections
from streams.providers.checks import CheckTimes, HealthChecks
from streams.providers.endpoint_maker import EndpointMaker, HostSlots
from streams.providers.failures import FaultRules
from streams.providers.formats.anthropic.format import AnthropicFormat
from streams.providers.formats.openai.format import OpenaiFormat
from streams.providers.formats.responses.format import ResponsesFormat
from streams.providers.formats.wire import Format
from streams.providers.http.bandwidth import Bandwidth
from streams.providers.http.body import Traffic
from streams.providers.http.memory import Bodies, ReadBuffers
from streams.providers.http.transports import Transports
from streams.providers.keys import KeyFiles
from streams.providers.model_names import ModelMap
from streams.providers.provider import Provider, Timing
from streams.providers.providers import Contexts, Providers
from streams.providers.reload import EndpointChanges
from streams.providers.retry import RetryPolicy
from streams.providers.retry_budget import RetryBudget
from streams.providers.routes import Routes, Rule
from streams.settings import Settings
from streams.settings.providers import Provider as ProviderSettings
from streams.slots import Slots


async def open_providers(
    settings: Settings,
    stack: AsyncExitStack,
    budget_of: Callable[[str], Budget] = lambda _: UNLIMITED,
    transports: Callable[[Settings, ProviderSettings, AsyncExitStack], Transports] = Transports,
    now: Callable[[], float] = time.time,
    deltas: DeltaWriter = NO_DELTAS,
    costs: Costs | None = None,
    money: Budgets | None = None,
    contexts: Contexts = lambda _: None,
) -> Providers:
    """The providers that the settings name; their connections and health checks end with `stack`.

    `budget_of`: what a provider allows, by its name. `now` is the time by which requests expire (Unix seconds).
    `deltas`: where streamed answers are told as they come.
    `costs`: how costs are counted, by default as the settings say. `money`: what may be spent; None: no budget is held.
    `contexts`: the trace context that a request's calls bear.
    Raises SettingsError for a key or a certificate that is not there.
    """
    of_worker: HostSlots = WeakValueDictionary()
    built, makers = [], []
    for each in settings.providers:
        wire, largest = _wire(each), settings.requests.max_answer_bytes
        traffic = Traffic(Bandwidth(each.bandwidth), ReadBuffers(each.memory.buffer, largest))
        built.append(_provider(each, settings, wire, traffic, budget_of(each.name)))
        makers.append(EndpointMaker(settings, each, wire, traffic, transports(settings, each, stack), of_worker))
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
        costs or costs_of(settings, time.time),
        money,
        contexts,
    )
    times = CheckTimes(routing.health_check.interval, routing.health_check.timeout)
    checks = HealthChecks(times, random.random)
    stack.push_async_callback(checks.stop)
    stack.push_async_callback(providers.cancels.stop)
    key_files = KeyFiles()
    stack.push_async_callback(key_files.stop)
    providers.look_at_keys = key_files.look_now
    changes = EndpointChanges(
        providers, dict(zip((each.name for each in built), makers, strict=True)), checks, key_files
    )
    providers.prepare = changes.prepare
    changes.prepare(settings)()
    return providers


def _provider(given: ProviderSettings, settings: Settings, wire: Format, traffic: Traffic, budget: Budget) -> Provider:
    """A provider without its endpoints yet."""
    memory, retry = given.memory, given.retry
    return Provider(
        name=given.name,
        endpoints=[],
        wire=wire,
        stream=given.stream,
        on_loss=given.stream_on_loss,
        connections=Slots(given.connections.max, settings.concurrency.high_share),
        bodies=Bodies(max(1, memory.peak - memory.buffer)),
        planned_bytes=memory.baseline,
        traffic=traffic,
        budget=budget,
        timing=Timing(given.timeout, retry.max_time),
        retry=RetryPolicy(retry.max_attempts, retry.base_delay, retry.max_delay, retry.dead_letter),
        retry_budget=RetryBudget(retry.budget.share, retry.budget.floor.per_second, retry.budget.burst),
        fault_rules=FaultRules(frozenset(given.failover.on), frozenset(given.fatal.on)),
    )


def _wire(given: ProviderSettings) -> Format:
    if given.format == "responses":
        return ResponsesFormat(background=given.stream_on_loss == "reattach")
    return AnthropicFormat() if given.format == "anthropic" else OpenaiFormat()
