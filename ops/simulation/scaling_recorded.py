"""Recorded windows through the policy: what would have been decided at each, with the fleet as it was."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace
from typing import Any

import orjson
from pydantic import ValidationError

from schemas.errors import explain
from schemas.metric_window import MetricWindow
from schemas.scaling_decision import ScalingDecision, ScalingState, Signals
from streams.scaling.decide import decide
from streams.scaling.policy import Policy
from streams.scaling.record import record_of
from streams.scaling.signals import FLEET, in_order, signals_of


class RecordingError(Exception):
    """A line is no window: which one, and why."""


def read_windows(lines: Iterable[str]) -> list[Signals]:
    """The fleet's windows from lines of JSON: records as `headrace tail metrics.windows --json` prints them, or bare windows.

    Windows of single workers are passed over. Raises RecordingError.
    """
    found = []
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        try:
            value: Any = orjson.loads(line)
            if isinstance(value, dict) and "offset" in value and "value" in value:
                value = value["value"]
            window = MetricWindow.model_validate_json(orjson.dumps(value))
        except ValidationError as error:
            raise RecordingError(f"line {number} is no metric window: {explain(error)}") from None
        except orjson.JSONDecodeError as error:
            raise RecordingError(f"line {number} is no JSON: {error}") from None
        if window.scope == FLEET:
            found.append(signals_of(window))
    return in_order(found)


def replay(windows: list[Signals], policy: Policy) -> Iterator[ScalingDecision]:
    """The record of a decision at the end of each window.

    The fleet is as large as it was: a decision does not change what was recorded.
    """
    state = ScalingState(windows[0].workers) if windows else ScalingState(0)
    for index, window in enumerate(windows):
        before = replace(state, target=window.workers)
        reach = [each for each in windows[: index + 1] if each.end_s > window.end_s - policy.reach_s - policy.window_s]
        made = decide(reach, before, policy, window.end_s)
        yield record_of(made, before, reach, policy, window.end_s, index + 1, "replay")
        state = made.state
