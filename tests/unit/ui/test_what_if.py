"""Other settings on recorded windows: the form takes what the settings file takes, and says what is wrong as it does."""

from __future__ import annotations

import pytest

from ops.ui.what_if import KEYS, WhatIfError, decided, in_force, with_changes
from schemas.metric_window import MetricWindow
from streams.scaling.policy import Policy
from streams.settings import load_settings
from tests.support.scaling import fleet_window

SETTINGS = load_settings(environ={})


def test_every_key_is_one_of_the_settings_and_written_as_they_are() -> None:
    written = in_force(SETTINGS.scaling)
    assert set(written) == set(KEYS)
    assert written["triggers.cpu.threshold"] == "75%"
    assert with_changes(SETTINGS, written) == Policy.of(SETTINGS)


def test_only_what_is_given_changes() -> None:
    changed = with_changes(SETTINGS, {"limits.max": "4", "cooldown": "30s"})
    assert (changed.largest, changed.smallest) == (4, SETTINGS.scaling.limits.min)
    assert changed.out_cooldown_s == 30


@pytest.mark.parametrize(
    ("key", "value", "said"),
    [
        ("triggers.cpu.threshold", "0.6", '"75%"'),  # a share without its unit: the form that it takes is told
        ("limits.min", "11", "min must be at most max"),
        ("limits.max", "1e3", "limits.max"),
        ("cooldown", "x" * 21, "more than 20 characters"),
        ("limits.min", "٣", "limits.min"),  # a digit, not one of ours
    ],
)
def test_a_value_that_the_settings_refuse_is_refused_in_one_line(key: str, value: str, said: str) -> None:
    with pytest.raises(WhatIfError) as refused:
        with_changes(SETTINGS, {key: value})
    assert said in str(refused.value)
    assert "\n" not in str(refused.value)


def test_a_lower_threshold_would_have_grown_the_fleet_and_a_smaller_bound_would_not() -> None:
    windows = [
        MetricWindow.model_validate_json(fleet_window(60 * minute, 60, cpu=0.7, workers=2)) for minute in range(1, 21)
    ]
    calm = decided(windows, with_changes(SETTINGS, {}))
    grown = decided(windows, with_changes(SETTINGS, {"triggers.cpu.threshold": "60%"}))
    bound = decided(windows, with_changes(SETTINGS, {"triggers.cpu.threshold": "60%", "limits.max": "2"}))
    assert [each.action for each in calm.steps] == []
    assert {each.action for each in grown.steps} == {"scale_out"}
    assert max(grown.wanted) > 2
    assert (bound.steps, set(bound.wanted)) == ((), {2.0})
    assert grown.windows == len(grown.wanted) == 20


def test_no_windows_lead_to_no_steps() -> None:
    assert decided([], with_changes(SETTINGS, {})).steps == ()
