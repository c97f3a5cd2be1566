"""What workers count, read from their /metrics."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

import httpx2
from prometheus_client.parser import text_string_to_metric_families

from ops.processes.fleet import WorkerProcess


@dataclass(frozen=True, slots=True)
class WorkerCounts:
    """One worker's counts since its start."""

    responses: Mapping[str, int] = field(default_factory=dict)
    """By status."""
    cache: Mapping[str, int] = field(default_factory=dict)
    """Requests by where their answer came from: memory, disk, joined, miss."""


async def scrape(workers: Iterable[WorkerProcess]) -> dict[str, WorkerCounts]:
    """The counts of each worker by its name; a worker that does not answer is left out."""
    asked = list(workers)
    async with httpx2.AsyncClient(timeout=2.0, trust_env=False) as client:
        found = await asyncio.gather(*(_counts(client, worker) for worker in asked), return_exceptions=True)
    return {
        worker.name: counts for worker, counts in zip(asked, found, strict=True) if isinstance(counts, WorkerCounts)
    }


async def _counts(client: httpx2.AsyncClient, worker: WorkerProcess) -> WorkerCounts:
    answer = await client.get(f"http://{worker.http}/metrics")
    responses: Counter[str] = Counter()
    cache: Counter[str] = Counter()
    for family in text_string_to_metric_families(answer.text):
        for sample in family.samples:
            if sample.name == "headrace_responses_total":
                responses[sample.labels["status"]] += int(sample.value)
            elif sample.name == "headrace_cache_requests_total":
                cache[sample.labels["result"]] += int(sample.value)
    return WorkerCounts(responses, cache)
