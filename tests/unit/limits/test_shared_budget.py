"""The seam between providers and limits: the contract that every budget keeps, and what the shared one does besides."""

from collections.abc import Callable
from typing import Any

import pytest

from schemas.lease import Grant, LeaseDemand, LeaseGrant
from streams.limits import UNLIMITED, Budget, Reservation, Route, TooLarge, Wait
from streams.limits.books.grantor import moment
from streams.limits.build import shared_budgets
from streams.limits.token_estimate import Estimate
from streams.limits.usage import NOTHING, Used
from streams.limits.worker.shared_budget import Queues, SharedBudget
from streams.settings.model import Settings

T = 1_000.0
ROUTE = Route("main", "small")


class Clock:
    """A clock of this machine, and the broker's."""

    def __init__(self) -> None:
        self.now = T

    def __call__(self) -> float:
        return self.now


def shared_of(
    rate_limit: dict[str, Any] | None = None,
    *,
    name: str = "main",
    models: tuple[str, ...] = ("small",),
    waiting: Callable[[], Queues] = dict,
    clock: Clock | None = None,
    wire: str = "openai",
) -> SharedBudget:
    provider = {"name": name, "format": wire, "models": list(models), "rate_limit": rate_limit or {}}
    settings = Settings.model_validate({"providers": [provider | {"endpoints": [{"url": "http://127.0.0.1:9/v1"}]}]})
    shared = shared_budgets(settings, "w", waiting=waiting, alive=lambda: True)
    shared.clock.running = clock or Clock()
    shared.clock.acked(T, T, T)
    return shared


_offsets = iter(range(10**6))


def grant(shared: SharedBudget, given: Grant, route: Route = ROUTE, at: float = T, **more: Any) -> None:
    offset = next(_offsets)
    message = LeaseGrant(
        provider=route.provider,
        model=route.group,
        grantor_id="g",
        epoch=0,
        seq=offset + 1,
        valid_from=moment(at),
        valid_until=moment(at + 3.0),
        grants={"w": given},
        **more,
    )
    shared.read(offset, at, message)


def sent_demand(shared: SharedBudget, route: Route = ROUTE) -> LeaseDemand:
    """What the worker says of a route now."""
    demand = shared.demand(route)
    shared.confirmed(route, acked=True)
    return demand


def leased() -> SharedBudget:
    shared = shared_of()
    grant(shared, Grant(10, 5_000))
    return shared


def taken(budget: Budget, estimate: Estimate, route: Route = ROUTE) -> Reservation:
    found = budget.reserve(route, estimate)
    assert not isinstance(found, Wait | TooLarge), found
    return found


@pytest.fixture(params=[lambda: UNLIMITED, leased], ids=["unlimited", "shared"])
def budget(request: pytest.FixtureRequest) -> Budget:
    made: Budget = request.param()
    return made


# ---- the contract


def test_a_call_that_fits_is_held_and_may_begin(budget: Budget) -> None:
    assert budget.too_large(ROUTE, Estimate(100)) is None
    assert taken(budget, Estimate(100)).is_valid()


@pytest.mark.parametrize("used", [None, NOTHING, Used(50, 20, 10), Used(10**9, 10**9)])
def test_a_hold_ends_once_however_it_ends(budget: Budget, used: Used | None) -> None:
    reservation = taken(budget, Estimate(100))
    assert reservation.is_valid()
    reservation.settle(used)
    reservation.settle(used)
    reservation.release()


def test_a_hold_that_never_began_is_given_back(budget: Budget) -> None:
    for _ in range(100):
        taken(budget, Estimate(4_000)).release()


def test_whatever_a_provider_says_raises_nothing(budget: Budget) -> None:
    budget.observe_headers(ROUTE, {})
    budget.observe_headers(ROUTE, {"x-ratelimit-remaining-tokens": "many", "anthropic-ratelimit-tokens-reset": "soon"})
    budget.pause(ROUTE, 0.0)
    budget.pause(ROUTE, 10**9)


def test_who_wants_to_hear_of_room_may_say_so(budget: Budget) -> None:
    budget.on_room(lambda route: None)
    taken(budget, Estimate(100)).release()


# ---- the shared one


