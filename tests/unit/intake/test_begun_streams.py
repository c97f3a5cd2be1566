"""A stream that a worker had begun is not late when the next one takes it over: it had waited in time."""

from __future__ import annotations

import asyncio

import pytest

from streams.intake.decode import Decoder
from streams.intake.intake import Intake
from streams.pipeline import PendingRequest
from tests.support.requests import SampleRecord, until
from tests.unit.intake.test_intake import NOW, Ends, ReplyTopics, record_list, sample
from topics.names import Priority

WAIT_S: dict[Priority, float] = {"high": 10.0, "normal": 10.0, "low": 60.0}
"""A normal request of `sample` has waited just as long as it may, at NOW."""


class Log:
    """What is known of streams that were begun: of `inherited` requests, `begun` or not."""

    def __init__(self, *, inherited: bool = True, begun: bool = True) -> None:
        self.inherited, self.begun = inherited, begun
        self.read = asyncio.Event()

    def may_have(self, request: PendingRequest) -> bool:
        return self.inherited

    async def has(self, request: PendingRequest) -> bool:
        await self.read.wait()
        return self.begun


def stream(timeout_s: float | None = None) -> SampleRecord:
    record = sample(timeout_s=timeout_s)
    record.headers = [("stream", b"true")]
    return record


async def went(log: Log, record: SampleRecord, now: float = NOW) -> Ends:
    """Where the record went, and that nothing of it is lost while the log is read."""
    ends = Ends()
    intake = Intake(Decoder(1_000_000, WAIT_S), ends, ends, ends, ReplyTopics(), now=lambda: now, begun=log)
    intake.accept([record_list([record])])
    log.read.set()
    await until(lambda: ends.indexes() == [0])
    return ends


async def test_what_was_begun_is_passed_on_with_the_wait_of_its_class_before_it() -> None:
    (request,) = (await went(Log(), stream())).accepted
    assert request.dispatch_by == NOW + 10


@pytest.mark.parametrize("left_s", [-60, 0, 4.9])
async def test_it_does_not_matter_how_long_it_was_under_way(left_s: float) -> None:
    (request,) = (await went(Log(), stream(), NOW - left_s)).accepted
    assert request.dispatch_by == NOW - left_s + 10


@pytest.mark.parametrize(
    ("log", "record"),
    [
        pytest.param(Log(begun=False), stream(), id="nobody had begun it"),
        pytest.param(Log(inherited=False), stream(), id="no other worker had its partition"),
        pytest.param(Log(), sample(), id="no stream"),
        pytest.param(Log(), stream(timeout_s=10), id="its own limit is over, which is total"),
    ],
)
async def test_what_was_not_begun_is_late(log: Log, record: SampleRecord) -> None:
    ((_, outcome),) = (await went(log, record)).responses
    assert outcome.status == "expired"


async def test_its_own_limit_bounds_it_on() -> None:
    (request,) = (await went(Log(), stream(timeout_s=12))).accepted
    assert (request.dispatch_by, request.expires_at) == (NOW + 2, NOW + 2)


async def test_one_that_nobody_had_begun_and_has_time_left_goes_on_waiting() -> None:
    (request,) = (await went(Log(begun=False), stream(), NOW - 3)).accepted
    assert request.dispatch_by == NOW
