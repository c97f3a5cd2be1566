"""Is the fleet well? One line for each of its parts, and a verdict for scripts. The judgement is pure; `look` gathers for it."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Literal

from aiohttp import ClientError, ClientSession, ClientTimeout

from ops.admin import providers
from ops.admin.ask_workers import Asked, ask_all
from ops.admin.whole_fleet import FleetUnseenError, see_fleet
from ops.ui.fleet import FleetView, WorkerSeen
from ops.ui.pages.limits import LimitLine, lines_of
from streams.kafka import provision
from streams.providers.stats import EndpointStats
from streams.settings import Settings
from topics.plan import Difference

State = Literal["ok", "degraded", "unknown"]

_NEARLY_USED: Final = 0.95
_FRONT_WITHIN_S: Final = 2.0
_STALE_INTERVALS: Final = 3


@dataclass(frozen=True, slots=True)
class Part:
    """One part of the fleet: how it is, in a line, and what more there is to say of it."""

    name: str
    state: State
    says: str
    more: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Status:
    """`ok`; `degraded`: something is wrong; `unknown`: nothing can be said, since the broker or its topics cannot be read."""

    state: State
    parts: tuple[Part, ...]

    @property
    def exit_code(self) -> int:
        return {"ok": 0, "degraded": 1, "unknown": 2}[self.state]


@dataclass(frozen=True, slots=True)
class Facts:
    """What was found out. Ages are seconds; None where nobody tells."""

    servers: str
    topics: int
    differences: Sequence[Difference]
    workers: Sequence[WorkerSeen]
    partitions: int
    asked: Sequence[Asked[list[EndpointStats]]]
    limits: Sequence[LimitLine]
    lag: Mapping[str, int] | None
    lag_oldest_s: float = 0.0
    lag_age_s: float | None = None
    wanted: int | None = None
    interval_s: float = 10.0
    front: Literal["answers", "silent", "not ready"] = "silent"
    front_listen: str = ""
    extra: tuple[Part, ...] = field(default=())
    unseen: Sequence[str] = ()
    """What of the topics this user may not see, a line each."""


async def look(settings: Settings) -> Status:
    """Ask the broker, the fleet's topics and every worker. Raises nothing of theirs."""
    try:
        facts = await _facts(settings)
    except (provision.ProvisionError, FleetUnseenError) as error:
        return Status("unknown", (Part("broker", "unknown", " ".join(str(error).split())),))
    return judge(facts)


async def _facts(settings: Settings) -> Facts:
    wanted = settings.catalogue()
    report = await provision.check(settings.kafka.client_options(), wanted)
    view = await see_fleet(settings)
    now = time.time()
    workers, backlog = view.workers(now), view.backlog()
    asked, front = await asyncio.gather(
        ask_all([each.sample for each in workers], providers.look), _front(settings.front.listen)
    )
    return Facts(
        servers=settings.kafka.bootstrap_servers,
        topics=len(list(wanted)),
        differences=report.differences,
        unseen=(*report.denied, *report.notes),
        workers=workers,
        partitions=settings.topics.partitions,
        asked=asked,
        limits=lines_of(view, now),
        lag=None if backlog is None else {str(name): count for name, count in backlog.lag.items()},
        lag_oldest_s=0.0 if backlog is None else backlog.oldest_s,
        lag_age_s=None if backlog is None else now - backlog.at.timestamp(),
        wanted=_wanted(view),
        interval_s=settings.metrics.interval,
        front=front,
        front_listen=settings.front.listen,
    )


def _wanted(view: FleetView) -> int | None:
    decisions = view.decisions()
    return decisions[-1].decision.workers_wanted if decisions else None


async def _front(listen: str) -> Literal["answers", "silent", "not ready"]:
    try:
        async with (
            ClientSession(timeout=ClientTimeout(_FRONT_WITHIN_S)) as session,
            session.get(f"http://{listen}/readyz", allow_redirects=False) as answer,
        ):
            return "not ready" if answer.status == 503 else "answers"
    except (ClientError, TimeoutError, OSError, ValueError):
        return "silent"


