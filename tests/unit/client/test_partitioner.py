"""The client's partitioner is the contract's."""

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headrace_client import contract_partitioner, partition_for
from topics import partition_for as contract_partition_for

VECTORS = json.loads((Path(__file__).parents[3] / "topics/golden_vectors.json").read_text())


def test_the_golden_vectors_of_the_contract_hold() -> None:
    wrong = [v for v in VECTORS if partition_for(bytes.fromhex(v["key_hex"]), v["partitions"]) != v["partition"]]
    assert not wrong


@given(st.binary(max_size=300), st.integers(1, 2000))
def test_every_key_goes_where_the_fleet_would_put_it(key: bytes, partitions: int) -> None:
    assert partition_for(key, partitions) == contract_partition_for(key, partitions)


def test_a_key_keeps_its_partition_while_that_has_no_leader() -> None:
    assert contract_partitioner(b"agent-17", range(12), [0, 2]) == 1


def test_a_topic_without_partitions_is_refused() -> None:
    with pytest.raises(ValueError, match="at least one partition"):
        partition_for(b"a", 0)
