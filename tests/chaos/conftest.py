"""A pipeline for each test, on an Apache Kafka of the module's own, which its tests may stop.

Chaos tests measure and starve this machine: they run one after the other, never beside each other.
"""

import pytest

from tests.chaos.fixtures import MEASURED, kafka, measured, pipeline

__all__ = ["kafka", "measured", "pipeline"]


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    reports = [report for outcome in ("passed", "failed") for report in terminalreporter.stats.get(outcome, ())]
    lines = [
        f"{report.nodeid.rpartition('::')[2]}: {text}"
        for report in reports
        if report.when == "call"
        for name, text in report.user_properties
        if name == MEASURED
    ]
    if lines:
        terminalreporter.section("measured")
        terminalreporter.write_line("\n".join(lines))
