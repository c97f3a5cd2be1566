"""Each setting of limits changes what a worker may do."""

from typing import Any

import pytest

from schemas.lease import Grant, LeaseGrant
from streams.limits import Route
from streams.limits.amount import limit_of
from streams.limits.books.grantor import moment
from streams.limits.books.ledger import Ledger
from streams.limits.books.share import share
from streams.limits.budget import TooLarge, Wait
from streams.limits.build import leases_needed, shared_budgets
from streams.limits.counting import Counting
from streams.limits.token_estimate import Estimate
from streams.limits.worker.shared_budget import SharedBudget
from streams.settings import SettingsError
from streams.settings.model import Settings

T = 1_000.0


def exactly(tokens: int) -> Estimate:
    """Of a call of which it is known what it takes."""
    return Estimate(input=tokens, least_input=tokens)


def settings_of(rate_limit: dict[str, Any] | None = None, **limits: Any) -> Settings:
    provider = {"name": "main", "models": ["small"], "endpoints": [{"url": "http://127.0.0.1:9/v1"}]}
    return Settings.model_validate({"providers": [provider | {"rate_limit": rate_limit or {}}], "limits": limits})


def shared_of(rate_limit: dict[str, Any] | None = None, **limits: Any) -> SharedBudget:
    shared = shared_budgets(settings_of(rate_limit, **limits), "w", waiting=dict, alive=lambda: True)
    shared.clock.running = lambda: T
    shared.clock.acked(T, T, T)
    return shared


def grant(shared: SharedBudget, requests: int, tokens: int) -> None:
    given = {"w": Grant(requests, tokens)}
    shared.read(
        0,
        T,
        LeaseGrant(
            provider="main",
            model="small",
            grantor_id="g",
            epoch=0,
            seq=1,
            valid_from=moment(T),
            valid_until=moment(T + shared.rules.lease_s),
            grants=given,
        ),
    )


def books(shared: SharedBudget) -> Ledger:
    ledger = shared.grantor.ledger(Route("main", "small"))
    assert ledger is not None
    ledger.advance(T)
    return ledger


def test_the_defaults_are_the_specifications() -> None:
    assert shared_of().limits["main"].amount == limit_of(3_500, 90_000)


def test_more_tokens_than_the_limit_are_refused_at_once_with_a_way_out() -> None:
    assert isinstance(shared_of().reserve(Route("main", "small"), exactly(90_000)), Wait)
    refused = shared_of({"tokens": "60000/minute"}).reserve(Route("main", "small"), exactly(60_001))
    assert isinstance(refused, TooLarge)
    assert "60001 tokens" in refused.message
    assert "max_tokens" in refused.message


@pytest.mark.parametrize(
    ("rate_limit", "requests", "tokens"),
    [({}, 0, 500), ({}, 1, 0)],
    ids=["no request left", "no tokens left"],
)
def test_a_call_needs_a_request_and_its_tokens(rate_limit: dict[str, Any], requests: int, tokens: int) -> None:
    shared = shared_of(rate_limit)
    grant(shared, requests, tokens)
    assert isinstance(shared.reserve(Route("main", "small"), exactly(500)), Wait)


def test_an_unlimited_resource_holds_nobody_up() -> None:
    shared = shared_of({"requests": "unlimited"})
    grant(shared, 0, 500)
    assert not isinstance(shared.reserve(Route("main", "small"), exactly(500)), Wait)
    shared = shared_of({"tokens": "unlimited"})
    grant(shared, 1, 0)
    assert not isinstance(shared.reserve(Route("main", "small"), exactly(10**9)), Wait | TooLarge)
    assert not leases_needed(settings_of({"requests": "unlimited", "tokens": "unlimited"}))


def test_a_limit_of_an_hour_is_held_as_its_part_of_a_window() -> None:
    assert shared_of({"requests": "600/hour"}).limits["main"].amount.requests == 10
    with pytest.raises(SettingsError, match="less than one"):
        shared_of({"requests": "10/hour"})


@pytest.mark.parametrize(("lease", "left_s"), [("3s", 3.0), ("1s", 1.0)])
def test_the_lease_says_how_long_a_grant_holds(lease: str, left_s: float) -> None:
    shared = shared_of(lease=lease)
    grant(shared, 10, 5_000)
    shared.clock.running = lambda: T + left_s - 0.1
    assert not isinstance(shared.reserve(Route("main", "small"), exactly(500)), Wait)
    shared.clock.running = lambda: T + left_s + 0.1
    assert isinstance(shared.reserve(Route("main", "small"), exactly(500)), Wait)


@pytest.mark.parametrize(("burst", "tokens"), [("20%", 18_000), ("50%", 45_000)])
def test_the_burst_says_how_much_may_go_out_at_once(burst: str, tokens: int) -> None:
    assert books(shared_of(burst=burst)).available(T).tokens == tokens


@pytest.mark.parametrize(("standing", "tokens"), [("10%", 4_500), ("2%", 900)])
def test_the_standing_share_says_how_much_quiet_workers_hold(standing: str, tokens: int) -> None:
    assert share(books(shared_of(standing=standing)), {"a", "b"}, T).grants["a"].tokens == tokens


def test_window_and_margin_say_how_long_a_use_counts() -> None:
    assert shared_of().rules.window_s == 60.5
    assert shared_of(window="10s", margin="200ms").rules.window_s == 10.2
    assert shared_of(window="10s").limits["main"].amount.tokens == 15_000


def test_a_provider_that_counts_at_the_end_is_held_to_what_is_under_way() -> None:
    shared = shared_of({"counted_at": "end"})
    assert shared.limits["main"].counts_at_end
    assert shared.rules.in_flight_s == 60.0


@pytest.mark.parametrize(
    ("wire", "counting"),
    [("openai", Counting(True, "until_answered")), ("anthropic", Counting(False, "never"))],
)
def test_what_counts_is_by_format_what_its_vendor_says_unless_it_is_set(wire: str, counting: Counting) -> None:
    def counting_of(**rate_limit: Any) -> Counting:
        settings = settings_of(rate_limit)
        provider = settings.providers[0].model_copy(update={"format": wire})
        changed = settings.model_copy(update={"providers": [provider]})
        return shared_budgets(changed, "w", waiting=dict, alive=lambda: True).limits["main"].counting

    assert counting_of() == counting
    assert counting_of(count_cached=not counting.cached) == Counting(not counting.cached, counting.max_tokens)
    assert counting_of(count_max_tokens="always") == Counting(counting.cached, "always")


def test_limits_of_input_and_output_stand_in_for_one_of_all_tokens_or_beside_it() -> None:
    sides = {"input_tokens": "30000/minute", "output_tokens": "8000/minute"}
    assert shared_of(sides).limits["main"].amount == limit_of(3_500, input_tokens=30_000, output_tokens=8_000)
    both = shared_of({"tokens": "35000/minute", **sides}).limits["main"].amount
    assert both == limit_of(3_500, 35_000, 30_000, 8_000)
    assert leases_needed(settings_of({"requests": "unlimited", **sides}))
    assert shared_of({"input_tokens": "unlimited"}).limits["main"].amount == limit_of(3_500, 90_000)


@pytest.mark.parametrize("side", ["input_tokens", "output_tokens"])
def test_a_side_above_all_tokens_is_a_contradiction_that_is_named(side: str) -> None:
    with pytest.raises(ValueError, match=f"{side} must be at most tokens"):
        settings_of({"tokens": "30000/minute", side: "40000/minute"})
