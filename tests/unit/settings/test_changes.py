"""Which setting a running process takes, and what is said of the others."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streams.settings import Settings
from streams.settings.changes import LIVE, LIVE_LISTS, RESTART, Change, changes, class_of, flat, taken
from streams.settings.keys import all_keys


def settings(**changed: Any) -> Settings:
    provider = {"name": "main", "endpoints": [{"url": "http://a/v1", "weight": 1}], **changed.pop("provider", {})}
    return Settings.model_validate({"providers": [provider], **changed})


def kinds(before: Settings, after: Settings, started: Settings | None = None) -> dict[str, str]:
    found = changes(flat(before), flat(after), None if started is None else flat(started))
    return {each.place: each.kind for each in found}


def test_every_setting_of_the_reference_is_classed() -> None:
    assert {class_of(key.name) for key in all_keys()} == {"live", "restart"}


def test_what_is_called_live_is_in_the_reference() -> None:
    assert set(LIVE) <= {key.name for key in all_keys()}
    assert set(RESTART) | set(LIVE_LISTS) == {key.name.partition(".")[0].removesuffix("[]") for key in all_keys()}


def test_a_setting_of_a_section_that_nobody_classed_is_no_setting() -> None:
    with pytest.raises(KeyError, match="class it"):
        class_of("nobodys.main")


def test_the_same_settings_differ_in_nothing() -> None:
    assert not kinds(settings(), settings())


def test_a_limit_a_weight_and_the_log_level_are_live() -> None:
    after = settings(
        provider={
            "rate_limit": {"requests": "60/minute"},
            "endpoints": [{"url": "http://a/v1", "weight": 5}],
        },
        logging={"level": "debug"},
    )
    assert kinds(settings(), after) == {
        "providers.main.rate_limit.requests": "live",
        "providers.main.endpoints[http://a/v1].weight": "live",
        "logging.level": "live",
    }


def test_prices_are_live_whether_they_change_come_or_go() -> None:
    one = {"model": "small", "input": "1", "output": "2"}
    none, dearer = settings(), settings(prices=[one | {"output": "3"}])
    before, two = settings(prices=[one]), settings(prices=[one, one | {"model": "large"}])
    assert kinds(before, dearer) == {"prices[0].output": "live"}
    for was, now in ((none, before), (before, two), (two, before), (before, none)):
        assert set(kinds(was, now).values()) == {"live"}
        in_force = taken(flat(was), flat(now), changes(flat(was), flat(now)))
        assert not changes(in_force, flat(now))


def test_a_broker_and_a_group_wait_for_a_restart() -> None:
    after = settings(kafka={"bootstrap_servers": "other:9092", "group_id": "g"})
    assert set(kinds(settings(), after).values()) == {"restart"}


def endpoints(*given: dict[str, Any]) -> Settings:
    return settings(provider={"endpoints": list(given)})


def test_an_endpoint_that_comes_or_goes_is_one_live_change() -> None:
    a, b = {"url": "http://a/v1", "weight": 3}, {"url": "http://b/v1", "name": "b"}
    before, after = endpoints(a), endpoints(b)
    assert kinds(before, endpoints(b, a)) == {"providers.main.endpoints[b].url": "live"}
    assert kinds(before, after) == {
        "providers.main.endpoints[b].url": "live",
        "providers.main.endpoints[http://a/v1].url": "live",
    }
    in_force = taken(flat(before), flat(after), changes(flat(before), flat(after)))
    assert in_force == flat(after)


def test_the_order_of_endpoints_is_no_change() -> None:
    a, b = {"url": "http://a/v1"}, {"url": "http://b/v1"}
    assert not kinds(endpoints(a, b), endpoints(b, a))


def test_what_an_endpoint_is_called_with_is_live() -> None:
    other = {"url": "http://b/v1", "name": "a", "api_key_env": "KEY", "headers": {"x": "y"}, "accepts_gzip": True}
    found = kinds(endpoints({"url": "http://a/v1", "name": "a"}), endpoints(other))
    assert set(found.values()) == {"live"}
    assert len(found) == 4


_SIDES = st.lists(
    st.fixed_dictionaries(
        {"url": st.sampled_from(["http://a/v1", "http://b/v1"]), "weight": st.integers(1, 3)},
        optional={"api_key_env": st.sampled_from(["K1", "K2"])},
    ),
    min_size=1,
    max_size=4,
)


@given(_SIDES, _SIDES)
def test_any_endpoints_become_any_others_without_a_restart(before: list[Any], after: list[Any]) -> None:
    was, now = flat(endpoints(*before)), flat(endpoints(*after))
    found = changes(was, now)
    assert {each.kind for each in found} <= {"live"}
    assert taken(was, now, found) == now


def test_when_and_how_far_the_fleet_grows_is_live_and_who_makes_it_is_not() -> None:
    after = settings(scaling={"limits": {"max": 8}, "cooldown": "1m", "realizer": "process"})
    assert kinds(settings(), after) == {
        "scaling.limits.max": "live",
        "scaling.cooldown": "live",
        "scaling.realizer": "restart",
    }


def test_a_provider_more_in_front_of_the_others_changes_nothing_of_theirs() -> None:
    before = Settings.model_validate({"providers": [{"name": "a", "endpoints": [{"url": "http://a/v1"}]}]})
    after = Settings.model_validate(
        {"providers": [{"name": name, "endpoints": [{"url": f"http://{name}/v1"}]} for name in ("new.one", "a")]}
    )
    found = kinds(before, after)
    assert found
    assert all(place.startswith("providers.new.one.") for place in found)
    assert set(found.values()) == {"restart"}


def test_the_first_limit_of_a_provider_waits_for_a_restart_and_lifting_all_does_not() -> None:
    free = settings(provider={"rate_limit": {"requests": "unlimited", "tokens": "unlimited"}})
    limited = settings(provider={"rate_limit": {"requests": "60/minute", "tokens": "unlimited"}})
    assert set(kinds(free, limited, started=free).values()) == {"restart"}
    assert set(kinds(limited, free, started=limited).values()) == {"live"}
    assert set(kinds(free, limited, started=limited).values()) == {"live"}  # lifted meanwhile, and set again


def test_the_time_limit_of_calls_that_count_at_their_end_waits_for_a_restart() -> None:
    at_end = {"rate_limit": {"counted_at": "end"}}
    assert kinds(settings(provider=at_end), settings(provider={**at_end, "timeout": "9s"})) == {
        "providers.main.timeout": "restart"
    }


def test_no_difference_repeats_a_secret_or_where_one_is() -> None:
    before = settings(provider={"endpoints": [{"url": "http://a/v1", "headers": {"x-team": "red-hot"}}]})
    after = settings(provider={"endpoints": [{"url": "http://a/v1", "headers": {"x-team": "blue-sky"}}]})
    (change,) = changes(flat(before), flat(after))
    assert "red" not in str(change)
    assert "blue" not in str(change)
    assert change.place.endswith("headers")
    assert "***" in str(change)


def test_what_was_taken_is_in_force_and_what_was_not_is_told_again() -> None:
    before, after = flat(settings()), flat(settings(logging={"level": "debug"}, kafka={"group_id": "g"}))
    made = changes(before, after)
    now = taken(before, after, made)
    assert changes(now, after) == [Change("kafka.group_id", "kafka.group_id", "headrace-workers", "g", "restart")]


def test_a_change_is_said_as_a_file_would_write_it() -> None:
    (change,) = changes(flat(settings()), flat(settings(provider={"timeout": "9s"})))
    assert str(change) == 'providers.main.timeout: "1m" -> "9s"'
