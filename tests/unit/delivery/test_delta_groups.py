"""Groups of streams whose deltas leave together."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

from hypothesis import given
from hypothesis import strategies as st

from streams.delivery.delta_groups import MOST, Group, Groups


@dataclass(eq=False)
class Stream:
    group: Group | None = None
    left: int = 0

    def leave(self) -> None:
        self.left += 1


def departure(groups: Groups) -> int:
    """How many left."""
    group = groups.next()
    group.wake()
    group.leave()
    return len(group.members)


@given(joins=st.lists(st.tuples(st.integers(0, 299), st.integers(0, 200)), max_size=30))
def test_whoever_joins_leaves_once_and_after_at_most_as_many_departures_as_there_were_groups(
    joins: list[tuple[int, int]],
) -> None:
    """Before each departure so many join, one number after the other."""
    groups = Groups()
    streams = [Stream() for _ in range(300)]
    due: dict[int, int] = {}
    """By stream, after how many further departures it has left."""
    for first, count in joins:
        for number in ((first + n) % 300 for n in range(count)):
            was_in_none = streams[number].group is None
            groups.join(streams[number])
            assert was_in_none == (number not in due)
            due.setdefault(number, groups.count)
        before = [stream.left for stream in streams]
        departure(groups)
        assert 1 <= groups.count <= MOST
        for number, stream in enumerate(streams):
            assert stream.left - before[number] in (0, 1)
            if stream.left > before[number]:
                assert number in due, "nobody leaves who did not join"
                del due[number]
            elif number in due:
                due[number] -= 1
                assert due[number] > 0, "it waits for no more departures than when it joined"
    for _ in range(MOST):
        departure(groups)
    assert groups.is_empty


def test_few_streams_leave_together_and_many_in_groups_of_like_size() -> None:
    few, many = Groups(), Groups()
    for _ in range(20):
        for stream in (Stream() for _ in range(10)):
            few.join(stream)
        departure(few)
    assert few.count == 1
    sizes = []
    for _ in range(20):
        for stream in (Stream() for _ in range(50)):
            many.join(stream)
        sizes.append(departure(many))
    assert many.count == MOST
    assert sizes[-5:] == [50] * 5


async def test_a_reader_that_rests_again_while_its_group_leaves_is_woken_with_the_last_group() -> None:
    groups = Groups()
    stream = Stream()
    groups.join(stream)
    group = groups.next()
    group.wake()
    again = groups.join(stream)
    assert again is not group
    group.leave()
    assert (stream.left, stream.group) == (1, again)
    assert groups.next() is again


async def test_readers_of_groups_that_become_one_are_all_woken() -> None:
    groups = Groups()
    for stream in (Stream() for _ in range(60)):
        groups.join(stream)
    departure(groups)
    assert groups.count == MOST
    last, rest = Stream(), asyncio.get_running_loop().create_future()
    groups.join(last).resting.append(rest)
    assert departure(groups) == 1, "few are left: all of them are one group, and leave now"
    assert rest.done()
    assert last.left == 1
    assert last.group is None
