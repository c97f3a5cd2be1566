"""A moment that was written by a clock that has been set since holds nothing back for longer than its own length."""

from __future__ import annotations

from dataclasses import replace

import pytest

from streams.scaling.decide import decide
from tests.unit.scaling.virtual import minutes, policy, state

NOW = 20 * 60.0 + 5
HOUR_S = 3_600.0


@pytest.mark.parametrize("changed_at_s", [NOW + HOUR_S, NOW - HOUR_S, 253_402_300_799.0, 0.0], ids=str)
def test_a_last_change_an_hour_ahead_does_not_stop_the_fleet_from_growing(changed_at_s: float) -> None:
    before = replace(state(), changed_at_s=changed_at_s)
    made = decide(minutes(11, 20, queued=5_000.0), before, policy(), NOW)
    assert (made.direction, made.blocked_by) == ("scale_out", ())


@pytest.mark.parametrize("beside_s", [-1.0, 0.0, 1.0])
def test_a_change_of_just_now_rests_also_where_two_clocks_differ_by_a_second(beside_s: float) -> None:
    before = replace(state(), changed_at_s=NOW + beside_s)
    made = decide(minutes(11, 20, queued=5_000.0), before, policy(), NOW)
    assert (made.direction, made.blocked_by) == ("hold", ("cooldown",))
