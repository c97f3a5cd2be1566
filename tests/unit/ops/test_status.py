"""What `headrace status` makes of what it found."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from ops.admin import agents, providers
from ops.admin.ask_workers import Asked
from ops.admin.status import Facts, State, judge
from ops.ui.fleet import WorkerSeen
from ops.ui.pages.limits import LimitLine
from schemas.metric_sample import Application, MetricSample, System
from streams.flow.stats import AgentStats, FlowStats
from streams.providers.health import EndpointState
from streams.providers.stats import EndpointStats
from topics.plan import Difference


def worker(name: str, *owned: int) -> WorkerSeen:
    sample = MetricSample.model_validate(
        {
            "worker_id": name, "at": datetime.now(UTC), "interval_s": 1, "partitions": len(owned), "owned": owned,
            "system": System(), "application": Application(0, {}),
        }
    )  # fmt: skip
    return WorkerSeen(sample, 0.5)


def endpoint(state: EndpointState, name: str = "", url: str = "http://a/v1") -> EndpointStats:
    return EndpointStats("main", url, state, 1, 2, 8, "status 200", 3.0, [], name)


def facts(**changed: Any) -> Facts:
    well = Facts(
        servers="127.0.0.1:9092",
        topics=15,
        differences=(),
        workers=[worker("w0", 0, 1), worker("w1", 2, 3)],
        partitions=4,
        asked=[Asked("w0", "127.0.0.1:1", [endpoint("healthy")]), Asked("w1", "127.0.0.1:2", [endpoint("healthy")])],
        limits=[],
        lag={"high": 0, "normal": 7, "low": 0},
        lag_age_s=2.0,
        wanted=2,
        front="answers",
        front_listen="127.0.0.1:4000",
    )
    return replace(well, **changed)


def part(name: str, given: Facts) -> tuple[State, str]:
    found = next(each for each in judge(given).parts if each.name == name)
    return found.state, found.says


def test_a_fleet_that_is_well_ends_with_0() -> None:
    assert (judge(facts()).state, judge(facts()).exit_code) == ("ok", 0)


@pytest.mark.parametrize(
    ("changed", "name", "words"),
    [
        ({"workers": []}, "workers", "none"),
        ({"workers": [worker("w0", 0, 1)]}, "workers", "1 of 2 wanted, 2 of 4 partitions"),
        ({"lag_age_s": 300.0}, "control", "says nothing for 300 s"),
        ({"lag_age_s": None, "lag": None}, "control", "says nothing"),
        ({"front": "not ready"}, "front", "not ready"),
        ({"asked": [Asked("w0", None, None, "its samples name no address")]}, "providers", "no worker could be asked"),
        ({"asked": [Asked("w0", "x:1", [endpoint("healthy"), endpoint("open", "b")])]}, "providers", "1 of 2 healthy"),
        (
            {"differences": [Difference("missing", "a", "", "12", "", "headrace topics apply")]},
            "topics",
            "1 missing",
        ),
        (
            {"limits": [LimitLine("main", "*", "tokens", 90_000, 90_000, 0, 0, 5_000)]},
            "limits",
            "calls wait for tokens of main",
        ),
    ],
)
def test_what_is_wrong_is_named_and_ends_with_1(changed: dict[str, Any], name: str, words: str) -> None:
    state, says = part(name, facts(**changed))
    assert state == "degraded"
    assert words in says
    assert judge(facts(**changed)).exit_code == 1


def test_no_front_is_no_fault() -> None:
    assert part("front", facts(front="silent"))[0] == "ok"


def test_two_keys_on_one_url_are_two_endpoints_of_the_fleet() -> None:
    one, two = endpoint("healthy", "key-a"), endpoint("refused", "key-b")
    found = providers.together([[one, two], [one, replace(two, state="healthy")]])
    assert [(each.name, each.state, each.in_flight, each.free) for each in found] == [
        ("key-a", "healthy", 4, 16),
        ("key-b", "healthy at 1, refused at 1", 4, 16),
    ]


def flow(in_flight: int, *busy: tuple[str, float, int]) -> FlowStats:
    stats = [AgentStats(name, "", waiting, 1, 10, share, False) for name, share, waiting in busy]
    return FlowStats({"high": 0, "normal": 1, "low": 0}, 1.0, in_flight, 2, len(stats), stats)


def test_an_agents_share_of_the_fleet_counts_by_each_workers_calls() -> None:
    found = agents.together([flow(9, ("a", 1.0, 3)), flow(1, ("b", 1.0, 0))])
    assert [(each.agent_id, each.busy_share, each.waiting) for each in found.agents] == [("a", 0.9, 3), ("b", 0.1, 0)]
    assert (found.in_flight, found.waiting["normal"], found.agents_known) == (10, 2, 2)


def test_an_idle_fleet_has_no_agents() -> None:
    assert not agents.together([flow(0), flow(0)]).agents


def test_settings_that_may_not_be_seen_are_not_called_as_the_contract_wants_them() -> None:
    """MaterializeInc/materialize#18853: what may not be seen was taken for what is as it should be."""
    line = "agent.responses: an ACL is missing, this user needs DescribeConfigs on topic agent.responses"
    (topics,) = [each for each in judge(facts(unseen=(line,))).parts if each.name == "topics"]
    assert "as far as can be seen" in topics.says
    assert topics.more == (line,)
    assert judge(facts(unseen=(line,))).exit_code == 0, "nothing is known to be wrong"
