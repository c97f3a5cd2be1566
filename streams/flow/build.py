"""The rules of flow from the settings."""

from __future__ import annotations

from streams.flow.agents import AgentRules
from streams.flow.pool import PoolRules
from streams.flow.rules import FlowRules
from streams.flow.scheduler import ClassRules
from streams.route_shares import RouteRules
from streams.settings import Settings
from streams.tenants import tenant_rules
from topics.names import Priority


def flow_rules(settings: Settings) -> FlowRules:
    """What [queueing], [backpressure], [pool], [concurrency] and [agents] say."""
    queueing, pressure, pool = settings.queueing, settings.backpressure, settings.pool
    weights: dict[Priority, int] = {
        "high": queueing.weights.high,
        "normal": queueing.weights.normal,
        "low": queueing.weights.low,
    }
    memory = settings.agents.memory
    several = len(settings.providers) > 1 and pressure.provider_share < 1
    unbounded = pressure.agent_share >= 1  # then the partition's quota bounds it, and nothing is refused
    return FlowRules(
        classes={
            priority: ClassRules(weights[priority], queueing.depth.requests, queueing.depth.bytes)
            for priority in queueing.priority
        },
        agents=AgentRules(
            warning_bytes=memory.warning,
            critical_bytes=memory.critical,
            peak_bytes=memory.peak,
            busy_share=settings.agents.cpu.throttle_threshold,
            most_in_flight=settings.concurrency.per_agent,
            most_waiting=queueing.depth.requests
            if unbounded
            else max(1, int(pressure.partition_records * pressure.agent_share)),
            most_bytes=queueing.depth.bytes if unbounded else int(pressure.partition_bytes * pressure.agent_share),
        ),
        pool=PoolRules(
            least=pool.workers.min if pool.workers.scaling == "dynamic" else pool.workers.max,
            most=pool.workers.max,
            batch=pool.batch.size,
        ),
        most_in_flight=settings.concurrency.total,
        high_share=settings.concurrency.high_share,
        rate_per_s=pressure.rate.per_second,
        burst=pressure.burst,
        ordering=queueing.ordering,
        merge_inputs=pool.batch.size,
        merge_wait_s=pool.batch.timeout,
        refuse_early=queueing.refuse_early,
        most_inputs={each.name: each.max_inputs for each in settings.providers if each.max_inputs is not None},
        route=RouteRules(
            max(1, int(pressure.partition_records * pressure.provider_share)),
            int(pressure.partition_bytes * pressure.provider_share),
        )
        if several
        else None,
        tenants=tenant_rules(settings),
    )
