import pytest
from hypothesis import given
from hypothesis import strategies as st

from ops.load import SHIPPED_TRACE, TraceRow, rate_scale_for, read_trace, schedule

gaps = st.lists(st.floats(0.001, 10), min_size=1, max_size=50)


def rows_of(gaps_s: list[float]) -> list[TraceRow]:
    at_s, rows = 0.0, []
    for gap_s in gaps_s:
        rows.append(TraceRow(at_s, 10, 20))
        at_s += gap_s
    return rows


@given(gaps, st.floats(0.1, 20))
def test_times_between_arrivals_are_the_traces_scaled(gaps_s: list[float], rate_scale: float) -> None:
    rows = rows_of(gaps_s)
    arrivals = list(schedule(rows, rate_scale=rate_scale))
    assert [a.at_s * rate_scale for a in arrivals] == pytest.approx([r.at_s for r in rows])
    assert [(a.prompt_tokens, a.completion_tokens) for a in arrivals] == [(10, 20)] * len(rows)


@given(gaps, st.floats(0.1, 100))
def test_nothing_arrives_after_the_duration_and_nothing_before_it_is_left_out(
    gaps_s: list[float], duration_s: float
) -> None:
    rows = rows_of(gaps_s)
    assert len(list(schedule(rows, duration_s=duration_s))) == sum(row.at_s < duration_s for row in rows)


@given(st.integers(1, 40), st.integers(1, 40), st.integers(0, 5))
def test_agents_stay_with_their_chats_and_the_draws_repeat(agents: int, chats: int, seed: int) -> None:
    rows = rows_of([0.1] * 300)
    arrivals = list(schedule(rows, agents=agents, chats=chats, seed=seed))
    assert arrivals == list(schedule(rows, agents=agents, chats=chats, seed=seed))
    seen_chats: dict[str, set[str]] = {}
    for arrival in arrivals:
        seen_chats.setdefault(arrival.agent_id, set()).add(arrival.conversation_id)
    assert set(seen_chats) <= {f"agent-{i}" for i in range(agents)}
    assert set().union(*seen_chats.values()) <= {f"chat-{i}" for i in range(chats)}
    most = -(-chats // agents)
    assert all(len(own) <= most for own in seen_chats.values())


def test_a_faster_run_has_the_same_agents() -> None:
    rows = rows_of([1.0] * 50)
    slow, fast = list(schedule(rows)), list(schedule(rows, rate_scale=5))
    assert [a.agent_id for a in slow] == [a.agent_id for a in fast]


@pytest.mark.parametrize(("rate_per_s", "over_s"), [(25, 60), (5, 10), (100, 30)])
def test_the_shipped_trace_reaches_a_wanted_rate_over_its_beginning(rate_per_s: float, over_s: float) -> None:
    rows = read_trace(SHIPPED_TRACE)
    scale = rate_scale_for(rows, rate_per_s=rate_per_s, over_s=over_s)
    arrivals = list(schedule(rows, rate_scale=scale, duration_s=over_s, agents=100, chats=50))
    assert len(arrivals) == pytest.approx(rate_per_s * over_s, abs=2)


def test_the_demo_has_all_of_its_agents_and_chats() -> None:
    rows = read_trace(SHIPPED_TRACE)
    scale = rate_scale_for(rows, rate_per_s=25, over_s=60)
    arrivals = list(schedule(rows, rate_scale=scale, duration_s=60, agents=100, chats=50))
    assert len({a.agent_id for a in arrivals}) == 100
    assert len({a.conversation_id for a in arrivals}) == 50


def test_a_trace_too_short_for_the_rate_is_refused() -> None:
    with pytest.raises(ValueError, match="are 100 requests and the trace has 10: lower"):
        rate_scale_for(rows_of([1.0] * 10), rate_per_s=10, over_s=10)


@pytest.mark.parametrize("wrong", [{"rate_scale": 0}, {"agents": 0}, {"chats": 0}, {"duration_s": 0}])
def test_arguments_that_make_no_load_are_refused(wrong: dict[str, int]) -> None:
    with pytest.raises(ValueError, match="must be greater than 0"):
        list(schedule([], **wrong))