def judge(facts: Facts) -> Status:
    """What the facts say."""
    parts = (
        Part("broker", "ok", facts.servers),
        _topics(facts),
        _workers(facts),
        _control(facts),
        _fronts(facts),
        _providers(facts),
        _limits(facts),
        _lag(facts),
    )
    return Status("degraded" if any(each.state == "degraded" for each in parts) else "ok", parts)


def _topics(facts: Facts) -> Part:
    if not facts.differences:
        says = f"{facts.topics} as the contract wants them"
        says += ", as far as can be seen: not the settings of all" if facts.unseen else ""
        return Part("topics", "ok", says, tuple(facts.unseen))
    more = (*map(str, facts.differences), *facts.unseen)
    missing = sum(each.kind == "missing" for each in facts.differences)
    says = f"{missing} missing" if missing else f"{len(facts.differences)} differ from the contract"
    return Part("topics", "degraded", f"{says}: headrace topics apply", more)


def _workers(facts: Facts) -> Part:
    count = len(facts.workers)
    if not count:
        return Part("workers", "degraded", "none has sent a sample of late")
    owners: Counter[int] = Counter(number for each in facts.workers for number in each.sample.owned)
    says = f"{count} of {facts.wanted} wanted" if facts.wanted and facts.wanted != count else f"{count}"
    says += f", {len(owners)} of {facts.partitions} partitions"
    unseen = [f"{each.worker_id}: {each.problem}" for each in facts.asked if each.said is None]
    lacking = len(owners) < facts.partitions or (facts.wanted is not None and count < facts.wanted)
    return Part("workers", "degraded" if lacking else "ok", says, tuple(unseen))


def _control(facts: Facts) -> Part:
    if facts.lag_age_s is None or facts.lag_age_s > _STALE_INTERVALS * facts.interval_s:
        since = "" if facts.lag_age_s is None else f" for {facts.lag_age_s:.0f} s"
        return Part("control", "degraded", f"says nothing{since}: headrace control")
    return Part("control", "ok", f"spoke {max(0.0, facts.lag_age_s):.0f} s ago")


def _fronts(facts: Facts) -> Part:
    if facts.front == "answers":
        return Part("front", "ok", f"answers at {facts.front_listen}")
    if facts.front == "not ready":
        return Part("front", "degraded", f"not ready at {facts.front_listen}")
    return Part("front", "ok", f"none at {facts.front_listen}")


def _providers(facts: Facts) -> Part:
    states: dict[str, Counter[str]] = {}
    for asked in facts.asked:
        for each in asked.said or ():
            states.setdefault(f"{each.provider} {each.label}", Counter())[each.state] += 1
    if not states:
        return Part("providers", "degraded" if facts.workers else "unknown", "no worker could be asked")
    more = tuple(
        f"{name}: " + ", ".join(f"{state} at {count}" for state, count in found.items())
        for name, found in states.items()
        if set(found) != {"healthy"}
    )
    return Part("providers", "degraded" if more else "ok", f"{len(states) - len(more)} of {len(states)} healthy", more)


def _limits(facts: Facts) -> Part:
    if not facts.limits:
        return Part("limits", "ok", "none in use")
    more = tuple(
        f"{each.provider}/{each.model} {each.resource}: {each.used_share:.0%} of {each.allowed:,.0f} used"
        + (f", {each.waiting:,.0f} wanted" if each.waiting else "")
        for each in facts.limits
    )
    used_up = [each for each in facts.limits if each.waiting and each.used_share >= _NEARLY_USED]
    if used_up:
        return Part("limits", "degraded", f"calls wait for {used_up[0].resource} of {used_up[0].provider}", more)
    return Part("limits", "ok", f"most used: {max(each.used_share for each in facts.limits):.0%}", more)


def _lag(facts: Facts) -> Part:
    if facts.lag is None:
        return Part("lag", "unknown", "nobody measures it: headrace control")
    total = sum(facts.lag.values())
    more = tuple(f"{name}: {count:,}" for name, count in facts.lag.items() if count)
    return Part("lag", "ok", f"{total:,} records, the oldest {facts.lag_oldest_s:,.0f} s", more)


def as_json(status: Status) -> dict[str, Any]:
    """For programs."""
    return {"state": status.state, "parts": status.parts}
