import collections

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ops.load import Arrival, PriorityMix, plan_requests
from ops.load.request import prompt, request_value

ONE_MEGABYTE = 1_000_000


def arrivals(count: int) -> list[Arrival]:
    return [Arrival(i / 10, f"agent-{i % 7}", f"chat-{i % 3}", 100 + i, 20) for i in range(count)]


@given(st.integers(0, 999_999_999), st.integers(0, 999_999_999))
def test_no_request_is_larger_than_the_contract_allows(prompt_tokens: int, completion_tokens: int) -> None:
    value = request_value(Arrival(0, "agent-1", "chat-1", prompt_tokens, completion_tokens), "run-000001")
    assert len(orjson.dumps(value)) < ONE_MEGABYTE


@given(st.integers(10, 100_000))
def test_a_prompt_has_four_bytes_a_token(tokens: int) -> None:
    assert len(prompt("run-000001", tokens).encode()) == tokens * 4


def test_the_value_is_the_contracts() -> None:
    (planned,) = plan_requests(arrivals(1), run="run", timeout_s=20)
    assert planned.value["request_id"] == planned.request_id == "run-000000"
    assert planned.value["agent_id"] == planned.agent_id == "agent-0"
    assert planned.value["conversation_id"] == "chat-0"
    assert planned.value["operation"] == "chat.completions"
    assert planned.value["timeout_s"] == 20
    assert planned.value["payload"]["max_tokens"] == 20
    assert planned.value["payload"]["headrace_sim"] == {
        "id": "run-000000",
        "prompt_tokens": 100,
        "completion_tokens": 20,
    }


def test_a_real_provider_gets_no_field_of_the_simulators() -> None:
    (planned,) = plan_requests(arrivals(1), run="run", simulated=False)
    assert "headrace_sim" not in planned.value["payload"]


def test_ids_and_payloads_are_all_different_and_repeat_with_the_seed() -> None:
    planned = list(plan_requests(arrivals(500), run="run", seed=3))
    assert planned == list(plan_requests(arrivals(500), run="run", seed=3))
    assert len({p.request_id for p in planned}) == 500
    assert len({orjson.dumps(p.value["payload"]) for p in planned}) == 500


def test_priorities_have_the_shares_of_the_mix() -> None:
    planned = plan_requests(arrivals(5000), run="run", mix=PriorityMix(high=1, normal=1, low=2))
    counts = collections.Counter(p.priority for p in planned)
    assert counts["low"] == pytest.approx(2500, rel=0.1)
    assert counts["high"] == pytest.approx(1250, rel=0.1)
