"""The offset tracker against an obvious model: a set of finished offsets and a walk over the delivered ones."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from random import Random

from hypothesis import given, settings
from hypothesis import strategies as st

from streams.kafka.records import Position
from streams.metrics import definitions as metrics
from streams.transport import commit_metadata
from streams.transport.offsets import PartitionOffsets, RecordList


@dataclass
class FakeRecord:
    offset: int
    value: bytes | None = b"12345"
    topic: str = "t"
    partition: int = 0
    timestamp: int = 0
    key: bytes | None = None
    headers: Sequence[tuple[str, bytes]] = field(default_factory=list)


class Listener:
    def __init__(self) -> None:
        self.finished: list[int] = []

    def on_finished(self, offsets: PartitionOffsets, count: int, size: float) -> None:
        self.finished.append(count)

    def on_stuck(self, offsets: PartitionOffsets, stuck: bool) -> None: ...


def records(*offsets: int) -> list[FakeRecord]:
    return [FakeRecord(offset) for offset in offsets]


def tracker(next_offset: int | None = 5, metadata: str = "") -> PartitionOffsets:
    return PartitionOffsets(("t", 0), Position(next_offset, metadata), Listener())


def deliver(offsets: PartitionOffsets, *delivered: int, end: int | None = None) -> RecordList:
    made = offsets.deliver(records(*delivered), delivered[-1] + 1 if end is None else end)
    assert made is not None
    made.start()
    return made


def test_nothing_is_committed_before_anything_is_known() -> None:
    assert tracker(None).snapshot() == Position(None)


def test_the_prefix_runs_over_delivered_offsets_and_not_over_integers() -> None:
    offsets = tracker()
    made = deliver(offsets, 5, 6, 9)
    made.finish(0, 2)
    assert offsets.snapshot().next_offset == 9
    made.finish(2)
    assert offsets.snapshot().next_offset == 10


def test_a_finished_offset_behind_a_gap_is_not_committed_but_travels_in_the_metadata() -> None:
    offsets = tracker()
    deliver(offsets, 5, 6, 7).finish(1)
    committed = offsets.snapshot()
    assert committed.next_offset == 5
    assert commit_metadata.decode(5, committed.metadata) == [(6, 7)]


def test_a_commit_moves_past_markers_at_the_end_of_a_fetch() -> None:
    offsets = tracker()
    deliver(offsets, 5, 6, end=9).finish(0, 2)
    assert offsets.snapshot().next_offset == 9
    offsets.deliver([], 12)
    assert offsets.snapshot().next_offset == 12


def test_the_next_owner_is_not_given_what_was_finished() -> None:
    before = tracker()
    deliver(before, 5, 6, 7, 8).finish(1, 3)
    after = PartitionOffsets(("t", 0), before.snapshot(), Listener())
    skipped = metrics.SKIPPED._value.get()
    made = after.deliver(records(5, 6, 7, 8), 9)
    assert made is not None
    assert [record.offset for record in made.start()] == [5, 8]
    assert metrics.SKIPPED._value.get() - skipped == 2


def test_lists_that_were_not_started_are_taken_back_and_refuse_to_start() -> None:
    offsets = tracker()
    started = deliver(offsets, 5, 6)
    waiting = offsets.deliver(records(7, 8), 9)
    assert waiting is not None
    offsets.take_back()
    assert (offsets.position, offsets.unfinished, list(waiting.start())) == (7, 2, [])
    started.finish(0, 2)
    assert offsets.snapshot().next_offset == 7


def test_finishing_twice_counts_once() -> None:
    listener = Listener()
    offsets = PartitionOffsets(("t", 0), Position(0), listener)
    made = deliver(offsets, 0, 1, 2)
    made.finish(0)
    made.finish(0, 3)
    made.finish(1)
    assert (listener.finished, offsets.unfinished, offsets.unfinished_bytes) == ([1, 2], 0, 0.0)


def test_a_partition_that_moved_away_counts_no_more() -> None:
    offsets = tracker()
    made = deliver(offsets, 5)
    offsets.live = False
    made.finish(0)
    assert offsets.unfinished == 1
    assert not made.live


@settings(max_examples=300)
@given(st.randoms(use_true_random=False), st.lists(st.integers(1, 6), min_size=1, max_size=80))
def test_any_order_of_finishing_agrees_with_the_model_over_two_lives(chance: Random, steps: list[int]) -> None:
    everything = [100 + sum(steps[: index + 1]) for index in range(len(steps))]

    def live(offsets: PartitionOffsets, log: list[int]) -> set[int]:
        """Deliver the log in random pieces, finish at random; check every snapshot against the walk."""
        done: set[int] = set()
        open_records: list[tuple[RecordList, int, int]] = []
        while log or open_records:
            if log and chance.random() < 0.5:
                count = chance.randint(1, len(log))
                piece, log = log[:count], log[count:]
                made = offsets.deliver(records(*piece), piece[-1] + 1)
                if made is not None:
                    open_records += [(made, index, record.offset) for index, record in enumerate(made.start())]
            elif open_records:
                made, index, offset = open_records.pop(chance.randrange(len(open_records)))
                made.finish(index)
                done.add(offset)
                if chance.random() < 0.1:
                    return done
            check_against_walk(offsets.snapshot(), done)
        return done

    finished_before: set[int] = set()

    def check_against_walk(position: Position, done: set[int]) -> None:
        all_done = done | finished_before
        assert position.next_offset is not None
        assert all(offset in all_done for offset in everything if offset < position.next_offset)
        said = {
            offset
            for start, stop in commit_metadata.decode(position.next_offset, position.metadata)
            for offset in everything
            if start <= offset < stop
        }
        assert said == {offset for offset in all_done if offset >= position.next_offset}

    first = tracker(100)
    finished_before |= live(first, list(everything))
    committed = first.snapshot()
    assert committed.next_offset is not None
    second = PartitionOffsets(("t", 0), committed, Listener())
    again = live(second, [offset for offset in everything if offset >= committed.next_offset])
    assert not again & finished_before


@given(st.integers(0, 1 << 40), st.lists(st.tuples(st.integers(1, 5000), st.integers(1, 5000)), max_size=200))
def test_metadata_says_what_was_encoded(base: int, lengths: list[tuple[int, int]]) -> None:
    runs, at = [], base
    for unfinished, finished in lengths:
        runs.append((at + unfinished, at + unfinished + finished))
        at += unfinished + finished
    text, whole = commit_metadata.encode(base, runs)
    assert whole
    assert commit_metadata.decode(base, text) == runs


@given(st.text(max_size=100))
def test_foreign_metadata_is_ignored(text: str) -> None:
    for start, stop in commit_metadata.decode(7, text):
        assert 7 <= start <= stop


def test_metadata_that_does_not_fit_is_cut_and_says_so() -> None:
    chance = Random(1)
    runs = [(offset, offset + chance.randint(1, 6)) for offset in range(0, 60_000, 7)]
    text, whole = commit_metadata.encode(0, runs, limit_chars=500)
    assert not whole
    assert len(text) <= 500
    kept = commit_metadata.decode(0, text)
    assert kept == runs[: len(kept)]
    assert len(kept) > 50


def test_a_log_that_was_cut_under_a_call_under_way_commits_where_it_was_cut_and_goes_on() -> None:
    """parallel-consumer#409; KAFKA.md K4: `byte must be in range(0, 256)` from the commit's metadata."""
    offsets = tracker(0)
    first = deliver(offsets, *range(10))
    first.finish(0, 5)
    first.finish(6, 10)  # 5 is under way
    behind = deliver(offsets, *range(10, 30))
    behind.finish(0, 15)
    offsets.cut(12)
    assert offsets.position == 12
    assert offsets.snapshot().next_offset == 5
    assert commit_metadata.decode(5, offsets.snapshot().metadata) == [(6, 12)]
    new = deliver(offsets, *range(12, 40))
    behind.finish(0, 20)  # answers of the log that is gone
    assert not any(start >= 12 for start, _ in commit_metadata.decode(5, offsets.snapshot().metadata))
    first.finish(5)
    assert offsets.snapshot().next_offset == 12
    new.finish(0, 28)
    assert offsets.snapshot().next_offset == 40
    assert offsets.unfinished == 0


