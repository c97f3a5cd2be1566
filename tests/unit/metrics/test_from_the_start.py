"""What an alert waits for is shown as 0 before it happens: Prometheus sees no increase in a series that begins above 0."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from prometheus_client.parser import text_string_to_metric_families

RULES = Path(__file__).parents[3] / "ops" / "prometheus" / "rules"
FRESH = "import prometheus_client, streams.metrics.definitions; print(prometheus_client.generate_latest().decode())"
NAMED_BY_SETTINGS = {
    "headrace_provider_limited_waits_total",
    "headrace_control_records_refused_total",
    "headrace_budget_alerts_total",
}
"""Labels are names of providers, whose alert waits for a rate of 15 minutes and not for one event; names of topics, which are 0
from the first client that verifies; names of budgets, which are 0 once one is looked at (streams/money/alerts.py).
"""


def asked() -> set[tuple[str, str, str]]:
    """Counter, label and value, for every value that an alert or a share of bad answers names; "" where it names none."""
    exprs = [
        rule["expr"]
        for name in ("recording", "alerts")
        for group in yaml.safe_load((RULES / f"{name}.yml").read_text())["groups"]
        for rule in group["rules"]
        if "alert" in rule or "bad_responses" in rule["record"]
    ]
    found = set()
    for name, labels in re.findall(r"(headrace_\w+_total)(\{[^}]*\})?", " ".join(exprs)):
        pairs = re.findall(r'(\w+)=~?"([^"]*)"', labels)
        found |= {(name, label, value) for label, values in pairs for value in values.split("|")} or {(name, "", "")}
    return {each for each in found if each[0] not in NAMED_BY_SETTINGS}


@pytest.fixture(scope="module")
def shown() -> set[tuple[str, str, str]]:
    """The same of a process that has counted nothing."""
    text = subprocess.run([sys.executable, "-c", FRESH], check=True, capture_output=True, text=True).stdout
    samples = [sample for family in text_string_to_metric_families(text) for sample in family.samples]
    assert all(sample.value == 0 for sample in samples if sample.name.endswith("_total") and "headrace" in sample.name)
    return {
        (sample.name, label, value)
        for sample in samples
        for label, value in [("", ""), *((str(name), str(value)) for name, value in sample.labels.items())]
    }


def test_every_counter_that_an_alert_asks_for_is_0_in_a_process_that_counted_nothing(
    shown: set[tuple[str, str, str]],
) -> None:
    assert ("headrace_responses_total", "status", "error") in asked()
    assert asked() - shown == set()


def test_every_reason_of_a_dead_letter_is_there_from_the_start(shown: set[tuple[str, str, str]]) -> None:
    reasons = {value for name, label, value in shown if (name, label) == ("headrace_dead_letters_total", "reason")}
    assert reasons == {"poison", "exhausted", "too_large", "undeliverable"}
