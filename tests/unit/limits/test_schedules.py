"""The cores of leases under thousands of random schedules: the judge counts calls and knows nothing of leases."""

import os
import random

import pytest

from streams.limits.amount import Amount
from streams.limits.books.ledger import LeaseRules
from tests.unit.limits.world import LIMIT, Worker, World, most_in_a_window, offered

SCHEDULES = int(os.environ.get("LEASE_SCHEDULES", "4"))
SECONDS = 120


@pytest.mark.parametrize("seed", range(SCHEDULES))
def test_whatever_dies_pauses_or_is_late_no_window_sees_more_than_the_limit(seed: int) -> None:
    fate = random.Random(seed)
    world = World(
        seed,
        rules=LeaseRules(lease_s=fate.choice([1.0, 3.0, 6.0]), burst_share=fate.choice([0.05, 0.2, 0.9])),
        delay_s=fate.choice([0.005, 0.05, 0.4]),
        repeated_share=fate.choice([0, 0.1]),
        failed_share=fate.choice([0, 0.05, 0.2]),
        lost_share=fate.choice([0, 0.1]),
        call_s=fate.choice([0.3, 3.0, 20.0]),
    )
    for number in range(fate.randint(1, 4)):
        world.add(f"w{number}", offered(world.rng, fate.choice([0.0, 0.2, 2.0, 10.0])))

    def mishap() -> None:
        if world.rng.random() < 0.002:
            world.rng.choice(world.workers).queue.append((world.now, world.rng.randint(10_000, 85_000)))
        if world.rng.random() > 0.01:
            return
        kind = world.rng.choice(["kill", "pause", "start", "leader", "election", "split"])
        victim = world.rng.choice(world.workers)
        if kind == "kill":
            victim.dead = True
        elif kind == "pause":
            victim.paused_until = world.now + world.rng.choice([0.5, 5.0, 20.0, 70.0])
        elif kind == "start" and len(world.workers) < 8:
            world.add(f"w{len(world.workers)}", offered(world.rng, world.rng.choice([0.2, 5.0])))
        elif kind == "leader":
            world.log.offset_s = world.rng.uniform(0, world.rules.margin_s)
        elif kind == "election":
            world.moved = world.rng.choice(world.workers).name
        elif kind == "split":
            world.split_until = world.now + world.rng.choice([1.0, 10.0])

    world.run(SECONDS, mishap)
    tokens, requests = most_in_a_window(world.calls)
    assert tokens <= LIMIT.tokens
    assert requests <= LIMIT.requests


@pytest.mark.parametrize("seed", range(max(2, SCHEDULES // 4)))
def test_a_provider_that_counts_at_the_end_of_a_call_sees_no_more_than_the_limit(seed: int) -> None:
    fate = random.Random(seed)
    rules = LeaseRules(in_flight_s=60.0)
    world = World(seed, rules=rules, counts_at_end=True, call_s=fate.choice([0.5, 5.0, 15.0]))
    for number in range(3):
        world.add(f"w{number}", offered(world.rng, fate.choice([0.2, 3.0, 10.0])))
    world.run(60)
    world.workers[1].paused_until = world.now + 20
    world.run(20)
    world.workers[2].dead = True
    world.run(60)
    tokens, requests = most_in_a_window([call for call in world.calls if call.ends <= world.now], at_end=True)
    assert tokens <= LIMIT.tokens
    assert requests <= LIMIT.requests


def share_used(world: World, after_s: float, seconds: float) -> float:
    """Of the tokens that the limit gives in that time."""
    begin = world.began + after_s
    used = sum(call.tokens for call in world.calls if begin <= call.began < begin + seconds)
    return used / (LIMIT.tokens * seconds / 60)


def test_three_workers_with_ten_times_the_load_use_nearly_all_tokens() -> None:
    world = World(1)
    for number in range(3):
        world.add(f"w{number}", offered(world.rng, 3.7))
    world.run(120)
    assert share_used(world, 60, 60) >= 0.95


def test_all_load_on_one_worker_uses_nearly_all_tokens() -> None:
    world = World(2)
    for per_s in (11.0, 0.0, 0.0):
        world.add(f"w{len(world.workers)}", offered(world.rng, per_s))
    world.run(120)
    assert share_used(world, 60, 60) >= 0.95


def test_a_quiet_workers_first_call_waits_for_nobody() -> None:
    world = World(3)
    for per_s in (0.2, 0.0):
        world.add(f"w{len(world.workers)}", offered(world.rng, per_s))
    world.run(30)
    quiet: Worker = world.workers[1]
    assert quiet.allowance.reserve(Amount(1, 2_000), quiet.clock.latest())


def test_a_worker_alone_calls_within_a_second_of_its_start() -> None:
    world = World(4)
    world.add("w0", lambda now: [1_000] if now < world.began + 0.1 else [])
    world.run(3)
    assert world.calls
    assert world.calls[0].began - world.began < 1.0


def test_small_calls_do_not_starve_a_large_one() -> None:
    world = World(5)
    world.add("small", lambda now: [1_000] * (now % 1 < 0.1) * 5)
    world.add("large", lambda now: [20_000] if abs(now - world.began - 60) < 0.05 else [])
    world.run(110)
    large = [call.began - world.began for call in world.calls if call.tokens == 20_000]
    assert large
    assert large[0] < 60 + 45


def test_what_was_used_beyond_the_estimate_is_owed() -> None:
    world = World(6, estimate=lambda tokens: tokens // 2)
    world.add("w0", offered(world.rng, 11.0), call_s=0.5)
    world.run(240)
    begin = world.began + 60
    used = sum(call.tokens for call in world.calls if begin <= call.began)
    assert used <= LIMIT.tokens * 180 / 60 * 1.02  # no more than the limit in the long run


@pytest.mark.parametrize("dies", ["worker", "grantor"])
def test_a_death_costs_little(dies: str) -> None:
    world = World(7)
    for number in range(3):
        world.add(f"w{number}", offered(world.rng, 3.7))
    world.run(90)
    world.workers[0 if dies == "grantor" else 1].dead = True
    world.add("w3", offered(world.rng, 3.7))
    world.run(90)
    assert share_used(world, 60, 120) >= 0.85
