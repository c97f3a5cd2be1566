"""Slots, against what they promise: a share is kept for high, and high shuts nobody out."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from streams.slots import Slots
from topics.names import PRIORITIES, Priority

steps = st.lists(st.one_of(st.sampled_from(PRIORITIES), st.integers(1, 40)), max_size=60)


@given(st.integers(1, 40), st.floats(0, 1), steps)
def test_whatever_is_taken_and_resized_room_is_what_is_free(
    size: int, high_share: float, given_steps: list[Priority | int]
) -> None:
    slots, taken = Slots(size, high_share), dict.fromkeys(PRIORITIES, 0)
    for step in given_steps:
        if isinstance(step, int):
            slots.resize(size := step)
        elif slots.has_room(step):
            slots.take(step)
            taken[step] += 1
        elif taken[step]:
            slots.give_back(step)
            taken[step] -= 1
        whole, others = sum(taken.values()), taken["normal"] + taken["low"]
        open_to_all = max(1, size - int(size * high_share))
        assert (slots.taken, slots.others) == (whole, others)
        assert slots.free("high") == max(0, size - whole)
        assert slots.free("low") == slots.free("normal") == max(0, min(size - whole, open_to_all - others))
        assert all(slots.has_room(priority) == (slots.free(priority) > 0) for priority in PRIORITIES)
