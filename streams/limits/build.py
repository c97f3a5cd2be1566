"""Budgets from the settings: leased for providers with a limit, free for the others."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import AsyncExitStack
from math import inf

from aiokafka import AIOKafkaProducer

from streams.identity import process_id
from streams.limits.amount import Amount
from streams.limits.budget import UNLIMITED, Budget
from streams.limits.ledger import LeaseRules
from streams.limits.shared import Queues, Shared, SharedBudget, SharedLimit
from streams.limits.topic import LeaseTopic
from streams.settings import Rate, Settings
from topics.names import LEASES


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
) -> Budgets:
    """The budgets of the providers that the settings name; the leases behind them end with `stack`.

    `waiting` tells what waits for tokens, by route and class; `alive` whether this worker is still a member of its group.
    """
    limits, weights = settings.limits, settings.queueing.weights
    shared_limits = {
        provider.name: SharedLimit(
            Amount(
                _in_window(provider.rate_limit.requests, limits.window),
                _in_window(provider.rate_limit.tokens, limits.window),
            ),
            counts_at_end=provider.rate_limit.counted_at == "end",
        )
        for provider in settings.providers
        if not provider.rate_limit.unlimited
    }
    if not shared_limits:
        return Budgets({})
    at_end = [p.timeout for p in settings.providers if p.rate_limit.counted_at == "end"]
    rules = LeaseRules(
        lease_s=limits.lease,
        counted_s=limits.window,
        margin_s=limits.margin,
        burst_share=limits.burst,
        standing_share=limits.standing,
        known_s=limits.known,
        in_flight_s=max(at_end, default=0.0),
    )
    shared = Shared(
        worker_id=process_id(),
        limits=shared_limits,
        rules=rules,
        weights={"high": weights.high, "normal": weights.normal, "low": weights.low},
        waiting=waiting,
        alive=alive,
    )
    for provider in settings.providers:
        if provider.name in shared_limits:
            for model in provider.models:
                shared.add(provider.name, model)
    await producer.partitions_for(LEASES)  # known before the first demand
    topic = LeaseTopic(
        shared,
        producer,
        settings.kafka.client_options(),
        group_id=f"{settings.kafka.group_id}-limits",
        session_timeout_s=limits.session_timeout,
    )
    stack.push_async_callback(topic.stop)
    await topic.start()
    return Budgets({name: SharedBudget(shared, name) for name in shared_limits})


def _in_window(rate: Rate | None, window_s: float) -> float:
    return inf if rate is None else float(int(rate.per_second * window_s))
