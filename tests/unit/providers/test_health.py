"""An endpoint's health: checks, operators, and each of its models apart."""

from __future__ import annotations

from streams.providers.breaker import BreakerPolicy
from streams.providers.formats.wire import Failure
from streams.providers.health import Health

POLICY = BreakerPolicy(calls=20, window_s=30, min_volume=10, error_share=0.5, open_for_s=10, probes=3)
DOWN = Failure("provider_error", "the provider answered 500: no", fault="illness")
GONE = Failure("provider_error", "the provider answered 404: no such model", fault="model", certain=True)
KEY = Failure("provider_error", "the provider answered 401: bad key", fault="key", certain=True)
NOBODY = Failure("provider_unavailable", "cannot be reached", fault="illness", sent=False)


def healthy(unhealthy_after: int = 3, healthy_after: int = 1) -> Health:
    return Health(POLICY, unhealthy_after, healthy_after)


def fail(health: Health, model: str, failure: Failure, now: float, times: int = 1) -> None:
    for _ in range(times):
        begun = health.begin(model)
        health.end(begun)
        if failure.certain:
            health.refused(begun, failure, now)
        else:
            health.failed(begun, failure, now, everywhere=False)


def test_checks_in_a_row_make_an_endpoint_unhealthy_and_healthy_again() -> None:
    health = healthy(unhealthy_after=3, healthy_after=2)
    assert [health.checked(False, at) for at in (0, 30)] == [False, False]
    assert not health.checked(True, 60)  # not in a row
    assert [health.checked(False, at) for at in (90, 120, 150)] == [False, False, True]
    assert (health.state, health.fit("m", 150)) == ("unhealthy", False)
    assert [health.checked(True, at) for at in (180, 210)] == [False, True]
    assert (health.state, health.fit("m", 210)) == ("healthy", True)


def test_a_drained_endpoint_gets_no_calls_until_its_operator_says_so() -> None:
    health = healthy()
    assert health.drain(True)
    assert not health.drain(True)
    assert (health.state, health.fit("m", 0)) == ("draining", False)
    assert health.drain(False)
    assert health.fit("m", 0)


def test_a_dead_model_costs_no_other_model_a_call() -> None:
    health = healthy()
    fail(health, "good", DOWN, 0.0, times=2)
    fail(health, "dead", DOWN, 0.0, times=5)
    assert (health.fit("good", 1.0), health.fit("dead", 1.0), health.fit("new", 1.0)) == (True, False, True)
    unfit = health.unfit("dead", 1.0)
    assert unfit is not None
    assert (unfit.scope, unfit.refused) == ("model", False)
    assert "answered 500" in unfit.why
    assert health.state == "healthy"
    assert health.next_check_s(30.0, 1.0) == 9.0
    assert health.checked(True, 10.0)
    assert health.fit("dead", 10.0)


def test_a_model_that_is_not_there_is_set_aside_alone() -> None:
    health = healthy()
    fail(health, "typo", GONE, 0.0)
    unfit = health.unfit("typo", 1.0)
    assert unfit is not None
    assert (unfit.scope, unfit.refused, unfit.retry_in_s) == ("model", True, 29.0)
    assert health.fit("good", 1.0)
    assert health.state == "healthy"


def test_a_refused_key_sets_the_endpoint_aside_for_all_models_until_it_has_another_one() -> None:
    health = healthy()
    fail(health, "m", KEY, 0.0)
    assert (health.state, health.fit("other", 1.0)) == ("refused", False)
    assert health.new_key()
    assert health.fit("other", 1.0)


def test_an_address_where_nobody_is_is_left_alone_for_all_models() -> None:
    health = healthy()
    for number in range(5):
        fail(health, f"model-{number}", NOBODY, 0.0)
    assert (health.state, health.fit("other", 1.0)) == ("open", False)


def test_an_endpoint_that_is_ill_for_every_model_it_is_called_for_is_open() -> None:
    health = healthy()
    fail(health, "one", DOWN, 0.0, times=5)
    states = [health.state]
    begun = health.begin("two")
    health.end(begun)
    health.succeeded(begun, 1.0)
    assert [*states, health.state] == ["open", "healthy"]


def test_a_wait_that_was_asked_for_binds_that_model_there_and_five_minutes_at_most() -> None:
    health = healthy()
    health.pause("m", 20.0, "slow down", 0.0)
    health.pause("m", 5.0, "slow down", 0.0)
    assert [health.fit("m", at) for at in (19.9, 20.0)] == [False, True]
    assert health.fit("other", 1.0)
    health.pause("m", 86_400.0, "tomorrow", 0.0)
    assert [health.fit("m", at) for at in (299.0, 300.0)] == [False, True]


def test_strangers_models_are_forgotten_before_those_that_are_set_aside() -> None:
    health = healthy()
    fail(health, "dead", DOWN, 0.0, times=5)
    for number in range(1_000):
        begun = health.begin(f"stranger-{number}")
        health.end(begun)
        health.succeeded(begun, 1.0)
    assert not health.fit("dead", 1.0)
    assert len(health._models) <= 128
