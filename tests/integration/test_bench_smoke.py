"""The benchmark runs, and the worker is faster than the loop that most people write."""

from pathlib import Path

import orjson
import pytest

from ops.brokers import kafka_jars
from tests.chaos.fixtures import Measured
from tests.integration.cli import headrace

RECORDS = 60_000
AT_LEAST = 1.2
"""Times the rate of an aiokafka loop with one `send` a record; `headrace bench pipeline` shows what it is in full."""
ATTEMPTS = 2
"""Two cores carry both sides and the broker; what else runs on the machine decides a short round now and then."""


@pytest.mark.load
@pytest.mark.timeout(180)
async def test_the_worker_beats_an_aiokafka_loop_with_one_send_a_record(tmp_path: Path, measured: Measured) -> None:
    reason = kafka_jars.missing()
    if reason is not None:
        pytest.skip(reason)
    result, chart = tmp_path / "bench.json", tmp_path / "bench.svg"
    for _ in range(ATTEMPTS):
        called = await headrace(
            *("bench", "pipeline", "--peers", "aiokafka", "--records", str(RECORDS), "--rounds", "3"),
            *("--json", str(result), "--chart", str(chart)),
            cwd=tmp_path,
        )
        assert called.code == 0, called.err
        found = orjson.loads(result.read_bytes())
        measured(f"{found['ratios']} {found['rates']} {found['cpu_us']}")
        if found["ratios"]["aiokafka"] >= AT_LEAST:
            break
    assert found["failed"] == {}
    assert [run["records"] for run in found["runs"]["headrace"]] == [RECORDS] * 3
    assert [run["cache"]["miss"] for run in found["runs"]["headrace"]] == [0] * 3
    assert "Headrace" in chart.read_text()
    assert found["ratios"]["aiokafka"] >= AT_LEAST


async def test_a_peer_that_does_not_exist_and_a_broker_of_yours_are_one_line(tmp_path: Path) -> None:
    for options, said in (
        (("--peers", "ray"), "--peers ray: there are handler, aiokafka,"),
        (("--broker", "127.0.0.1:9092"), "benchmarks delete topics, so they take a broker of their own"),
    ):
        called = await headrace("bench", "pipeline", *options, cwd=tmp_path)
        assert (called.code, len(called.err.splitlines())) == (2, 1)
        assert said in called.err
