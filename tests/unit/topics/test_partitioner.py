"""The partition of a key is the same in every language and for ever, and growing moves as few keys as possible."""

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

import topics
from topics import contract_partitioner, jump_hash, moved_share, partition_for

GOLDEN = json.loads((Path(topics.__file__).parent / "golden_vectors.json").read_bytes())

keys = st.binary(max_size=40)
counts = st.integers(1, 2_000)


def test_golden_vectors() -> None:
    for vector in GOLDEN:
        key = bytes.fromhex(vector["key_hex"])
        assert partition_for(key, vector["partitions"]) == vector["partition"], vector
        assert vector["key"] is None or vector["key"].encode() == key, vector


def test_golden_vectors_cover_what_implementations_get_wrong() -> None:
    found = {vector["key"] for vector in GOLDEN}
    assert "" in found
    assert None in found, "a key that is no UTF-8"
    assert any(key and not key.isascii() for key in found)
    assert {vector["partitions"] for vector in GOLDEN} >= {1, 2, 12, 13, 1000}


@pytest.mark.parametrize(
    ("number", "buckets", "bucket"),
    [
        (1, 1, 0),
        (42, 57, 43),
        (0xDEAD10CC, 666, 361),
        (256, 1024, 520),
        (10863919174838991, 11, 6),
        (2016238256797177309, 11, 3),
        (2, 100001, 80343),
    ],
)
def test_the_jump_hash_agrees_with_other_implementations(number: int, buckets: int, bucket: int) -> None:
    assert jump_hash(number, buckets) == bucket


@given(st.integers(0, 2**64 - 1), counts)
def test_a_bucket_is_in_range(number: int, buckets: int) -> None:
    assert 0 <= jump_hash(number, buckets) < buckets


@given(keys, counts)
def test_one_more_partition_moves_a_key_only_to_the_new_one(key: bytes, partitions: int) -> None:
    before, after = partition_for(key, partitions), partition_for(key, partitions + 1)
    assert after in {before, partitions}


@pytest.mark.parametrize(("before", "after"), [(1, 2), (8, 9), (12, 13), (12, 24), (11, 12)])
def test_growing_moves_the_share_that_it_says(before: int, after: int) -> None:
    fleet = [f"agent-{number}".encode() for number in range(20_000)]
    moved = sum(partition_for(key, before) != partition_for(key, after) for key in fleet)
    assert moved / len(fleet) == pytest.approx(moved_share(before, after), abs=0.01)


def test_agents_are_spread_evenly() -> None:
    load = [0] * 12
    for number in range(24_000):
        load[partition_for(f"agent-{number}".encode(), 12)] += 1
    assert min(load) > 1_800
    assert max(load) < 2_200


@pytest.mark.parametrize("buckets", [0, -1])
def test_no_partitions_is_an_error(buckets: int) -> None:
    with pytest.raises(ValueError, match="at least one partition"):
        jump_hash(1, buckets)


@given(keys, st.integers(1, 60))
def test_a_producer_gets_the_keys_own_partition_available_or_not(key: bytes, count: int) -> None:
    partitions = list(range(count))
    shuffled = partitions[::-1]
    own = partition_for(key, count)
    assert contract_partitioner(key, partitions, partitions) == own
    assert contract_partitioner(key, shuffled, []) == own
    assert contract_partitioner(bytearray(key), partitions, [0]) == own  # type: ignore[arg-type]


def test_a_record_without_a_key_goes_where_a_leader_is() -> None:
    assert {contract_partitioner(None, [0, 1, 2], [1, 2]) for _ in range(200)} == {1, 2}
    assert contract_partitioner(None, [0, 1, 2], []) in {0, 1, 2}
