"""Budgets from the settings: leased for providers with a limit, free for the others."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import AsyncExitStack
from math import inf

from aiokafka import AIOKafkaProducer

from streams.identity import process_id
from streams.limits.amount import limit_of
from streams.limits.books.ledger import LeaseRules
from streams.limits.budget import UNLIMITED, Budget
from streams.limits.counting import COUNTING, Counting
from streams.limits.route import Route
from streams.limits.topic import LeaseTopic
from streams.limits.worker.shared_budget import Queues, SharedBudget, SharedLimit
from streams.settings import Provider, Rate, Settings, SettingsError


def leases_needed(settings: Settings) -> bool:
    """Whether some provider has a limit, so that the topic is needed."""
    return any(not provider.rate_limit.unlimited for provider in settings.providers)


class Budgets:
    """A worker's budgets, by provider."""

    def __init__(self, by_provider: Mapping[str, Budget]) -> None:
        self.by_provider = by_provider
        """Those of the providers that have a limit."""

    def of(self, provider: str) -> Budget:
        """The budget of a provider."""
        return self.by_provider.get(provider, UNLIMITED)


async def open_budgets(
    settings: Settings,
    producer: AIOKafkaProducer,
    stack: AsyncExitStack,
    *,
    waiting: Callable[[], Queues],
    alive: Callable[[], bool],
    worker_id: str | None = None,
) -> Budgets:
    """The budgets of the providers that the settings name; the leases behind them end with `stack`.

    `waiting` tells what waits for tokens, by route and class; `alive` whether this worker is still a member of its group.
    `worker_id` is this worker's in the leases, by default its process's.
    """
    if not leases_needed(settings):
        return Budgets({})
    shared = shared_budgets(settings, worker_id or process_id(), waiting=waiting, alive=alive)
    await producer.partitions_for(settings.topics.names.leases)  # known before the first demand
    topic = LeaseTopic(
        shared,
        producer,
        settings.kafka.client_options(),
        name=settings.topics.names.leases,
        group_id=f"{settings.kafka.group_id}-limits",
        session_timeout_s=settings.limits.session_timeout,
    )
    stack.push_async_callback(topic.stop)
    await topic.start()
    return Budgets(dict.fromkeys(shared.limits, shared))


def shared_budgets(
    settings: Settings, worker_id: str, *, waiting: Callable[[], Queues], alive: Callable[[], bool]
) -> SharedBudget:
    """What the settings say of limits, as one worker's part in them. Raises SettingsError for a limit below one."""
    limits, weights = settings.limits, settings.queueing.weights
    at_end = [provider.timeout for provider in settings.providers if provider.rate_limit.counted_at == "end"]
    rules = LeaseRules(
        lease_s=limits.lease,
        counted_s=limits.window,
        margin_s=limits.margin,
        burst_share=limits.burst,
        standing_share=limits.standing,
        known_s=limits.known,
        in_flight_s=max(at_end, default=0.0),
    )
    limited = {provider.name: provider for provider in settings.providers if not provider.rate_limit.unlimited}
    shared = SharedBudget(
        worker_id=worker_id,
        limits={name: _limit(provider, limits.window) for name, provider in limited.items()},
        rules=rules,
        weights={"high": weights.high, "normal": weights.normal, "low": weights.low},
        waiting=waiting,
        alive=alive,
    )
    for name, provider in limited.items():
        for group in provider.models:
            shared.add(Route(name, group))
    return shared


def _limit(provider: Provider, window_s: float) -> SharedLimit:
    rules = provider.rate_limit
    requests, tokens, given, made = (
        _in_window(f"providers.{provider.name}.rate_limit.{resource}", rate, window_s)
        for resource, rate in (
            ("requests", rules.requests),
            ("tokens", rules.tokens),
            ("input_tokens", rules.input_tokens),
            ("output_tokens", rules.output_tokens),
        )
    )
    usual = COUNTING[provider.format]
    counting = Counting(
        usual.cached if rules.count_cached is None else rules.count_cached,
        usual.max_tokens if rules.count_max_tokens is None else rules.count_max_tokens,
    )
    return SharedLimit(limit_of(requests, tokens, given, made), counting, counts_at_end=rules.counted_at == "end")


def _in_window(key: str, rate: Rate | None, window_s: float) -> float:
    """What a rate gives in the window, whole; `inf` without one."""
    if rate is None:
        return inf
    whole = int(rate.per_second * window_s + 1e-9)
    if whole < 1:
        raise SettingsError(f"{key}: {rate} is less than one in limits.window ({window_s:g} s): no call could be made")
    return float(whole)
