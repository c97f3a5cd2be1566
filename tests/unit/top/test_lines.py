"""A picture on a terminal of any size, and of a pipe."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len

from ops.top.keys import Looking
from ops.top.lines import screen, snapshot
from ops.top.picture import ClassLine, Picture, WorkerLine
from ops.ui.bottleneck import Verdict
from streams.flow.stats import AgentStats, WaitingFor

SEEN = Picture(
    at=1_780_000_000.0,
    verdict=Verdict("watch", "A provider's limit: calls wait for it, and more workers would wait for it too.", "/limits"),
    answers_per_s=120.4,
    latency={"p50": 0.87, "p95": 1.2, "p99": 2.0},
    failed=0.005,
    waiting=932.0,
    in_flight=40.0,
    cpu=0.34,
    memory=None,
    oldest_in_kafka_s=3.0,
    classes=[
        ClassLine("high", 0, 0, None, False),
        ClassLine("normal", 120, 812, 12.3, False),
        ClassLine("low", 0, 0, None, True),
    ],
    waiting_for=[WaitingFor("normal", "provider_limit", "sim/small, tokens", 812, 12.3)],
    agents=[AgentStats("agent-7", "", 812, 4, 10_000, 0.5, True)],
    workers=[WorkerLine("w-1", 12, 812, 40, 0.34, None, 12.3, 1.0, None)],
)  # fmt: skip


def words(columns: int, rows: int, looking: Looking) -> str:
    return "\n".join(each.text for each in screen(SEEN, looking, columns, rows)[0])


@given(
    st.text(max_size=40),
    st.integers(1, 200),
    st.integers(1, 60),
    st.sampled_from(["overview", "queues"]),
    st.booleans(),
)
def test_no_line_is_wider_and_no_row_is_missing(name: str, columns: int, rows: int, view: str, help_: bool) -> None:
    """Wide characters of a name moved the columns beside it (htop-dev/htop#421)."""
    picture = replace(
        SEEN, agents=[replace(SEEN.agents[0], agent_id=name)], workers=[replace(SEEN.workers[0], worker_id=name)]
    )
    lines, _ = screen(picture, Looking(view, help=help_), columns, rows)  # type: ignore[arg-type]
    assert len(lines) == rows
    assert all(cell_len(each.text) <= columns for each in lines)
    assert all(
        each.text.isprintable() or not each.text or "\u200d" in each.text or "\u200c" in each.text for each in lines
    )


def test_the_overview_fits_sixty_columns_and_tells_all() -> None:
    seen = words(60, 24, Looking())
    for wanted in (
        "Limits now: A provider's limit",
        "answers/s 120.4",
        "p95       1.2 s",
        "failed    0.5 %",
        "812",
        "12.3 s",
        "paused",
        "w-1",
    ):
        assert wanted in seen, seen  # fmt: skip


def test_the_queues_tell_who_waits_for_what() -> None:
    seen = words(100, 30, Looking("queues"))
    assert "provider_limit (sim/small, tokens)" in seen
    assert "behind all others" in seen


def test_what_does_not_fit_is_scrolled_to_and_said() -> None:
    lines, looking = screen(SEEN, Looking(), 60, 10)
    assert "more below" in lines[-1].text
    last, _ = screen(SEEN, looking.after("page down", 7, 30).after("page down", 7, 30), 60, 10)
    assert "w-1" in "".join(each.text for each in last)
    assert "more below" not in last[-1].text


def test_a_pipe_has_both_views_and_no_escape() -> None:
    seen = "\n".join(each.text for each in snapshot(SEEN, 100))
    assert "Limits now" in seen
    assert "agent-7" in seen
    assert seen.count("in Kafka  waiting") == 1
    assert "\x1b" not in seen


@pytest.mark.parametrize("problem", ["the broker is away\x1b[2J", None])
def test_a_broker_that_goes_away_is_told_below_the_last_picture(problem: str | None) -> None:
    lines, _ = screen(SEEN, Looking(), 60, 24, problem)
    assert ("the broker is away\\x1b" in lines[-1].text) == (problem is not None)
    assert "120.4" in "".join(each.text for each in lines)
