"""Budgets from the settings: leased for providers with a limit, free for the others."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import AsyncExitStack
from math import inf
from typing import Final

import structlog
from aiokafka import AIOKafkaProducer

from streams.identity import process_id
from streams.kafka.repeats import Repeats
from streams.limits.amount import Amount, limit_of
from streams.limits.books.ledger import LeaseRules
from streams.limits.budget import UNLIMITED, Budget
from streams.limits.counting import COUNTING, Counting
from streams.limits.route import Route
from streams.limits.topic import LeaseTopic
from streams.limits.worker.shared_budget import Queues, SharedBudget, SharedLimit
from streams.limits.worker.too_small import too_small
from streams.settings import Provider, Rate, Settings, SettingsError
from topics.names import Priority

log = structlog.get_logger("headrace.limits")

_REPORT_EVERY_S: Final = 10.0  # the queues are counted for it


def limits_group(settings: Settings) -> str:
    """The consumer group that chooses who grants leases."""
    return f"{settings.kafka.group_id}-limits"


def leases_needed(settings: Settings) -> bool:
    """Whether some provider has a limit, so that the topic is needed."""
    return any(not provider.rate_limit.unlimited for provider in settings.providers)


class Budgets:
    """A worker's budgets, by provider."""

    def __init__(self, shared: SharedBudget | None) -> None:
        self._shared = shared
        self._repeats = Repeats()
        self._reports_at = -inf
        self.by_provider: Mapping[str, Budget] = {} if shared is None else dict.fromkeys(shared.limits, shared)
        """Those of the providers that had a limit at the start."""

    def of(self, provider: str) -> Budget:
        """The budget of a provider."""
        return self.by_provider.get(provider, UNLIMITED)

    @property
    def holds_calls(self) -> bool:
        """Whether a call waits for a provider's limit now."""
        return self._shared is not None and self._shared.holds_calls

    def report(self, settings: Settings, now: float) -> None:
        """Say once a minute, in words, where what waits here cannot live with a provider's limit."""
        shared = self._shared
        if shared is None or now < self._reports_at:
            return
        self._reports_at = now + _REPORT_EVERY_S
        waits = settings.queueing.timeout
        patience_s: Mapping[Priority, float] = {"high": waits.high, "normal": waits.normal, "low": waits.low}
        for route, waiting in shared.waiting().items():
            limit = shared.limits.get(route.provider)
            if limit is None:
                continue
            found = too_small(route.provider, waiting, limit.amount, shared.rules.counted_s, patience_s)
            if found is not None and self._repeats.due(route, now):
                log.warning("a rate_limit is too small for what waits, requests will expire", why=str(found))

    def prepare(self, settings: Settings) -> Callable[[], None]:
        """What takes the limits of these settings over. Raises SettingsError for a limit below one.

        A provider that had no limit at the start has a budget only from the next start on; one whose limits are all lifted is
        called freely.
        """
        amounts = limit_amounts(settings)
        shared = self._shared
        if shared is None:
            return lambda: None
        return lambda: shared.change_limits({name: amounts[name] for name in amounts.keys() & shared.limits.keys()})


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
        return Budgets(None)
    shared = shared_budgets(settings, worker_id or process_id(), waiting=waiting, alive=alive)
    await producer.partitions_for(settings.topics.names.leases)  # known before the first demand
    topic = LeaseTopic(
        shared,
        producer,
        settings.kafka.client_options(),
        name=settings.topics.names.leases,
        group_id=limits_group(settings),
        session_timeout_s=settings.limits.session_timeout,
    )
    stack.push_async_callback(topic.stop)
    await topic.start()
    return Budgets(shared)


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


def limit_amounts(settings: Settings) -> dict[str, Amount]:
    """What each provider allows in limits.window. Raises SettingsError for a limit below one."""
    return {each.name: _amount(each, settings.limits.window) for each in settings.providers}


def _amount(provider: Provider, window_s: float) -> Amount:
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
    return limit_of(requests, tokens, given, made)


def _limit(provider: Provider, window_s: float) -> SharedLimit:
    rules = provider.rate_limit
    usual = COUNTING[provider.format]
    counting = Counting(
        usual.cached if rules.count_cached is None else rules.count_cached,
        usual.max_tokens if rules.count_max_tokens is None else rules.count_max_tokens,
    )
    return SharedLimit(_amount(provider, window_s), counting, counts_at_end=rules.counted_at == "end")


def _in_window(key: str, rate: Rate | None, window_s: float) -> float:
    """What a rate gives in the window, whole; `inf` without one."""
    if rate is None:
        return inf
    whole = int(rate.per_second * window_s + 1e-9)
    if whole < 1:
        raise SettingsError(f"{key}: {rate} is less than one in limits.window ({window_s:g} s): no call could be made")
    return float(whole)
