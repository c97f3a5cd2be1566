"""The grantor's books: what counts as used, for how long, and who is granted what is left."""

from typing import Any

import pytest

from schemas.lease import Grant, LeaseClaim, LeaseDemand, LeaseGrant, LeaseMessage, ProviderView, Slot
from streams.limits import Route
from streams.limits.amount import NONE, Amount, limit_of
from streams.limits.books.grantor import Grantor, moment
from streams.limits.books.ledger import LeaseRules, Ledger
from streams.limits.books.share import share

LIMIT = limit_of(100, 60_000)
RULES = LeaseRules(lease_s=3.0, margin_s=1.0, burst_share=0.5, standing_share=0.1)
T = 1_000.0


def demand(worker: str, seq: int, **more: Any) -> LeaseDemand:
    return LeaseDemand(
        provider="main",
        worker_id=worker,
        at=moment(T),
        seq=seq,
        **{"requests": 0, "tokens": 0, **more},
    )


def granted(worker: str, tokens: int, at: float = T, requests: int = 1) -> LeaseGrant:
    return LeaseGrant(
        provider="main",
        grantor_id="g",
        epoch=1,
        seq=1,
        valid_from=moment(at),
        valid_until=moment(at + RULES.lease_s),
        grants={worker: Grant(requests, tokens)},
    )


def books(at: float = T) -> Ledger:
    ledger = Ledger(LIMIT, RULES)
    ledger.advance(at)
    return ledger


def committed(ledger: Ledger, at: float) -> float:
    ledger.advance(at)
    return ledger.committed(at).tokens


def test_a_grant_counts_as_used_until_its_worker_says_otherwise() -> None:
    ledger = books()
    ledger.grant(5, granted("w", 10_000))
    assert committed(ledger, T + 60.0) == 10_000
    assert committed(ledger, T + 3.0 + 61.0) == 10_000  # it may have begun with the last moment of the grant
    assert committed(ledger, T + 3.0 + 61.1) == 0


def test_what_a_worker_did_not_use_is_free_when_it_says_so() -> None:
    ledger = books()
    ledger.grant(5, granted("w", 10_000))
    used = [Slot(number=0, requests=1, tokens=4_000)]
    ledger.demand(T + 3.5, demand("w", 1, seen=5, slots=used))
    assert committed(ledger, T + 3.5) == 4_000
    assert committed(ledger, T + 3.5 + 60.9) == 4_000  # from the moment in which it was told
    assert committed(ledger, T + 3.5 + 61.0) == 0


def test_a_grant_that_the_worker_had_not_read_yet_still_counts() -> None:
    ledger = books()
    ledger.grant(5, granted("w", 10_000))
    ledger.demand(T + 0.1, demand("w", 1, seen=4))
    assert committed(ledger, T + 0.1) == 10_000
    ledger.demand(T + 0.2, demand("w", 2, seen=5, left=Grant(1, 2_500)))
    assert committed(ledger, T + 0.2) == 2_500


def test_a_demand_that_the_broker_has_twice_counts_once() -> None:
    ledger = books()
    first = demand("w", 1, slots=[Slot(number=0, requests=1, tokens=4_000)])
    ledger.demand(T, first)
    ledger.demand(T + 1, demand("w", 2, slots=[Slot(number=0, requests=1, tokens=3_000)]))
    ledger.demand(T + 2, first)
    assert committed(ledger, T + 2) == 3_000


def test_what_is_open_counts_while_its_worker_may_live() -> None:
    ledger = books()
    ledger.demand(T, demand("w", 1, open=Grant(2, 7_000)))
    assert committed(ledger, T + 60) == 7_000
    assert committed(ledger, T + 61.1) == 0


def test_debt_is_paid_before_anything_is_granted() -> None:
    ledger = books()
    ledger.demand(T, demand("w", 1, slots=[Slot(number=0, requests=1, tokens=70_000)]))
    ledger.advance(T + 1)
    assert ledger.available(T + 1).tokens < 0
    ledger.demand(T + 2, demand("w", 2, requests=1, tokens=100, head_tokens=100))
    shares = share(ledger, {"w"}, T + 2)
    assert (shares.grants, shares.scarce) == ({}, True)


def test_a_call_gets_all_of_its_tokens_or_the_room_is_kept_for_it() -> None:
    ledger = books()
    ledger.demand(T, demand("used", 1, slots=[Slot(number=0, requests=1, tokens=40_000)]))
    ledger.demand(T, demand("large", 1, requests=1, tokens=25_000, head_tokens=25_000))
    ledger.demand(T, demand("small", 1, requests=50, tokens=5_000, head_tokens=100))
    ledger.accounts["small"].turn = 1.0  # it was served before
    assert share(ledger, {"used", "large", "small"}, T).grants == {}
    ledger.advance(T + 61)
    grants = share(ledger, {"used", "large", "small"}, T + 61).grants
    assert grants["large"].tokens >= 25_000
    assert "small" in grants


