"""What nobody uses is granted to who asks in one round, and the limit holds all the same."""

import random
from itertools import pairwise

import pytest

from schemas.lease import Grant
from streams.limits.amount import NONE
from streams.limits.books.ledger import LeaseRules, Ledger
from streams.limits.books.share import share
from tests.unit.limits.test_ledger import T, demand, granted
from tests.unit.limits.test_schedules import SCHEDULES, share_used
from tests.unit.limits.world import LIMIT, Worker, World, most_in_a_window, offered, refused

SIZES = (20_000, 33_000, 46_000, 62_000, 80_000)


def quiet(seed: int, workers: int = 2) -> World:
    """A fleet that was started twenty seconds ago and was asked nothing."""
    world = World(seed)
    for number in range(workers):
        world.add(f"w{number}", lambda now: [])
    world.run(20)
    return world


def asked(world: World, worker: Worker, tokens: int, run_s: float) -> float:
    """Ask for one call, and let time pass. How many seconds it waited; infinite if it was not made."""
    at, before = world.now, len(world.calls)
    worker.queue.append((at, tokens))
    world.run(run_s)
    found = [call.began - at for call in world.calls[before:] if call.tokens == tokens]
    return found[0] if found else float("inf")


@pytest.mark.parametrize("seed", range(3))
def test_a_large_request_goes_within_a_second(seed: int) -> None:
    world = quiet(seed)
    waits = [asked(world, world.workers[number % 2], tokens, 61.0) for number, tokens in enumerate(SIZES)]
    assert max(waits) < 1.0
    assert refused(world.calls) == 0


def test_the_first_request_of_a_fleet_may_be_a_large_one() -> None:
    world = World(9)
    worker = world.add("w0", lambda now: [])
    world.add("w1", lambda now: [])
    assert asked(world, worker, 70_000, 5.0) < 1.5  # the grantor is found meanwhile


def test_a_request_estimated_above_the_limit_goes_beside_small_ones_and_holds_them_up_little() -> None:
    world = World(1)
    world.add("small", lambda now: [300] * (now % 5 < 0.05))
    large = world.add("large", lambda now: [])
    world.run(80)
    assert world.estimate(78_000) > LIMIT.tokens
    assert asked(world, large, 78_000, 60.0) < 1.0
    small = [call.began for call in world.calls if call.tokens == 300]
    assert max(later - before for before, later in pairwise(small)) < 8.0
    assert refused(world.calls) == 0


@pytest.mark.parametrize("seed", range(max(2, SCHEDULES // 2)))
def test_large_requests_at_any_time_keep_to_the_limit(seed: int) -> None:
    fate = random.Random(seed)
    world = quiet(seed, workers=fate.randint(1, 4))
    for _ in range(8):
        for _ in range(fate.choice([1, 1, 2, 5])):
            fate.choice(world.workers).queue.append((world.now, fate.randint(500, 85_000)))
        if fate.random() < 0.2:
            fate.choice(world.workers).paused_until = world.now + fate.choice([0.5, 5.0, 30.0])
        world.run(fate.choice([0.3, 5.0, 30.0, 60.0]))
    tokens, requests = most_in_a_window(world.calls)
    assert tokens <= LIMIT.tokens
    assert requests <= LIMIT.requests
    assert refused(world.calls) == 0


def test_after_a_large_request_a_load_finds_its_pace() -> None:
    world = quiet(4)
    asked(world, world.workers[0], 60_000, 5.0)
    world.workers[1].load = offered(world.rng, 11.0)
    world.run(180)
    assert share_used(world, 25 + 60, 120) >= 0.95
    calls = sorted(call.began for call in world.calls if call.began > world.began + 30)
    assert max(later - before for before, later in pairwise(calls)) < 15.0
    assert refused(world.calls) == 0


RULES = LeaseRules(lease_s=3.0, burst_share=0.2, standing_share=0.1)


def books() -> Ledger:
    ledger = Ledger(LIMIT, RULES)
    ledger.advance(T)
    return ledger


def test_all_that_waits_is_granted_in_one_round_where_it_fits() -> None:
    ledger = books()
    for worker, tokens in (("a", 40_000), ("b", 45_000)):
        ledger.demand(T, demand(worker, 1, requests=1, tokens=tokens, head_tokens=tokens))
    shares = share(ledger, {"a", "b"}, T)
    assert not shares.scarce
    assert {worker: given.tokens for worker, given in shares.grants.items()} == {"a": 40_000, "b": 45_000}


def test_what_does_not_fit_together_is_paced_and_one_call_may_be_larger_than_the_burst_after_a_rest() -> None:
    ledger = books()
    for worker in ("a", "b", "c"):
        ledger.demand(T, demand(worker, 1, requests=1, tokens=35_000, head_tokens=35_000))
    shares = share(ledger, {"a", "b", "c"}, T)
    assert shares.scarce
    assert [given.tokens for given in shares.grants.values()] == [35_000]


def test_what_quiet_workers_hold_is_recalled_for_a_head_that_needs_it_and_once() -> None:
    ledger = books()
    ledger.grant(0, granted("quiet", 5_000))
    ledger.demand(T, demand("large", 1, requests=1, tokens=88_000, head_tokens=88_000))
    shares = share(ledger, {"quiet", "large"}, T)
    assert (shares.grants, shares.recalled) == ({}, ("quiet",))
    ledger.grant(1, granted("nobody", 0).model_copy(update={"recalled": ["quiet"]}))
    assert share(ledger, {"quiet", "large"}, T).recalled == ()
    ledger.demand(T + 0.1, demand("quiet", 1, seen=1))
    assert share(ledger, {"quiet", "large"}, T + 0.1).grants["large"].tokens == 88_000


def test_nothing_is_recalled_where_that_would_not_help() -> None:
    ledger = books()
    ledger.grant(0, granted("quiet", 5_000))
    ledger.demand(T, demand("used", 1, requests=0, open=Grant(1, 30_000)))
    ledger.demand(T, demand("large", 1, requests=1, tokens=88_000, head_tokens=88_000))
    assert share(ledger, {"quiet", "large", "used"}, T).recalled == ()
    assert ledger.needed != NONE
