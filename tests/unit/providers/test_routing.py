"""Routing policies: who gets the next call."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

import pytest
from hypothesis import given
from hypothesis import strategies as st
from xxhash import xxh64_intdigest

from streams.providers.routing import Affinity, LeastConnections, RoundRobin, Weighted


@dataclass
class Place:
    place: int
    weight: int = 1
    in_flight: int = 0
    hash_seed: int = field(init=False)

    def __post_init__(self) -> None:
        self.hash_seed = xxh64_intdigest(f"http://endpoint-{self.place}".encode())


def test_round_robin_takes_each_in_turn_and_skips_who_is_missing() -> None:
    policy, (a, b, c) = RoundRobin(), [Place(number) for number in range(3)]
    assert [policy.pick([a, b, c], "").place for _ in range(4)] == [0, 1, 2, 0]
    assert [policy.pick([a, c], "").place for _ in range(3)] == [2, 0, 2]


def test_least_connections_takes_the_idlest_and_turns_between_equals() -> None:
    policy = LeastConnections()
    places = [Place(0, in_flight=2), Place(1), Place(2)]
    assert [policy.pick(places, "").place for _ in range(3)] == [1, 2, 1]


@given(st.lists(st.integers(1, 9), min_size=1, max_size=6), st.integers(1, 4))
def test_weighted_gives_each_exactly_its_weight_in_every_round(weights: list[int], rounds: int) -> None:
    policy, places = Weighted(), [Place(number, weight) for number, weight in enumerate(weights)]
    for _ in range(rounds):
        picks = Counter(policy.pick(places, "").place for _ in range(sum(weights)))
        assert picks == dict(enumerate(weights))


def test_weighted_mixes_evenly() -> None:
    policy, places = Weighted(), [Place(0, 5), Place(1), Place(2)]
    assert [policy.pick(places, "").place for _ in range(7)] == [0, 0, 1, 0, 2, 0, 0]  # the example of nginx's commit


@given(
    st.lists(st.integers(1, 1000), min_size=2, max_size=5),
    st.lists(st.integers(1, 9), min_size=2, max_size=5),
    st.integers(0, 3000),
)
def test_other_weights_hold_after_one_round(before: list[int], after: list[int], picks: int) -> None:
    """Weights that were lowered from 3:1 to 1:1 did not rebalance (weibocom/nginx-upsync-module#28)."""
    policy = Weighted()
    places = [Place(number, weight) for number, weight in enumerate(before)]
    for _ in range(picks):
        policy.pick(places, "")
    places = [Place(number, weight) for number, weight in enumerate(after)]
    total = sum(after)
    for _ in range(2 * total * len(after)):
        policy.pick(places, "")
    found = Counter(policy.pick(places, "").place for _ in range(100 * total))
    assert all(abs(found[each.place] - 100 * each.weight) <= 2 * total for each in places)


def test_equal_weights_after_a_thousand_to_one_are_equal_at_once() -> None:
    policy = Weighted()
    for _ in range(999):
        policy.pick([Place(0, 1000), Place(1)], "")
    found = Counter(policy.pick([Place(0), Place(1)], "").place for _ in range(20))
    assert abs(found[0] - found[1]) <= 6


@pytest.mark.parametrize("count", [3, 5, 10])
def test_when_an_endpoint_leaves_only_its_own_conversations_move(count: int) -> None:
    policy, places = Affinity(), [Place(number) for number in range(count)]
    keys = [f"chat-{number}" for number in range(5_000)]
    before = {key: policy.pick(places, key).place for key in keys}
    assert max(Counter(before.values()).values()) < 1.25 * len(keys) / count
    after = {key: policy.pick(places[:-1], key).place for key in keys}
    moved = [key for key in keys if before[key] != after[key]]
    assert all(before[key] == count - 1 for key in moved)
    assert len(moved) / len(keys) <= 1 / count + 0.05


@given(st.lists(st.integers(0, 40), min_size=1, max_size=6), st.text(max_size=10))
def test_affinity_never_loads_an_endpoint_far_above_the_mean(loads: list[int], key: str) -> None:
    places = [Place(number, in_flight=load) for number, load in enumerate(loads)]
    chosen = Affinity().pick(places, key)
    assert chosen.in_flight < 1.25 * (sum(loads) + 1) / len(loads) + 1


def test_a_conversation_stays_where_it_is_while_the_load_is_even() -> None:
    policy, places = Affinity(), [Place(number, in_flight=3) for number in range(3)]
    assert len({policy.pick(places, "chat-1").place for _ in range(50)}) == 1


def test_affinity_respects_weights() -> None:
    policy, places = Affinity(), [Place(0, 3), Place(1, 1)]
    picks = Counter(policy.pick(places, f"chat-{number}").place for number in range(8_000))
    assert picks[0] / 8_000 == pytest.approx(0.75, abs=0.02)
