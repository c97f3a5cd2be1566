"""Other settings for the same load: what scaling would have decided at each window that was recorded. Pure.

The windows stay as they were: a fleet of another size would have had other figures, so this tells when the fleet would have
been changed first, not where it would have ended. `headrace scaling simulate` puts a load on a fleet of any size.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from pydantic import ValidationError

from ops.simulation.scaling_recorded import replay
from schemas.metric_window import MetricWindow
from schemas.scaling_decision import ScalingDecision
from streams.scaling.policy import Policy
from streams.scaling.signals import in_order, signals_of
from streams.settings import Settings
from streams.settings.problems import problems_of
from streams.settings.scaling import Scaling

KEYS: Final = (
    "limits.min",
    "limits.max",
    "limits.increment",
    "cooldown",
    "triggers.cpu.threshold",
    "triggers.cpu.duration",
    "triggers.memory.threshold",
    "triggers.queue.length",
    "triggers.queue.wait_time",
    "triggers.queue.expired_share",
    "scale_in.duration",
)
"""Settings below [scaling] that can be tried; a value is written as in the settings file."""
MOST_CHARACTERS: Final = 20
"""Of a value."""


class WhatIfError(Exception):
    """A value that the settings would not take: which, and what they take."""


@dataclass(frozen=True, slots=True)
class WhatIf:
    """What would have been decided."""

    windows: int
    steps: tuple[ScalingDecision, ...]
    """Decisions that would have changed the fleet, oldest first."""
    wanted: tuple[float, ...]
    """Workers wanted at the end of each window."""


def in_force(scaling: Scaling) -> dict[str, str]:
    """The values of `KEYS`, as the settings file would write them."""
    written = scaling.model_dump(mode="json")
    return {key: str(_table(written, key)[key.rpartition(".")[2]]) for key in KEYS}


def with_changes(settings: Settings, changes: Mapping[str, str]) -> Policy:
    """The policy of these settings with other values for some of `KEYS`. Raises WhatIfError."""
    written = settings.scaling.model_dump(mode="json")
    for key, value in changes.items():
        if len(value) > MOST_CHARACTERS:
            raise WhatIfError(f"scaling.{key} has more than {MOST_CHARACTERS} characters")
        _table(written, key)[key.rpartition(".")[2]] = int(value) if value.isascii() and value.isdigit() else value
    try:
        scaling = Settings.model_validate({"scaling": written}).scaling
    except ValidationError as error:
        raise WhatIfError("; ".join(problems_of(error, {}, "here"))) from None
    return Policy.of(settings.model_copy(update={"scaling": scaling}))


def decided(windows: Sequence[MetricWindow], policy: Policy) -> WhatIf:
    """What the policy says to windows of the fleet, ascending."""
    signals = in_order([signals_of(each) for each in windows])
    decisions = tuple(replay(signals, policy))
    return WhatIf(
        windows=len(signals),
        steps=tuple(each for each in decisions if each.action != "hold"),
        wanted=tuple(float(each.workers_wanted) for each in decisions),
    )


def _table(written: dict[str, Any], key: str) -> dict[str, Any]:
    """The table that a key stands in."""
    for name in key.split(".")[:-1]:
        written = written[name]
    return written
