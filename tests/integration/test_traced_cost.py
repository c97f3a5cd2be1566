"""What traces in answers, and spans of a share of them, cost a worker: CPU a record, beside the same worker without them."""

from __future__ import annotations

from pathlib import Path
from statistics import median

import pytest

from ops.brokers import Broker
from tests.support.collector import collecting
from tests.support.fixtures import FULL, Measured
from tests.support.worker_cost import measure
from topics.names import V1

ROUNDS = 6 if FULL else 2
MOST = 1.03
NOISE = 0.0 if FULL else 0.22
"""Two rounds of the same worker differ by up to a fifth; TEST_FULL=1 has enough of them to tell 3 %."""


@pytest.mark.alone
@pytest.mark.timeout(900)
async def test_traces_and_spans_cost_a_record_next_to_nothing(
    kafka: Broker, tmp_path: Path, measured: Measured
) -> None:
    us: dict[str, list[float]] = {"none": [], "called": [], "spans": []}
    async with collecting() as collector:
        settings: dict[str, dict[str, object]] = {
            "none": {"trace__answers": "none"},
            "called": {},
            "spans": {"trace__export__exporter": "otlp", "trace__export__endpoint": collector.url},
        }
        for number in range(ROUNDS):  # in turns: what else the machine does is then in all
            for name, changed in settings.items():
                found = await measure(
                    kafka,
                    {"bootstrap_servers": kafka.bootstrap_servers},
                    tmp_path / f"{name}-{number}",
                    changed,
                    V1,
                    at_rest=False,
                )
                us[name].append(found.us_a_record)
        assert collector.spans, "some were told"
    without = median(us.pop("none"))
    measured(
        f"without {without:.0f} us a record; "
        + "; ".join(f"{name}: {median(each):.0f} us, {median(each) / without:.3f} times" for name, each in us.items())
    )
    for name, each in us.items():
        assert median(each) / without <= MOST + NOISE, name
