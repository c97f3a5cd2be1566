"""One worker: the stages, wired, and their life from start to drain."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import AsyncExitStack
from types import TracebackType
from typing import Self

import structlog
from aiokafka.structs import TopicPartition

from streams.actions.carrier import Carrier
from streams.actions.outcomes import OutcomeWriter, mark_of
from streams.actions.reader import AdminReader
from streams.app import build_app, producer_options, transport_options, unless_refused
from streams.cache.build import open_cache, prepare_keys
from streams.cancels.book import CancelBook
from streams.cancels.gate import CancelGate
from streams.cancels.reader import CancelReader
from streams.delivery.delivery import Delivery
from streams.delivery.delta_history import DeltaHistory
from streams.delivery.deltas import DeltaPublisher
from streams.delivery.outbox import Outbox
from streams.delivery.reply_topics import KnownReplyTopics
from streams.delivery.reply_trouble import ReplyTroubles
from streams.flow.build import flow_rules
from streams.flow.dispatch import Dispatch
from streams.flow.rules import scheduler_of
from streams.flow.scheduler import Scheduler
from streams.flow.stats import FlowStats
from streams.governor import Governor, memory_budget
from streams.heartbeat import Doubt
from streams.identity import process_id
from streams.intake.decode import Decoder
from streams.intake.intake import Intake
from streams.kafka import closing
from streams.kafka.cluster import cluster_of
from streams.kafka.reconnect import make_producer
from streams.limits.build import open_budgets
from streams.metrics import definitions as metrics
from streams.metrics.sampler import Sampler
from streams.metrics.samples import WorkerStats
from streams.money.build import open_ledger, prepare_prices
from streams.money.cost_windows import CostWindows
from streams.otel.build import open_tracing
from streams.paid import PaidRequests
from streams.pipeline import PendingRequest
from streams.providers.build import open_providers
from streams.providers.providers import Providers
from streams.providers.stats import EndpointStats, drain_endpoint, endpoint_stats, endpoints_named
from streams.record_clock import RecordClock
from streams.record_states import record_state
from streams.route_shares import RouteShares
from streams.settings import Settings
from streams.supervise import end, supervised
from streams.tenants import tenant_rules
from streams.transport.consumer import RecordListConsumer
from streams.waits import Asked, RecordState, Told, Waits
from topics.names import PRIORITIES, Priority

log = structlog.get_logger("headrace.worker")

_WATCH_S = 1.0
_CLOCK_DOUBT_S = 2.0
"""How far the broker's time of a record and ours of its partition may be apart: within it a request is looked up once in vain."""
_AGENTS_SHOWN = 200
_WAITING_PART = 4
"""Answers that wait for reply topics in trouble are at most this part of what one partition may have unfinished."""


