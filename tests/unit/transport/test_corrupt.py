"""A corrupt batch: once it is fetched again, twice its partition stands or the batch is set aside."""

from __future__ import annotations

from typing import cast

import pytest
from aiokafka.structs import TopicPartition

from streams.kafka.batch_reader import CorruptBatchError
from streams.kafka.fetched import Fetched
from streams.transport import corrupt
from streams.transport.corrupt import CorruptBatches
from tests.support.requests import until

P0 = TopicPartition("t", 0)
ERROR = CorruptBatchError("its checksum is wrong")


class Rig:
    """The fetch, and what holds partitions, as `CorruptBatches` sees them: they note what they are told."""

    def __init__(self, *, aside: bool) -> None:
        self.told: list[str] = []
        self.batches = CorruptBatches(
            cast("Fetched", self),
            lambda partition, reason: self.told.append("hold"),
            lambda partition, reason: self.told.append("release"),
            aside=aside,
        )

    def distrust(self, partition: TopicPartition) -> None:
        self.told.append("distrust")

    def fetch_again(self, partition: TopicPartition) -> None:
        self.told.append("fetch again")


@pytest.fixture(autouse=True)
def short_and_long(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(corrupt, "_AGAIN_S", 0.001)
    monkeypatch.setattr(corrupt, "_STANDS_S", 3600.0)


@pytest.mark.parametrize(("aside", "how"), [(False, "fetch again"), (True, "distrust")])
async def test_what_is_corrupt_once_is_held_and_fetched_again_soon(aside: bool, how: str) -> None:
    rig = Rig(aside=aside)
    rig.batches.found(P0, ERROR)
    assert rig.told == ["hold"]
    await until(lambda: len(rig.told) == 3)
    assert rig.told == ["hold", how, "release"]


async def test_what_is_corrupt_twice_stands_until_it_can_be_read() -> None:
    rig = Rig(aside=False)
    rig.batches.found(P0, ERROR)
    await until(lambda: rig.told[-1] == "release")
    rig.batches.found(P0, ERROR)
    with pytest.raises(TimeoutError):
        await until(lambda: rig.told[-1] == "release", 0.05)
    rig.batches.read(P0)
    rig.batches.found(P0, ERROR)  # a first finding again
    await until(lambda: rig.told[-1] == "release")
