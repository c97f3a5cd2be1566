"""The records' time is the broker's to within an ack, whatever happens to this machine's clock."""

from __future__ import annotations

from dataclasses import dataclass, field

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streams.record_clock import RecordClock

HOUR_S = 3_600.0


@dataclass
class World:
    """A broker whose clock is right, and a worker whose wall clock is `off_s` beside it."""

    at_s: float = 1_800_000_000.0
    running_s: float = 77.0
    off_s: float = 0.0
    clock: RecordClock = field(init=False)

    def __post_init__(self) -> None:
        self.clock = RecordClock(lambda: self.at_s + self.off_s, lambda: self.running_s)

    def passes(self, seconds: float) -> None:
        self.at_s += seconds
        self.running_s += seconds

    def ack(self, there_s: float, back_s: float) -> None:
        sent = self.running_s
        self.passes(there_s)
        stamped = int(self.at_s * 1000) / 1000
        self.passes(back_s)
        self.clock.acked(sent, self.running_s, stamped)


delays = st.floats(0, 2)
steps = st.floats(-90_000, 90_000)


@given(delays, delays, st.lists(st.tuples(st.floats(0, 600), steps, st.booleans()), max_size=30), delays)
def test_the_time_is_the_brokers_to_within_an_ack_however_the_wall_clock_steps(
    there_s: float, back_s: float, course: list[tuple[float, float, bool]], later_s: float
) -> None:
    world = World()
    world.ack(there_s, back_s)
    for passed_s, step_s, is_acked in course:
        world.passes(passed_s)
        world.off_s += step_s
        if is_acked:
            world.ack(later_s, later_s)
        assert abs(world.clock.now() - world.at_s) <= max(there_s + back_s, 2 * later_s) + 0.01


@pytest.mark.parametrize("off_s", [HOUR_S, -HOUR_S, 250_000_000_000.0, -1_800_000_000.0], ids=str)
def test_a_worker_that_starts_with_a_wrong_clock_knows_the_time_after_one_ack(off_s: float) -> None:
    world = World(off_s=off_s)
    assert world.clock.now() == world.at_s + off_s
    world.ack(0.002, 0.002)
    assert abs(world.clock.now() - world.at_s) <= 0.006
    assert abs(world.clock.wall_is_off_s - off_s) <= 0.006


def test_a_wall_clock_within_the_bounds_is_left_alone() -> None:
    world = World(off_s=0.01)
    world.ack(0.02, 0.02)
    assert world.clock.now() == world.at_s + 0.01
    assert world.clock.wall_is_off_s == 0.0


@pytest.mark.parametrize(
    "suspended_s", [90.0, 6 * HOUR_S], ids=["golang/go#24595: a lid that was shut", "axboe/liburing#369: a VM on ice"]
)
def test_the_time_is_right_after_a_suspension_also_where_the_wall_clock_missed_it(suspended_s: float) -> None:
    world = World()
    world.ack(0.002, 0.002)
    world.passes(suspended_s)  # CLOCK_BOOTTIME goes on
    world.off_s = -suspended_s  # a guest whose clock was not set yet
    assert abs(world.clock.now() - world.at_s) <= 0.006


def test_a_broker_whose_clock_was_set_is_believed_after_sixteen_acks() -> None:
    world = World()
    world.ack(0.002, 0.002)
    world.at_s += HOUR_S
    for _ in range(16):
        world.ack(0.002, 0.002)
    assert abs(world.clock.now() - world.at_s) <= 0.006
