"""A real Prometheus reads a real worker: every rule evaluates, and the dashboards' queries find something."""

import asyncio
import contextlib
import os
import re
import shutil
import socket
from pathlib import Path
from typing import Any

import httpx2
import pytest
import yaml

from ops.grafana import BOARDS
from ops.processes.child import ChildProcess
from schemas.metric_sample import MetricSample, parse_metric_sample
from streams.metrics.histogram import merge, quantile
from tests.support.pipeline import Pipeline, request, send_steadily, wait_until
from tests.support.positions import read_all
from topics.names import METRIC_SAMPLES

OPS = Path(__file__).parents[2] / "ops"

ELSEWHERE = (
    "kafka_",  # the exporter
    "headrace_scaling",  # the control process
    "headrace_lag_",
    "headrace_supervised",  # the supervisor
    "headrace_limit",  # a provider with limits
    "dead_letters",  # what did not happen in this run
    'result!="miss"',
    "headrace_collections",
    "limited_waits",
    "provider_checks",
    "expired",
    "rejected",
    "refused",
    "retries",
    "merged",
)
"""Parts of queries that ask for what is not here."""


def in_full(expr: str) -> str:
    """A query as Grafana sends it when nothing is picked."""
    return re.sub(r"\$\w+", ".*", expr)


class Prometheus:
    """A Prometheus on loopback that scrapes one worker every second."""

    def __init__(self, folder: Path, program: str, worker: str) -> None:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self._address = f"127.0.0.1:{free.getsockname()[1]}"
        for name in ("recording", "alerts"):
            rules = yaml.safe_load((OPS / "prometheus" / "rules" / f"{name}.yml").read_text())
            for group in rules["groups"]:
                group["interval"] = "1s"
            (folder / f"{name}.yml").write_text(yaml.safe_dump(rules))
        config = {
            "global": {"scrape_interval": "1s", "scrape_timeout": "1s", "evaluation_interval": "1s"},
            "rule_files": ["recording.yml", "alerts.yml"],
            "scrape_configs": [{"job_name": "headrace-worker", "static_configs": [{"targets": [worker]}]}],
        }
        (folder / "prometheus.yml").write_text(yaml.safe_dump(config))
        self._child = ChildProcess(
            [
                program,
                f"--config.file={folder / 'prometheus.yml'}",
                f"--storage.tsdb.path={folder / 'data'}",
                f"--web.listen-address={self._address}",
            ],
            folder / "prometheus.log",
            dict(os.environ),
        )
        self._client = httpx2.AsyncClient(base_url=f"http://{self._address}", timeout=5.0, trust_env=False)

    async def get(self, path: str, **parameters: str) -> Any:
        answer = await self._client.get(path, params=parameters)
        assert answer.status_code == 200, answer.text
        return answer.json()["data"]

    async def is_ready(self) -> bool:
        assert self._child.alive(), self._child.last_words()
        try:
            return (await self._client.get("/-/ready")).status_code == 200
        except httpx2.HTTPError:
            return False

    async def query(self, expr: str) -> list[Any]:
        found: list[Any] = (await self.get("/api/v1/query", query=expr))["result"]
        return found

    async def stop(self) -> None:
        await self._client.aclose()
        await asyncio.to_thread(self._child.stop)


@pytest.fixture
def prometheus_program() -> str:
    """Its path. In CI a missing one is a failure: .ci/run installs it."""
    found = shutil.which("prometheus")
    if found is None and os.environ.get("TEST_REQUIRE_APACHE") == "1":
        pytest.fail("prometheus is missing: install it (Debian: apt-get install prometheus)")
    if found is None:
        pytest.skip("prometheus is missing (Debian: apt-get install prometheus)")
    return found


@pytest.mark.long
@pytest.mark.timeout(120)
async def test_rules_evaluate_and_the_dashboards_show_a_worker_under_load(
    pipeline: Pipeline, prometheus_program: str, tmp_path: Path
) -> None:
    folder = tmp_path / "prometheus"
    folder.mkdir()
    values = [request(f"r-{n}", latency_ms=20) for n in range(300)] + [
        request(f"failing-{n}", latency_ms=20, status=400) for n in range(10)
    ]
    queries = [in_full(query.expr) for board in BOARDS for panel in board.panels for query in panel.queries]
    here = [expr for expr in queries if not any(part in expr for part in ELSEWHERE)]
    here.append("fleet:headrace_bad_responses:ratio_rate5m > 0")
    empty: list[str] = []
    told: list[str] = []
    async with pipeline.fleet() as fleet, pipeline.traffic() as traffic:
        (worker,) = await fleet.start(1)
        assert worker.http is not None
        prometheus = Prometheus(folder, prometheus_program, worker.http)
        try:
            await wait_until(prometheus.is_ready, 60)

            async def worker_is_scraped() -> bool:  # its first scrape comes some seconds after it is ready
                return bool(await prometheus.query("up == 1"))

            await wait_until(worker_is_scraped, 60)
            await send_steadily(traffic, values, 60)
            assert await traffic.wait_answered(60)

            async def prometheus_says_as_samples_do() -> bool:
                sampled = [
                    series.request_latency
                    for record in await read_all(pipeline.client_options, [METRIC_SAMPLES])
                    if isinstance(sample := parse_metric_sample(record.value), MetricSample)
                    for series in sample.application.series
                    if series.request_latency is not None
                ]
                merged = merge(sampled)
                counted = await prometheus.query("sum(headrace_response_seconds_count)")
                if (
                    not counted
                    or float(counted[0]["value"][1]) != sum(merged.counts)
                    or sum(merged.counts) < len(values)
                ):
                    return False  # the last sample or the last scrape is still to come
                for q in (0.5, 0.95):
                    expr = f"1000 * histogram_quantile({q}, sum by (le) (headrace_response_seconds_bucket))"
                    (shown,) = await prometheus.query(expr)
                    assert float(shown["value"][1]) == pytest.approx(quantile(merged, q), rel=0.1)
                return True

            async def everything_is_shown() -> bool:
                empty[:] = [expr for expr in here if not await prometheus.query(expr)]
                return not empty

            await wait_until(prometheus_says_as_samples_do, 60)

            with contextlib.suppress(TimeoutError):  # what is still empty is told below
                await wait_until(everything_is_shown, 60)

            async def errors_are_told() -> bool:  # its rules are evaluated after those that it is made of
                told[:] = [each["labels"]["alertname"] for each in (await prometheus.get("/api/v1/alerts"))["alerts"]]
                return "HeadraceErrorBudgetBurnsFast" in told

            with contextlib.suppress(TimeoutError):
                await wait_until(errors_are_told, 60)
            groups = (await prometheus.get("/api/v1/rules"))["groups"]
            rules = [rule for group in groups for rule in group["rules"]]
        finally:
            await prometheus.stop()
    assert [(rule["name"], rule.get("lastError")) for rule in rules if rule["health"] != "ok"] == []
    assert empty == []
    assert "HeadraceErrorBudgetBurnsFast" in told, "10 of 310 answers were errors"
    assert "HeadraceNoWorkers" not in told
