"""One moment of a fleet, as the pages Overview and Queues tell it: the same functions over the same records. Pure."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from ops.admin.agents import together
from ops.admin.ask_workers import Asked
from ops.ui.bottleneck import Verdict, what_limits
from ops.ui.fleet import FleetView
from ops.ui.pages.overview import latencies, waiting_of
from ops.ui.workers import sick_of
from streams.flow.stats import AgentStats, FlowStats, WaitingFor
from streams.providers.stats import EndpointStats
from topics.names import PRIORITIES, Priority


@dataclass(frozen=True, slots=True)
class ClassLine:
    """A class. `oldest_s`: of what waits in workers, None where none of them tells; `lag`: records that no worker has taken."""

    name: Priority
    lag: float | None
    waiting: int | None
    oldest_s: float | None
    paused: bool


@dataclass(frozen=True, slots=True)
class WorkerLine:
    """A worker by its newest sample; `problem`: why it cannot be asked from here."""

    worker_id: str
    partitions: int
    waiting: int | None
    in_flight: int
    cpu: float | None
    memory: float | None
    oldest_s: float | None
    age_s: float
    problem: str | None


@dataclass(frozen=True, slots=True)
class Picture:
    """A fleet now. Times in seconds, shares from 0 to 1; None: not known. `at`: Unix seconds."""

    at: float
    verdict: Verdict
    answers_per_s: float | None
    latency: dict[str, float | None]
    failed: float | None
    waiting: float | None
    in_flight: float | None
    cpu: float | None
    memory: float | None
    oldest_in_kafka_s: float | None
    classes: Sequence[ClassLine]
    waiting_for: Sequence[WaitingFor]
    agents: Sequence[AgentStats]
    workers: Sequence[WorkerLine]


def picture_of(
    view: FleetView,
    flows: Sequence[Asked[FlowStats]],
    endpoints: Sequence[Asked[list[EndpointStats]]],
    paused: Collection[Priority],
    now: float,
    problem: str | None = None,
) -> Picture:
    """What the fleet's topics and its workers say. `problem`: why the topics are not read now."""
    window, decisions, backlog = view.present(now), view.decisions(), view.backlog()
    told = [each.said for each in flows if each.said is not None]
    flow = together(told)
    application, system = (None, None) if window is None else (window.application, window.system)
    lag = None if application is None else application.lag
    oldest = _oldest(flow.waiting_for)
    return Picture(
        at=now,
        verdict=what_limits(window, decisions[-1].decision if decisions else None, sick_of(endpoints), problem),
        answers_per_s=None if application is None else application.throughput_per_s,
        latency=latencies(window),
        failed=None if application is None else application.error_rate,
        waiting=None if window is None else waiting_of(window),
        in_flight=None if application is None else application.in_flight,
        cpu=None if system is None else system.cpu_usage,
        memory=None if system is None else system.memory_share,
        oldest_in_kafka_s=None if backlog is None else backlog.oldest_s,
        classes=[
            ClassLine(
                name,
                None if lag is None else lag.get(name),
                flow.waiting.get(name, 0) if told else None,
                oldest.get(name),
                name in paused,
            )
            for name in PRIORITIES
        ],
        waiting_for=flow.waiting_for,
        agents=sorted(flow.agents, key=lambda each: (-each.waiting, -each.busy_share, each.agent_id)),
        workers=_workers(view, flows, now),
    )


def _oldest(told: Sequence[WaitingFor]) -> dict[Priority, float]:
    found: dict[Priority, float] = {}
    for each in told:
        if each.oldest_s is not None:
            found[each.priority] = max(each.oldest_s, found.get(each.priority, 0.0))
    return found


def _workers(view: FleetView, flows: Sequence[Asked[FlowStats]], now: float) -> list[WorkerLine]:
    said = {each.worker_id: each for each in flows}
    lines = []
    for seen in view.workers(now):
        sample, asked = seen.sample, said.get(seen.sample.worker_id)
        flow = None if asked is None else asked.said
        application = sample.application
        lines.append(
            WorkerLine(
                sample.worker_id,
                sample.partitions,
                application.queue_length if flow is None else sum(flow.waiting.values()),
                application.in_flight if flow is None else flow.in_flight,
                sample.system.cpu_usage,
                sample.system.memory_share,
                application.oldest_wait_s if flow is None else flow.oldest_wait_s,
                max(0.0, seen.age_s),
                "not asked" if asked is None else asked.problem,
            )
        )
    return lines
