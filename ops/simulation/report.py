"""What came of a simulation: figures by class and agent, and a plot of the waits."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from statistics import median

from ops.simulation.plot import COLOURS, Line, Panel, line_chart
from ops.simulation.run import PaperRun, Wait
from topics.names import PRIORITIES


@dataclass(frozen=True, slots=True)
class Figures:
    """Requests of one class or agent: how many there were and how they ended, their waits (seconds), and the rate of calls."""

    requests: int
    called: int
    expired: int
    refused: int
    wait_p50_s: float
    wait_p95_s: float
    wait_max_s: float
    called_per_s: float


@dataclass(frozen=True, slots=True)
class Result:
    """One run at one overload. `agents` are those with the most requests."""

    overload: float
    capacity_per_s: float
    offered_per_s: float
    seconds: float
    classes: dict[str, Figures]
    agents: dict[str, Figures]
    most_dispatchers: int
    most_in_flight: int


def result_of(run: PaperRun, overload: float, capacity: float, seconds: float, most_agents: int) -> Result:
    """The figures of a run whose arrivals lasted `seconds`. Rates count what was called while they lasted."""
    by_class: dict[str, list[Wait]] = {priority: [] for priority in PRIORITIES}
    by_agent: dict[str, list[Wait]] = defaultdict(list)
    for wait in run.waits:
        by_class[wait.priority].append(wait)
        by_agent[wait.agent_id].append(wait)
    busiest = sorted(by_agent, key=lambda agent: (-len(by_agent[agent]), agent))[:most_agents]
    return Result(
        overload=overload,
        capacity_per_s=capacity,
        offered_per_s=len(run.waits) / seconds,
        seconds=seconds,
        classes={priority: figures(waits, seconds) for priority, waits in by_class.items() if waits},
        agents={agent: figures(by_agent[agent], seconds) for agent in busiest},
        most_dispatchers=max((sample.dispatchers for sample in run.samples), default=0),
        most_in_flight=max((sample.in_flight for sample in run.samples), default=0),
    )


def figures(waits: Sequence[Wait], seconds: float) -> Figures:
    """Of some requests. Waits are those of the called ones."""
    called = sorted(wait.waited_s for wait in waits if wait.status == "ok")
    ended = Counter(wait.status for wait in waits)
    in_time = sum(wait.status == "ok" and wait.came_at_s + wait.waited_s <= seconds for wait in waits)
    return Figures(
        requests=len(waits),
        called=ended["ok"],
        expired=ended["expired"],
        refused=ended["error"],
        wait_p50_s=quantile(called, 0.5),
        wait_p95_s=quantile(called, 0.95),
        wait_max_s=quantile(called, 1.0),
        called_per_s=in_time / seconds,
    )


def quantile(ascending: Sequence[float], share: float) -> float:
    """The smallest value that `share` of them do not exceed; 0 of none."""
    return ascending[min(len(ascending) - 1, int(share * len(ascending)))] if ascending else 0.0


def wait_plot(run: PaperRun, title: str, note: str) -> str:
    """An SVG: over the time of arrival, waits by class, waits by agent, and what was waiting."""
    end = max(1, int(run.lasted_s) + 1)
    step = max(1, end // 10)
    ticks = [float(second) for second in range(0, end + step, step)]
    colours = dict(zip(PRIORITIES, COLOURS, strict=False))
    by_class = [
        Line(priority, _over_time((w for w in run.waits if w.priority == priority), 0.95), colours[priority])
        for priority in PRIORITIES
    ]
    busiest = Counter(wait.agent_id for wait in run.waits).most_common(1)[0][0]
    waiting: list[Line] = [
        Line(priority, [(s.at_s, float(s.waiting[priority])) for s in run.samples], colours[priority], steps=True)
        for priority in PRIORITIES
    ]
    panels = [
        Panel("wait for dispatch by class, p95 of each second's arrivals (s)", by_class),
        Panel(
            f"wait by agent, median (s): the busiest, {busiest}, and the median of the others", _agents(run, busiest)
        ),
        Panel("requests waiting", waiting),
    ]
    return line_chart(title, panels, x_ticks=ticks, x_title="seconds", note=note)


def _agents(run: PaperRun, busiest: str) -> list[Line]:
    others: dict[str, list[Wait]] = defaultdict(list)
    for wait in run.waits:
        if wait.agent_id != busiest:
            others[wait.agent_id].append(wait)
    seconds: dict[float, list[float]] = defaultdict(list)
    for waits in others.values():
        for second, value in _over_time(waits, 0.5):
            seconds[second].append(value)
    return [
        Line(busiest, _over_time((wait for wait in run.waits if wait.agent_id == busiest), 0.5), COLOURS[1]),
        Line("the others", [(second, median(values)) for second, values in sorted(seconds.items())], COLOURS[0]),
    ]


def _over_time(waits: Iterable[Wait], share: float) -> list[tuple[float, float]]:
    """Waits, those of the expired too, by the second of arrival."""
    seconds: dict[int, list[float]] = defaultdict(list)
    for wait in waits:
        seconds[int(wait.came_at_s)].append(wait.waited_s)
    return [(float(second), quantile(sorted(found), share)) for second, found in sorted(seconds.items())]
