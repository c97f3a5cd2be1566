from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from streams.kafka.assignor import Owned, assign

MEMBERS = st.dictionaries(
    st.text("abcdefgh", min_size=1, max_size=3),
    st.builds(Owned, st.frozensets(st.integers(0, 40), max_size=40), st.integers(-1, 5)),
    max_size=10,
)


def owned(*partitions: int, generation: int = 1) -> Owned:
    return Owned(frozenset(partitions), generation)


@given(MEMBERS, st.integers(0, 36))
def test_every_partition_has_one_owner_and_shares_differ_by_at_most_one(
    members: dict[str, Owned], partitions: int
) -> None:
    given_ = assign(members, partitions)
    assert given_.keys() == members.keys()
    if members:
        assert sorted(number for numbers in given_.values() for number in numbers) == list(range(partitions))
        sizes = [len(numbers) for numbers in given_.values()]
        assert max(sizes) - min(sizes) <= 1


@given(st.integers(1, 9), st.integers(1, 36))
def test_a_join_moves_only_what_the_new_worker_gets(workers: int, partitions: int) -> None:
    before = assign({f"w{number}": owned() for number in range(workers)}, partitions)
    after = assign({**{name: owned(*numbers) for name, numbers in before.items()}, "new": Owned()}, partitions)
    for name, numbers in before.items():
        assert set(after[name]) <= set(numbers)


@given(st.integers(2, 9), st.integers(1, 36))
def test_a_leave_moves_only_what_the_leaver_had(workers: int, partitions: int) -> None:
    before = assign({f"w{number}": owned() for number in range(workers)}, partitions)
    after = assign({name: owned(*numbers) for name, numbers in before.items() if name != "w0"}, partitions)
    for name, numbers in after.items():
        assert set(before[name]) <= set(numbers)


def test_the_claim_of_the_later_generation_holds() -> None:
    assert assign({"woke up late": owned(0, 1, generation=3), "owner": owned(0, 1, generation=4)}, 2)["owner"] == [0]
    alone = assign({"a": owned(0, 1, 2, 3, generation=4), "b": owned(0, 1, generation=3)}, 4)
    assert alone == {"a": [0, 1], "b": [2, 3]}


def test_what_a_worker_owns_survives_the_wire_and_foreign_bytes_own_nothing() -> None:
    assert Owned.from_bytes(owned(1, 5).to_bytes()) == owned(1, 5)
    assert Owned.from_bytes(b"\x00\x01") == Owned()
    assert Owned.from_bytes(b'{"partitions": [null]}') == Owned()
