"""Prometheus' own word on its configuration, the rules and their tests (promtool)."""

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest
import yaml

PROMETHEUS = Path(__file__).parents[2] / "ops" / "prometheus"


@pytest.fixture
def promtool() -> str:
    """Its path. In CI a missing one is a failure: .ci/run installs it."""
    found = shutil.which("promtool")
    if found is None and os.environ.get("TEST_REQUIRE_APACHE") == "1":
        pytest.fail("promtool is missing: install it (Debian: apt-get install prometheus)")
    if found is None:
        pytest.skip("promtool is missing (Debian: apt-get install prometheus)")
    return found


def run(*command: str) -> None:
    done = subprocess.run(command, cwd=PROMETHEUS, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_configuration_and_the_rules_are_what_prometheus_reads(promtool: str) -> None:
    run(promtool, "check", "config", "prometheus.yml")
    run(promtool, "check", "rules", *map(str, sorted((PROMETHEUS / "rules").glob("*.yml"))))


def test_alerts_go_off_when_they_should_and_only_then(promtool: str) -> None:
    run(promtool, "test", "rules", *map(str, sorted((PROMETHEUS / "tests").glob("*.yml"))))


def test_every_alert_is_set_off_by_a_test() -> None:
    rules = yaml.safe_load((PROMETHEUS / "rules" / "alerts.yml").read_text())
    alerts = {rule["alert"] for group in rules["groups"] for rule in group["rules"]}
    fired = {
        test["alertname"]
        for file in (PROMETHEUS / "tests").glob("*.yml")
        for case in yaml.safe_load(file.read_text())["tests"]
        for test in case.get("alert_rule_test", [])
        if test["exp_alerts"]
    }
    assert fired == alerts


def test_the_targets_of_the_specification_are_the_lines_that_alerts_are_drawn_at() -> None:
    text = (PROMETHEUS / "rules" / "alerts.yml").read_text()
    assert re.search(r"queue_seconds:p95_5m > 0\.2$", text, flags=re.MULTILINE)
    assert re.search(r"queue_seconds:p99_5m > 0\.5$", text, flags=re.MULTILINE)
    assert "14.4 * 0.001" in text
