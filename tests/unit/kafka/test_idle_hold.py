"""Fetches are held longer where nothing comes, and as the setting says as soon as something does."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from streams.kafka.idle_hold import IDLE_HOLD_MS, IdleHold


@given(st.lists(st.booleans(), max_size=80), st.sampled_from([1, 100, 2_000]))
def test_a_hold_is_long_after_twenty_fetches_in_vain_alone(fetches: list[bool], usual_ms: int) -> None:
    hold = IdleHold(usual_ms)
    for number, brought in enumerate(fetches, 1):
        hold.note(brought=brought)
        idle = number >= 20 and not any(fetches[number - 20 : number])
        assert hold.ms() == (max(usual_ms, IDLE_HOLD_MS) if idle else usual_ms)