def test_two_groups_have_two_ledgers_even_where_a_provider_is_named_like_a_models_prefix() -> None:
    routes = [Route("openai", "openai/gpt-4o"), Route("openai", "gpt-4o")]
    counts = {routes[0]: (50, 5_000), routes[1]: (7, 700)}
    shared = shared_of(
        name="openai",
        models=tuple(route.group for route in routes),
        waiting=lambda: {route: {"normal": count} for route, count in counts.items()},
    )
    for route in routes:
        assert isinstance(shared.reserve(route, Estimate(100)), Wait)
    assert {route: sent_demand(shared, route).requests for route in routes} == {routes[0]: 50, routes[1]: 7}
    grant(shared, Grant(1, 100), routes[0])
    assert isinstance(shared.reserve(routes[1], Estimate(100)), Wait)
    assert taken(shared, Estimate(100), routes[0]).is_valid()


def test_room_is_told_with_the_route_that_has_it() -> None:
    shared = shared_of(models=("small", "large"))
    heard: list[Route] = []
    shared.on_room(heard.append)
    grant(shared, Grant(1, 100), Route("main", "large"))
    assert heard == [Route("main", "large")]


def test_all_limits_are_taken_together_or_none() -> None:
    shared = shared_of({"input_tokens": "30000/minute", "output_tokens": "8000/minute"})
    grant(shared, Grant(10, 0, 1_000, 50))
    assert isinstance(shared.reserve(ROUTE, Estimate(900, 60, 60)), Wait)
    assert isinstance(shared.reserve(ROUTE, Estimate(1_100, 40, 40)), Wait)
    assert taken(shared, Estimate(900, 40, 40)).is_valid()
    demand = sent_demand(shared)
    assert demand.left == Grant(9, 0, 100, 10)
    assert [(slot.requests, slot.input, slot.output) for slot in demand.slots] == [(1, 900, 40)]


def test_what_waits_is_told_by_side() -> None:
    shared = shared_of({"input_tokens": "30000/minute"}, waiting=lambda: {ROUTE: {"high": (3, 3_000)}})
    assert isinstance(shared.reserve(ROUTE, Estimate(900, 100, 100)), Wait)
    demand = sent_demand(shared)
    assert (demand.head_tokens, demand.head_input, demand.head_output) == (1_000, 900, 100)
    assert (demand.requests, demand.tokens, demand.input, demand.output) == (3, 3_000, 2_700, 300)


@pytest.mark.parametrize(
    ("rate_limit", "estimate", "says"),
    [
        pytest.param(
            {"tokens": "30000/minute"}, Estimate(31_538, least_input=31_538), "31538 tokens", id="shell_gpt#653"
        ),
        pytest.param(
            {"tokens": "30000/minute"}, Estimate(342_389, least_input=114_000), "114000 tokens", id="vanna-flask#11"
        ),
        pytest.param(
            {"tokens": "8000/minute"},
            Estimate(500, 8_192, 100, 170, 8_192),
            "lower max_tokens",
            id="maplibre-agent-skills#63",
        ),
        pytest.param({"input_tokens": "10000/minute"}, Estimate(60_000, least_input=20_000), "20000 input", id="input"),
        pytest.param({"output_tokens": "8000/minute"}, Estimate(10, 9_000, 9, 3, 9_000), "9000 output", id="output"),
    ],
)
def test_what_cannot_fit_by_the_least_that_it_takes_is_refused_with_a_reason(
    rate_limit: dict[str, Any], estimate: Estimate, says: str
) -> None:
    refused = shared_of(rate_limit).too_large(ROUTE, estimate)
    assert refused is not None
    assert says in refused.message


def test_what_may_take_more_than_the_limit_and_may_not_waits_for_most_of_it() -> None:
    shared = shared_of()
    asked = Estimate(input=91_000, output=435, least_input=30_500, least_output=435)  # it took 64,281 in the end
    assert shared.too_large(ROUTE, asked) is None
    assert isinstance(shared.reserve(ROUTE, asked), Wait)
    assert sent_demand(shared).head_tokens == 81_000
    grant(shared, Grant(1, 81_000))
    reservation = taken(shared, asked)
    assert reservation.is_valid()
    reservation.settle(Used(64_000, 281))
    (slot,) = sent_demand(shared).slots
    assert slot.tokens == 64_281


