"""Who publishes what a dead front had claimed: one of all who wait, whatever the order in which they look."""

from __future__ import annotations

import asyncio
from math import inf
from typing import Any, cast

from hypothesis import given
from hypothesis import strategies as st

from schemas.claim import Claim
from streams.front.idempotency.claim_log import ClaimLog
from streams.front.idempotency.claims import Claims
from streams.front.idempotency.unpublished import Unpublished
from topics.names import V1


class Log:
    """The topic of claims as all fronts see it, with a turn of the loop between a claim and its reading."""

    def __init__(self) -> None:
        self._claims = Claims(100)
        self.now = 0.0

    def holder(self, scope: bytes) -> tuple[str, bytes] | None:
        return self._claims.holder(scope, self.now)

    def held_for_s(self, scope: bytes) -> float:
        read_at = self._claims.read_at(scope)
        return inf if read_at is None else self.now - read_at

    async def claim(self, scope: bytes, request_id: str, body: bytes, after: str | None = None) -> None:
        await asyncio.sleep(0)
        self._claims.note(scope, Claim(request_id=request_id, body=body.hex(), after=after), self.now, self.now)
        await asyncio.sleep(0)


def one_front(log: Log) -> Unpublished:
    client: dict[str, Any] = {}
    return Unpublished(client, V1, cast("ClaimLog", log), 30.0)


@given(rounds=st.lists(st.tuples(st.integers(1, 6), st.integers(0, 6)), min_size=1, max_size=5))
def test_one_takes_over_and_another_one_when_it_may_have_died(rounds: list[tuple[int, int]]) -> None:
    """Each round some look at the same moment, and some a little later; then so much time goes by that the last taker is dead."""

    async def all_rounds() -> None:
        log = Log()
        for together, later in rounds:
            waiting = [one_front(log) for _ in range(together)]
            assert all(each.may_be_lost(b"k", "r") for each in waiting)
            assert sum(await asyncio.gather(*(each.take_over("r") for each in waiting))) == 1
            log.now += waiting[0].patience_s - 1
            late = [one_front(log) for _ in range(later)]
            assert not any(each.may_be_lost(b"k", "r") for each in late)
            assert not any(await asyncio.gather(*(each.take_over("r") for each in late)))
            log.now += 1

    asyncio.run(all_rounds())


async def test_a_claim_that_was_just_read_is_not_looked_for() -> None:
    log = Log()
    lost = one_front(log)
    await log.claim(b"k", "r", bytes(32))
    assert not lost.may_be_lost(b"k", "r")
    log.now += lost.patience_s
    assert lost.may_be_lost(b"k", "r")
    assert lost.patience_s > 60, "longer than a batch may wait and its last try take"
