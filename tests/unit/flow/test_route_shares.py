"""One provider's requests fill a share of what may wait, and the others' go on."""

from __future__ import annotations

import time
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streams.cache.flights import Flights
from streams.flow.dispatch import Dispatch
from streams.flow.rules import scheduler_of
from streams.limits import Route
from streams.pipeline import PendingRequest
from streams.route_shares import RouteRules, RouteShares
from tests.support.requests import pending, rules
from tests.unit.flow.test_dispatch import Answered, HandledProviders
from tests.unit.flow.test_refusals import errors


def of(provider: str, partition: int, size: int = 500) -> PendingRequest:
    request = pending(model=provider)
    request.route, request.size = Route(provider, provider), size
    request.event_id = b"agent.requests.normal:%d:7" % partition
    return request


def test_a_provider_that_gets_nothing_done_fills_its_share_of_each_partition_and_of_the_class() -> None:
    shares = RouteShares(RouteRules(most_requests=3, most_bytes=10_000))
    for partition in (0, 0, 0, 1, 1):
        assert not shares.is_full(of("dead", partition))
        shares.put(of("dead", partition))
    assert shares.is_full(of("dead", 0))
    assert not shares.is_full(of("dead", 1))
    shares.put(of("dead", 2))
    assert shares.is_full(of("dead", 1)), "the class"
    assert not shares.is_full(of("live", 0))


def test_bytes_count_too() -> None:
    shares = RouteShares(RouteRules(most_requests=100, most_bytes=1_200))
    shares.put(of("dead", 0))
    assert not shares.is_full(of("dead", 0, 700))
    assert shares.is_full(of("dead", 0, 701))


@given(st.lists(st.tuples(st.sampled_from("ab"), st.integers(0, 2), st.booleans())))
def test_what_was_taken_out_makes_room_and_leaves_nothing_behind(steps: list[tuple[str, int, bool]]) -> None:
    shares, model = RouteShares(RouteRules(2, 10**9)), Counter[tuple[str, int]]()
    for provider, partition, is_put in steps:
        request = of(provider, partition)
        if is_put:
            shares.put(request)
            model[provider, partition] += 1
        elif model[provider, partition]:
            shares.take(request)
            model[provider, partition] -= 1
        whole = sum(count for (name, _), count in model.items() if name == provider)
        assert shares.is_full(request) == (model[provider, partition] >= 2 or whole >= 4)
    for (provider, partition), count in model.items():
        for _ in range(count):
            shares.take(of(provider, partition))
    assert not shares._waiting


@pytest.mark.parametrize(("rules_of_routes", "refused"), [(RouteRules(2, 10**6), 3), (None, 0)])
async def test_what_is_over_a_providers_share_is_refused(rules_of_routes: RouteRules | None, refused: int) -> None:
    providers, answered = HandledProviders(small=0), Answered()
    shares = RouteShares(rules_of_routes)
    dispatch = Dispatch(
        rules(), providers, answered, lambda: 1000.0, time.monotonic, scheduler_of(rules(), time.monotonic(), shares)
    )
    dispatch.accept([pending(agent=f"agent-{n}") for n in range(5)])
    assert dispatch.waiting()["normal"] == 5 - refused
    assert errors(answered) == ["queue_full"] * refused
    await dispatch.stop()


def test_who_joins_a_call_waits_for_its_provider_too() -> None:
    shares = RouteShares(RouteRules(2, 10**6))
    flights = Flights(shares)
    leader = of("dead", 0)
    assert flights.join(b"key", leader) == "leads"
    shares.put(leader)  # as flow does, where it waits
    first, second = pending(), pending()
    first.event_id = second.event_id = leader.event_id
    assert flights.join(b"key", first) == "joined"
    assert flights.join(b"key", second) == "full"
    shares.take(leader)
    assert flights.promote(b"key", leader, 0.0) == (first, [])
    assert not shares._waiting


@pytest.mark.parametrize("ends", ["lands", "expires"])
def test_who_has_joined_counts_no_more_when_the_wait_is_over(ends: str) -> None:
    shares = RouteShares(RouteRules(2, 10**6))
    flights, leader, joiner = Flights(shares), of("dead", 0), pending(dispatch_by=5.0)
    flights.join(b"key", leader)
    flights.join(b"key", joiner)
    assert (flights.complete(b"key", leader) if ends == "lands" else flights.take_expired(6.0)) == [joiner]
    assert not shares._waiting