def test_max_tokens_is_no_reason_to_refuse_where_it_does_not_count() -> None:
    asked = Estimate(input=10, output=200_000, usual_output=300, least_input=3, least_output=200_000)
    assert shared_of(wire="openai").too_large(ROUTE, asked) is not None
    assert shared_of(wire="anthropic").too_large(ROUTE, asked) is None


def test_what_a_caller_had_in_the_cache_is_not_reserved_again_where_it_does_not_count() -> None:
    clock = Clock()
    shared = shared_of(clock=clock, wire="anthropic")
    asked = Estimate(input=10_000, caller="agent")
    for _ in range(8):
        grant(shared, Grant(1, 12_000), at=clock.now)
        reservation = taken(shared, asked)
        assert reservation.is_valid()
        reservation.settle(Used(10_000, 0, 9_900))
        clock.now += 3.5
    grant(shared, Grant(2, 3_000), at=clock.now)
    assert isinstance(shared.reserve(ROUTE, Estimate(input=10_000, caller="other")), Wait)
    assert taken(shared, asked).is_valid()


def test_a_pause_holds_here_at_once_and_is_passed_on() -> None:
    clock = Clock()
    shared = shared_of(clock=clock)
    grant(shared, Grant(10, 5_000))
    woken: list[bool] = []
    shared.wake = lambda: woken.append(True)
    shared.pause(ROUTE, 2.0)
    found = shared.reserve(ROUTE, Estimate(100))
    assert isinstance(found, Wait)
    assert found.retry_in_s == pytest.approx(2.0, abs=0.01)
    assert woken
    view = sent_demand(shared).provider_view
    assert view is not None
    assert view.pause_s == pytest.approx(2.0, abs=0.01)
    clock.now += 2.1
    assert taken(shared, Estimate(100)).is_valid()


def test_no_pause_is_longer_than_a_minute() -> None:
    shared = leased()
    shared.pause(ROUTE, 86_400.0)
    found = shared.reserve(ROUTE, Estimate(100))
    assert isinstance(found, Wait)
    assert found.retry_in_s == pytest.approx(60.0, abs=0.01)


def test_headers_that_come_after_a_pause_do_not_end_it() -> None:
    shared = leased()
    shared.pause(ROUTE, 5.0)
    shared.observe_headers(ROUTE, {"x-ratelimit-remaining-tokens": "100"})
    view = sent_demand(shared).provider_view
    assert view is not None
    assert (view.remaining_tokens, round(view.pause_s)) == (100, 5)


def test_what_is_recalled_is_given_up_and_said_at_once_and_calls_that_hold_it_go_on() -> None:
    clock = Clock()
    shared = shared_of(clock=clock)
    grant(shared, Grant(10, 5_000))
    reservation = taken(shared, Estimate(1_000))
    assert sent_demand(shared).left.tokens == 4_000
    clock.now += 0.1
    grant(shared, Grant(0, 0), recalled=["w"])
    assert shared.due()[0] == [ROUTE]
    assert sent_demand(shared).left == Grant(0, 0)
    assert isinstance(shared.reserve(ROUTE, Estimate(100)), Wait)
    assert reservation.is_valid()


def test_a_large_use_and_a_large_refund_are_told_at_once() -> None:
    clock = Clock()
    shared = shared_of(clock=clock)
    grant(shared, Grant(1, 20_000))
    sent_demand(shared)
    clock.now += 0.1
    reservation = taken(shared, Estimate(20_000))
    assert shared.due()[0] == []
    assert reservation.is_valid()
    assert shared.due()[0] == [ROUTE]
    sent_demand(shared)
    clock.now += 0.1
    reservation.settle(Used(100))
    assert shared.due()[0] == [ROUTE]


def test_it_holds_calls_from_the_first_that_does_not_fit_until_there_is_room() -> None:
    shared = shared_of()
    grant(shared, Grant(1, 5_000))
    assert not shared.holds_calls
    taken(shared, Estimate(100))
    assert not shared.holds_calls
    assert isinstance(shared.reserve(ROUTE, Estimate(100)), Wait)
    assert shared.holds_calls
    grant(shared, Grant(1, 5_000))
    assert not shared.holds_calls