class Worker:
    """Runs the pipeline between `async with` and its end.

    Leaving cancels what is under way: those records stay unfinished and go to the next owner. Call `drain` first to let
    them finish.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._stack = AsyncExitStack()
        self._clock = RecordClock()
        self._started = False
        self.address: str | None = None
        """Where its process may be asked (HOST:PORT), for its samples."""

    async def __aenter__(self) -> Self:
        try:
            await self._start()
        except BaseException:
            await self._stack.aclose()
            raise
        return self

    async def _start(self) -> None:
        settings, names = self._settings, self._settings.topics.names
        tracing = await open_tracing(settings, "worker", self._stack)
        producer = make_producer(**producer_options(settings))
        self._stack.push_async_callback(closing.stop, producer)
        await producer.start()
        cluster = cluster_of(producer)
        for topic in (
            *names.all_responses,
            *names.all_dead_letters,
            names.deltas,
            names.metric_samples,
            names.admin,
            names.cost_windows,
        ):  # known before the first answer
            await producer.partitions_for(topic)

        # what is told of it, and what it may use
        budget, now = memory_budget(settings.memory.budget), self._clock.now
        samples = names.metric_samples
        costs = CostWindows(producer, names.cost_windows, process_id(), now)
        self._stack.push_async_callback(costs.stop)  # after everything that answers
        costs.start()
        sampler = Sampler(settings.metrics, producer, budget.bytes, self._stats, samples, self._clock)
        await sampler.ask_the_time()
        transport = transport_options(settings, budget.bytes)

        # what waits, limits and money
        rules = flow_rules(settings)
        shares = RouteShares(rules.route)
        scheduler = scheduler_of(rules, time.monotonic(), shares)
        self._budgets = budgets = await open_budgets(
            settings, producer, self._stack, waiting=scheduler.waiting_by_route, alive=transport.heartbeat.fresh
        )
        outcomes = OutcomeWriter(producer, names.admin)
        self._stack.push_async_callback(outcomes.stop)
        outcomes.start()
        money = await open_ledger(settings, producer, self._stack, on_mark=lambda mark: outcomes.tell(mark_of(mark)))

        # providers, and what is told while they answer
        history = DeltaHistory(settings.kafka.client_options())
        deltas = DeltaPublisher(cluster, now, names, history, self._inherited)
        self._stack.push_async_callback(deltas.stop)
        self.providers = providers = await open_providers(
            settings, self._stack, budgets.of, now=now, deltas=deltas, money=money, contexts=tracing.contexts.call
        )

        # the way out
        troubles = ReplyTroubles(
            settings.topics.reply_patience, max(1, settings.backpressure.partition_records // _WAITING_PART)
        )
        outbox = Outbox(cluster, settings.kafka.max_batch_bytes, settings.kafka.request_timeout, troubles)
        self._stack.push_async_callback(outbox.stop)
        delivery = Delivery(
            cluster,
            outbox,
            on_paid=transport.commit_due.set,
            now=now,
            names=names,
            traces=settings.trace.answers,
            ends=tracing.teller(),
            on_cost=PaidRequests(costs).note,
        )

        # the way in between: cache, dispatch
        self._cache = await open_cache(
            settings, cluster, delivery, providers.mapping, self._stack, budget.bytes, shares, now
        )
        stage = self._cache.stage
        self._dispatch = Dispatch(
            rules,
            providers,
            stage,
            now=now,
            clock=time.monotonic,
            scheduler=scheduler,
            in_doubt=Doubt(transport.heartbeat),
        )
        self._stack.push_async_callback(self._dispatch.stop)
        stage.connect(self._dispatch)

        # the way in
        waits = settings.queueing.timeout
        decoder = Decoder(
            settings.requests.max_bytes,
            {"high": waits.high, "normal": waits.normal, "low": waits.low},
            most_s=settings.requests.max_timeout,
            most_nodes=settings.requests.max_nodes,
            keeps_records=any(each.retry.dead_letter for each in settings.providers),
            names=names,
            proofs=settings.fleet.key_proofs(),
        )
        reply_topics = KnownReplyTopics(cluster, settings.topics.reply_to_prefixes, outbox.refuses)
        gate = CancelGate(CancelBook(names.front_responses), stage, delivery, stage.unanswered.find, now)
        stage.unanswered.refusal = gate.refusal
        cancels = CancelReader(settings.kafka.client_options(), names.cancels, gate.take, now)
        self._stack.push_async_callback(cancels.stop)

        # what people ask of it
        self._carrier = carrier = Carrier(_Carried(scheduler, providers, self._cache.forget), outcomes.tell)
        actions = AdminReader(
            settings.kafka.client_options(), names.admin, carrier.take, committed=False, on_anew=carrier.anew
        )
        self._stack.push_async_callback(actions.stop)
        intake = Intake(decoder, gate, delivery, delivery, reply_topics, now, names, tenant_rules(settings), deltas)
        self._waits = Waits(
            stage.unanswered.find, stage.joined, stage.looked_up, self._dispatch.states, self._record, intake.holds, now
        )
        self._app = build_app(settings, producer, intake.accept, transport)
        self._stack.push_async_callback(self._app.stop)

        # all is made; what runs begins in this order
        await cancels.start()  # before partitions come: what was cancelled is not called
        await actions.start()  # before partitions come: what is paused is not called
        carrier.begin()
        await self._cache.wait_warm()  # before partitions come: a cold worker would pay for what others have
        await unless_refused(self._app, self._app.start())
        governor = Governor(budget, settings, self._cache.memory, self.consumer)
        self._stack.push_async_callback(governor.stop)
        governor.start()
        self._stack.push_async_callback(sampler.publish_last)
        loops = [supervised("samples", sampler.run), supervised("worker_gauges", self._watch)]
        self._stack.push_async_callback(end, loops)
        self._started = True

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._stack.aclose()

    @property
    def consumer(self) -> RecordListConsumer:
        """The running consumer of the request topics."""
        consumer: RecordListConsumer = self._app.consumer
        return consumer

    @property
    def ready(self) -> bool:
        """Whether work moves: partitions are assigned (perhaps none: more workers than partitions), fetched and committed."""
        return self._started and self.consumer.moving

    async def wait_ready(self) -> None:
        """Raises GroupRefusedError where the group takes this worker not at all."""
        await unless_refused(self._app, self.consumer.assigned.wait())

    async def wait_stopped(self) -> None:
        """Returns when the app has stopped by itself; raises what crashed it."""
        await self._app.wait_until_stopped()
        if self._app.crash_reason is not None:
            raise self._app.crash_reason

    def flow_stats(self) -> FlowStats | None:
        """What waits and is under way, and the agents that use most of this worker; None before the start."""
        return self._dispatch.stats(_AGENTS_SHOWN) if self._started else None

    def where(self, asked: Sequence[Asked]) -> list[Told]:
        """Where each of these requests is, and why it waits. ValueError before the start."""
        if not self._started:
            raise ValueError("the worker has not started yet")
        return self._waits.ask(asked)

    def _record(self, record: str) -> RecordState | None:
        names = self._settings.topics.names
        return record_state(record, self.consumer.partitions, self.consumer.flow, names.priority_of)

    def endpoint_stats(self) -> list[EndpointStats] | None:
        """The endpoints of the providers, now; None before the start."""
        return endpoint_stats(self.providers) if self._started else None

    def drain_endpoint(self, endpoint: str, draining: bool) -> list[EndpointStats]:
        """Give an endpoint no new calls, or give it calls again. ValueError where there is none of that URL."""
        if not self._started:
            raise ValueError("the worker has not started yet")
        return drain_endpoint(self.providers, endpoint, draining)

    def prepare(self, settings: Settings) -> Callable[[], None]:
        """What takes over of these settings what a running worker can. Raises SettingsError. After the start."""
        takes = (
            self._budgets.prepare(settings),
            self.providers.prepare(settings),
            prepare_prices(self.providers.costs, settings),
            # The files are those of the start; the keys in them may be others.
            prepare_keys(self._cache.vault, self._settings),
        )

        def take() -> None:
            for each in takes:
                each()
            self._carrier.again()

        return take

    async def drain(self, deadline_s: float) -> int:
        """Take nothing more and let calls under way finish, at most for `deadline_s`; how many records did not."""
        return await self.consumer.drain(deadline_s)

    def _inherited(self, request: PendingRequest) -> bool:
        """Whether another worker may have called for the request: its record is older than our time with its partition."""
        topic, number, _ = request.event_id.decode().rsplit(":", 2)
        since = self.consumer.gained_at.get(TopicPartition(topic, int(number)))
        held_s = 0.0 if since is None else time.monotonic() - since
        return request.received_at < self._clock.now() - held_s + _CLOCK_DOUBT_S

    def _stats(self) -> WorkerStats:
        """What is in the worker now, for its samples."""
        taken: dict[Priority, int] = dict.fromkeys(PRIORITIES, 0)
        if not self._started:
            return WorkerStats(0, 0.0, 0, taken, 0, address=self.address)
        priority_of = self._settings.topics.names.priority_of
        for partition, offsets in self.consumer.partitions.items():
            taken[priority_of[partition.topic]] += offsets.taken
        owned = tuple(sorted({partition.partition for partition in self.consumer.partitions}))
        return WorkerStats(
            waiting=sum(self._dispatch.waiting().values()),
            oldest_wait_s=self._dispatch.oldest_wait_s(self._clock.now()),
            in_flight=self._dispatch.in_flight,
            taken=taken,
            partitions=len(owned),
            owned=owned,
            address=self.address,
            provider_limited=self._budgets.holds_calls,
        )

    async def _watch(self) -> None:
        """Gauges that nobody sets by an event."""
        assignments, looked_at = 0, time.monotonic()
        while True:
            if self.consumer.assignments != assignments:
                assignments = self.consumer.assignments
                self._dispatch.drop_moved()
                self._cache.stage.unanswered.drop_moved()
            paused, at = len(self.consumer.flow.paused()), time.monotonic()
            metrics.PAUSED_SECONDS.inc(paused * (at - looked_at))
            looked_at = at
            metrics.UNFINISHED.set(self.consumer.unfinished)
            metrics.PAUSED_PARTITIONS.set(paused)
            metrics.DISPATCHERS.set(self._dispatch.dispatchers)
            metrics.IN_FLIGHT.set(self._dispatch.in_flight)
            for priority, count in self._dispatch.waiting().items():
                metrics.WAITING.labels(priority).set(count)
            self.providers.report()
            self._budgets.report(self._settings, at)
            self._cache.report()
            await asyncio.sleep(_WATCH_S)


Forgets = Callable[[str, Mapping[int, int], Callable[[int], None]], None]


class _Carried:
    """What operators' actions do to a worker."""

    def __init__(self, scheduler: Scheduler, providers: Providers, forget: Forgets) -> None:
        self.forget = forget
        self._providers = providers
        self._scheduler = scheduler

    def pause(self, priority: Priority, paused: bool) -> int:
        """See `Carried`."""
        return self._scheduler.pause(priority, paused, time.monotonic())

    def drain(self, endpoint: str, draining: bool) -> int:
        """See `Carried`."""
        drain_endpoint(self._providers, endpoint, draining)
        return sum(each.in_flight for each in endpoints_named(self._providers, endpoint))
