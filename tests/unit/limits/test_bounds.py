"""Whatever a grant says, it gives no more than the settings, and for no longer than a lease."""

from __future__ import annotations

from datetime import UTC, datetime

from hypothesis import given
from hypothesis import strategies as st

from schemas.lease import Grant, LeaseGrant
from streams.limits.amount import Amount, amount, limit_of, total
from streams.limits.books.bounds import within_limits
from streams.limits.books.ledger import LeaseRules
from streams.limits.route import Route
from streams.limits.worker.allowance import Allowance, Need

NOW = 1_700_000_000.0
RULES = LeaseRules()
COUNTS = st.integers(0, 2**53)
GRANTS = st.dictionaries(st.text(min_size=1, max_size=5), st.builds(Grant, COUNTS, COUNTS, COUNTS, COUNTS), max_size=5)


def grant_of(grants: dict[str, Grant], until: float = NOW + 3) -> LeaseGrant:
    return LeaseGrant(
        provider="p", grantor_id="g", epoch=1, valid_from=datetime.fromtimestamp(NOW, UTC),
        valid_until=datetime.fromtimestamp(until, UTC), grants=grants,
    )  # fmt: skip


@given(GRANTS, st.integers(1, 1000), st.floats(NOW - 100, NOW + 1e9))
def test_all_workers_together_get_at_most_the_limit_and_for_a_lease(
    grants: dict[str, Grant], most: int, until: float
) -> None:
    limit = limit_of(requests=most, tokens=most * 10)
    counts = within_limits(grant_of(grants, until), limit, NOW, RULES)
    assert total(map(amount, counts.grants.values())).fits(limit)
    assert counts.valid_until.timestamp() <= NOW + RULES.lease_s + RULES.late_s
    assert counts.grants.keys() == grants.keys()


def test_an_honest_grant_stays_as_it_is() -> None:
    grant = grant_of({"a": Grant(3, 30), "b": Grant(7, 70)})
    assert within_limits(grant, limit_of(requests=10, tokens=100), NOW, RULES) is grant
    assert within_limits(grant, None, NOW, RULES) is grant


@given(st.lists(st.tuples(st.integers(1, 30), st.floats(0, 5)), max_size=60))
def test_one_worker_never_takes_more_than_the_limit_in_a_window_however_much_it_is_granted(
    calls: list[tuple[int, float]],
) -> None:
    """The forged grants of a review: 1,183 calls in 20 s at a limit of 120 a minute."""
    allowance, now, taken = (
        Allowance(Route("p", "*"), limit_of(requests=100), 60.0, 3.0),
        NOW,
        list[tuple[float, int]](),
    )
    for offset, (count, pause_s) in enumerate(calls):
        now += pause_s
        allowance.grant(offset, Amount(10**9, 0), now + 100, now)
        if allowance.reserve(Amount(count, 0), now):
            allowance.book(Amount(count, 0), now)
            taken.append((now, count))
        allowance.demand("w", Need(), datetime.fromtimestamp(now, UTC), now)
        allowance.confirmed(True)
        assert sum(count for at, count in taken if at > now - 60.0) <= 100
