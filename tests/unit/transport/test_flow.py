from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from streams.transport.flow import Flow, Quota

HIGH, LOW = ("high", 0), ("low", 0)


def flow(*partitions: tuple[str, int], partition_records: int = 10, class_records: int = 15) -> Flow:
    made = Flow(["high", "low"], Quota(partition_records, 10_000), Quota(class_records, 20_000))
    made.assign(dict.fromkeys(partitions, (0, 0.0)))
    return made


def test_high_is_served_before_low_whatever_came_first() -> None:
    assert list(flow(HIGH, LOW).choose([LOW, HIGH])) == [HIGH, LOW]


def test_partitions_of_a_class_take_turns() -> None:
    both = flow(("low", 0), ("low", 1))
    assert {next(both.choose([("low", 0), ("low", 1)])) for _ in range(2)} == {("low", 0), ("low", 1)}


def test_a_full_partition_is_paused_alone_and_opens_at_half() -> None:
    both = flow(HIGH, LOW)
    both.add(LOW, 10, 100.0)
    assert (both.paused(), list(both.choose([LOW, HIGH]))) == ([LOW], [HIGH])
    assert not both.remove(LOW, 4, 40.0)
    assert both.remove(LOW, 1, 10.0)
    assert both.paused() == []


def test_a_full_class_pauses_its_partitions_and_no_others() -> None:
    three = flow(HIGH, ("low", 0), ("low", 1))
    three.add(("low", 0), 8, 1.0)
    three.add(("low", 1), 8, 1.0)
    assert three.paused() == [("low", 0), ("low", 1)]


@given(st.integers(1, 30), st.integers(1, 30))
def test_noisy_partitions_fill_themselves_and_never_their_class(noisy: int, chunk: int) -> None:
    partitions = [("low", number) for number in range(noisy + 1)]
    one = flow(*partitions, partition_records=500, class_records=1000)
    *loud, quiet = partitions
    while any(one.is_open(partition) for partition in loud):
        for partition in loud:
            if one.is_open(partition):
                one.add(partition, min(chunk, one.room(partition)), 1.0)
    assert one.classes["low"].records < 1000
    assert one.is_open(quiet)
    assert one.room(quiet) >= 1000 // (noisy + 1) - chunk


def test_what_one_partition_leaves_opens_the_others() -> None:
    one = flow(("low", 0), ("low", 1), partition_records=100, class_records=100)
    one.add(("low", 0), 60, 1.0)
    one.add(("low", 1), 25, 1.0)
    assert one.paused() == [("low", 0), ("low", 1)]
    assert one.remove(("low", 0), 50, 1.0)
    assert one.paused() == []


def test_bytes_fill_a_quota_too() -> None:
    one = flow(LOW)
    one.add(LOW, 1, 10_000.0)
    assert one.paused() == [LOW]


def test_a_held_partition_is_given_nothing_until_every_reason_is_gone() -> None:
    one = flow(LOW)
    one.hold(LOW, "delivery")
    one.hold(LOW, "commit")
    assert one.release(LOW, "delivery")
    assert list(one.choose([LOW])) == []
    assert one.release(LOW, "commit")
    assert not one.release(LOW, "commit")
    assert list(one.choose([LOW])) == [LOW]


def test_quotas_count_what_is_handed_out_during_the_choice() -> None:
    three = flow(("low", 0), ("low", 1), class_records=5)
    chosen = three.choose([("low", 0), ("low", 1)])
    three.add(next(chosen), 5, 1.0)
    assert list(chosen) == []


@given(st.lists(st.tuples(st.sampled_from([HIGH, LOW]), st.integers(1, 6)), max_size=60))
def test_whatever_comes_and_goes_a_drained_flow_is_open(steps: list[tuple[tuple[str, int], int]]) -> None:
    both = flow(HIGH, LOW)
    taken: list[tuple[tuple[str, int], int]] = []
    for partition, count in steps:
        if both.is_open(partition):
            both.add(partition, count, count * 7.5)
            taken.append((partition, count))
        assert both.partitions[partition].records < 10 + 6
    for partition, count in taken:
        both.remove(partition, count, count * 7.5)
    assert both.paused() == []
    assert all(gauge.records == 0 and gauge.bytes == 0 for gauge in both.partitions.values())
