"""What tenants use is counted by tenant, and the series stay few."""

from prometheus_client import REGISTRY

from streams.metrics.tenants import TenantSeries


def value(name: str, **labels: str) -> float:
    return REGISTRY.get_sample_value(name, labels) or 0.0


def test_answers_tokens_and_cost_of_a_tenant_are_counted_and_further_tenants_are_one() -> None:
    series = TenantSeries(most=2)
    for tenant in ("t-one", "t-two", "t-three", "t-four", "other", "t-one"):
        series.count(tenant, "ok", (3, 4), 2_000_000_000_000)
    series.count("t-one", "error", pico=None)
    assert value("headrace_tenant_responses_total", tenant="t-one", status="ok") == 2
    assert value("headrace_tenant_responses_total", tenant="t-one", status="error") == 1
    assert value("headrace_tenant_responses_total", tenant="t-three", status="ok") == 0
    assert value("headrace_tenant_responses_total", tenant="other", status="ok") >= 3
    assert value("headrace_tenant_tokens_total", tenant="t-two", kind="output") == 4
    assert value("headrace_tenant_cost_total", tenant="t-one") == 4.0