def test_what_is_left_beyond_the_heads_goes_in_proportion_to_demand_and_recent_use() -> None:
    ledger = books()
    for worker, calls in (("busy", 30), ("calm", 10)):
        ledger.demand(T, demand(worker, 1))
        ledger.demand(
            T + 3, demand(worker, 2, requests=calls, tokens=calls * 1_000, head_tokens=1_000, requests_used=calls)
        )
    shares = share(ledger, {"busy", "calm"}, T + 3)
    assert not shares.scarce
    assert shares.grants["busy"].tokens > shares.grants["calm"].tokens


def test_a_head_larger_than_the_limit_holds_up_nobody() -> None:
    ledger = books()
    ledger.demand(T, demand("wrong", 1, requests=1, tokens=60_001, head_tokens=60_001))
    ledger.demand(T, demand("right", 1, requests=1, tokens=100, head_tokens=100))
    shares = share(ledger, {"wrong", "right"}, T)
    assert "right" in shares.grants
    assert not shares.scarce


def test_quiet_workers_hold_a_little_while_nobody_waits() -> None:
    ledger = books()
    shares = share(ledger, {"a", "b", "c"}, T)
    assert {worker: given.tokens for worker, given in shares.grants.items()} == dict.fromkeys("abc", 2_000)


def test_nothing_is_granted_while_the_provider_asks_for_a_pause() -> None:
    ledger = books()
    ledger.demand(T, demand("w", 1, requests=1, tokens=100, head_tokens=100, provider_view=ProviderView(pause_s=5.0)))
    assert share(ledger, {"w"}, T + 4).grants == {}
    ledger.advance(T + 5.1)
    assert "w" in share(ledger, {"w"}, T + 5.1).grants


def leader() -> Grantor:
    grantor = Grantor("g", lambda provider: LIMIT, RULES)
    grantor.wanted = True
    claim = grantor.claim(T)
    assert claim is not None
    assert grantor.claim(T + 0.5) is None  # it is on its way
    grantor.read(0, T, claim)
    return grantor


def test_a_grantor_grants_again_only_when_it_has_read_its_last_grant_or_that_is_void() -> None:
    grantor = leader()
    grantor.read(1, T, demand("w", 1, requests=1, tokens=100, head_tokens=100))
    (first,) = grantor.decide(T)
    assert grantor.decide(T + 0.1) == []
    assert grantor.decide(T + RULES.late_s + RULES.margin_s) == []
    assert len(grantor.decide(T + RULES.late_s + RULES.margin_s + 0.1)) == 1
    assert not grantor.read(2, T + 2.5, first)  # now it came, too late


def test_a_grantor_stops_with_the_next_claim() -> None:
    grantor = leader()
    grantor.read(1, T, demand("w", 1, requests=1, tokens=100, head_tokens=100))
    grantor.read(2, T, LeaseClaim(grantor_id="other", epoch=grantor.epochs.epoch + 1, at=moment(T)))
    assert grantor.decide(T) == []
    assert grantor.claim(T + 1.0) is None  # the other one is given time


def test_a_worker_that_is_silent_is_granted_nothing() -> None:
    grantor = leader()
    grantor.read(1, T, demand("w", 1, requests=1, tokens=100, head_tokens=100))
    assert grantor.decide(T + RULES.known_s + 0.1) == []


@pytest.mark.parametrize("limit", [limit_of(tokens=60_000), limit_of(100)])
def test_a_resource_without_a_limit_holds_nobody_up(limit: Amount) -> None:
    ledger = Ledger(limit, RULES)
    ledger.advance(T)
    ledger.demand(T, demand("w", 1, requests=20, tokens=2_000, head_tokens=100))
    shares = share(ledger, {"w"}, T)
    assert not shares.scarce
    assert shares.grants["w"] != NONE
    shares.grants["w"].wire()


def test_books_read_from_the_log_are_the_same_for_everybody() -> None:
    one, other = (Grantor(name, lambda provider: LIMIT, RULES) for name in ("one", "other"))
    log: list[tuple[float, LeaseMessage]] = [
        (T, LeaseClaim(grantor_id="g", epoch=0, at=moment(T))),
        (T, demand("w", 1)),
        (T, granted("w", 9_000).model_copy(update={"epoch": 0})),
        (T + 1, demand("w", 2, seen=2, left=Grant(1, 4_000), slots=[Slot(number=1, requests=1, tokens=5_000)])),
    ]
    for reader in (one, other):
        for offset, (at, message) in enumerate(log):
            reader.read(offset, at, message)
    ledgers = [reader.ledger(Route("main", "*")) for reader in (one, other)]
    assert [committed(ledger, T + 1) for ledger in ledgers if ledger] == [9_000, 9_000]
