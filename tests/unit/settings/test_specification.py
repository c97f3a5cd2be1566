"""Every value of the specification is a setting, with the specification's value as its default.

The table is read off the specification by hand, in its order. Keys are in snake case and sections a little flatter; one
is renamed: `concurrency.limits.global` is `concurrency.total`, because `global` is a keyword of Python.
"""

import pytest

from ops.cli.config_text import with_origins
from streams.settings import load_effective, load_settings
from streams.settings.keys import field_at, unit_of

PROVIDER = {
    "HEADRACE_PROVIDERS__0__NAME": "main",
    "HEADRACE_PROVIDERS__0__ENDPOINTS__0__URL": "http://127.0.0.1:8080/v1",
}

SPECIFICATION = {
    # 1. Resource requirements: agent
    "agents.memory.baseline": "50MB",
    "agents.memory.peak": "150MB",
    "agents.memory.cleanup": "automated",
    "agents.memory.warning": "120MB",
    "agents.memory.critical": "140MB",
    "agents.cpu.baseline": "5%",
    "agents.cpu.peak": "25%",
    "agents.cpu.throttle_threshold": "20%",
    "agents.cpu.throttle_action": "queue requests",
    "agents.connections.pool_size": 10,
    "agents.connections.timeout": "30s",
    "agents.connections.idle_timeout": "5m",
    # llmProvider
    "providers[0].memory.baseline": "100MB",
    "providers[0].memory.peak": "300MB",
    "providers[0].memory.buffer": "50MB",
    "providers[0].bandwidth": "10MB/s",
    "providers[0].connections.max": 50,
    "providers[0].connections.per_host": 10,
    "providers[0].timeout": "60s",
    "providers[0].rate_limit.requests": "3500/minute",
    "providers[0].rate_limit.tokens": "90000/minute",
    "providers[0].retry.backoff": "exponential",
    # 2. Scaling
    "scaling.triggers.cpu.threshold": "75%",
    "scaling.triggers.cpu.duration": "5m",
    "scaling.triggers.cpu.action": "scale_out",
    "scaling.triggers.memory.threshold": "80%",
    "scaling.triggers.memory.duration": "5m",
    "scaling.triggers.memory.action": "scale_out",
    "scaling.triggers.queue.length": 1000,
    "scaling.triggers.queue.wait_time": "30s",
    "scaling.triggers.queue.action": "scale_out",
    "scaling.limits.min": 2,
    "scaling.limits.max": 10,
    "scaling.limits.increment": 1,
    "scaling.cooldown": "10m",
    # Load distribution
    "routing.algorithm": "round_robin",
    "routing.health_check.interval": "30s",
    "routing.health_check.timeout": "5s",
    "routing.health_check.unhealthy_threshold": 3,
    "routing.distribution.local": "in-memory",
    "routing.distribution.remote": "consistent-hashing",
    "queueing.priority": ["high", "normal", "low"],
    "queueing.timeout.high": "10s",
    "queueing.timeout.normal": "30s",
    "queueing.timeout.low": "60s",
    "backpressure.strategy": "token_bucket",
    "backpressure.rate": "1000/s",
    "backpressure.burst": 100,
    # 3. Caching
    "cache.memory.size": "1GB",
    "cache.memory.algorithm": "LRU",
    "cache.memory.ttl": "5m",
    "cache.memory.segments.responses": "60%",
    "cache.memory.segments.metadata": "30%",
    "cache.memory.segments.routing": "10%",
    "cache.disk.type": "disk-backed",
    "cache.disk.size": "10GB",
    "cache.disk.cleanup": "periodic",
    "cache.disk.compression": True,
    # Async operation
    "pool.workers.min": 4,
    "pool.workers.max": 16,
    "pool.workers.scaling": "dynamic",
    "pool.queue": "priority-based",
    "pool.batch.size": 100,
    "pool.batch.timeout": "1s",
    "concurrency.total": 1000,
    "concurrency.per_agent": 50,
    "concurrency.per_host": 20,
    # 4. Metrics
    "metrics.system.metrics": ["cpu_usage", "memory_usage", "network_io", "disk_io"],
    "metrics.interval": "10s",
    "metrics.aggregation": "1m",
    "metrics.application.metrics": ["request_latency", "queue_length", "error_rate", "throughput"],
    "metrics.application.tags": ["component", "operation", "status"],
    # Benchmarks
    "targets.latency.p95": "200ms",
    "targets.latency.p99": "500ms",
    "targets.latency.max": "1s",
    "targets.throughput.messages": "1000/s",
    "targets.throughput.concurrent_agents": 100,
    "targets.throughput.concurrent_chats": 50,
    "targets.reliability.uptime": "99.9%",
    "targets.reliability.error_rate": "0.1%",
    "targets.reliability.recovery_time": "30s",
    # 5. Resource optimization
    "gc.strategy": "generational",
    "gc.threshold": "75%",
    "gc.aggressive": "85%",
    "pooling.buffers": True,
    "pooling.connections": True,
    "pooling.objects": True,
    "network.multiplexing": True,
    "network.compression.threshold": "1KB",
    "network.compression.algorithm": "gzip",
    "network.keep_alive.enabled": True,
    "network.keep_alive.timeout": "60s",
}


@pytest.mark.parametrize("key", SPECIFICATION)
def test_a_value_of_the_specification_is_the_default_of_its_setting(key: str) -> None:
    wanted = SPECIFICATION[key]
    found = with_origins(load_effective(environ=PROVIDER))[key]
    unit = unit_of(field_at(tuple(key.replace("[0]", "").split("."))))
    assert found["from"] == "default"
    assert found["value"] == (unit.write(unit.parse(wanted)) if unit else wanted)


def test_what_code_sees_is_in_base_units() -> None:
    settings = load_settings(environ=PROVIDER)
    assert settings.targets.latency.p95 == 0.2
    assert settings.cache.memory.size == 1_000_000_000
    assert settings.gc.threshold == 0.75
    assert settings.backpressure.rate.per_second == 1000
    assert settings.providers[0].bandwidth == 10_000_000
    rate = settings.providers[0].rate_limit.tokens
    assert rate is not None
    assert (rate.amount, rate.per_s) == (90_000, 60)