def test_what_an_earlier_owner_finished_above_the_cut_is_delivered() -> None:
    offsets = tracker(5, commit_metadata.encode(5, [(6, 9), (12, 20)])[0])
    offsets.cut(8)
    made = offsets.deliver(records(*range(5, 20)), 20)
    assert made is not None
    assert [record.offset for record in made.start()] == [5, *range(8, 20)]


def test_a_topic_made_anew_begins_where_its_log_does() -> None:
    offsets = tracker(0)
    slow = deliver(offsets, *range(10))
    slow.finish(3)
    offsets.begin_anew()
    assert (offsets.position, offsets.unfinished) == (None, 0)
    new = deliver(offsets, 0, 1, 2)
    slow.finish(0, 10)
    assert offsets.snapshot() == Position(0)
    new.finish(0, 3)
    assert offsets.snapshot() == Position(3)


@given(st.lists(st.tuples(st.sampled_from("dfcu"), st.integers(0, 40), st.integers(1, 9)), max_size=60))
def test_whatever_is_cut_a_commit_passes_no_unfinished_record_of_the_log_and_names_none_as_finished(
    steps: list[tuple[str, int, int]],
) -> None:
    offsets = tracker(0)
    lists: list[RecordList] = []
    log: dict[int, tuple[int, int] | None] = {}  # by offset: the list and index that has it
    done: set[int] = set()
    for step, number, count in steps:
        if step == "d":
            start = offsets.position or 0
            made = offsets.deliver(records(*range(start, start + count)), start + count)
            assert made is not None
            made.start()
            log |= {start + index: (len(lists), index) for index in range(count)}
            lists.append(made)
        elif step == "f" and lists:
            which, index = number % len(lists), count - 1
            lists[which].finish(index)
            done |= {offset for offset, where in log.items() if where == (which, index)}
        elif step == "c":
            offsets.cut(number)
            log = {offset: where for offset, where in log.items() if offset < number}
            done = {offset for offset in done if offset < number}
        position = offsets.snapshot()
        assert position.next_offset is not None
        unfinished = sorted(set(log) - done)
        assert position.next_offset <= min(unfinished, default=position.next_offset)
        named = {
            o
            for start, stop in commit_metadata.decode(position.next_offset, position.metadata)
            for o in range(start, stop)
        }
        assert not named & set(unfinished)
        assert offsets.unfinished == len(unfinished)
