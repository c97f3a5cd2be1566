"""Golden signals: are requests answered, how quickly, and does the error budget last?"""

from __future__ import annotations

from typing import Final

from ops.grafana.panels import CLASS, Board, Line, graph, number

GOLDEN: Final = Board(
    "headrace-golden",
    "Headrace / Golden signals",
    "Are requests answered, how quickly, and does the error budget last?",
    [
        number(
            "Answers a second",
            "All answers, hits of the cache among them.",
            "fleet:headrace_responses:rate5m",
            unit="reqps",
        ),
        number(
            "Bad answers, last hour",
            "Share of errors and expired requests; the budget is 0.1 %.",
            "fleet:headrace_bad_responses:ratio_rate1h",
            unit="percentunit",
            lines=[Line(0.001, "orange"), Line(0.0144)],
        ),
        number(
            "Error budget left, 3 days",
            "1 is an untouched budget, below 0 more was spent than three days allow.",
            "1 - fleet:headrace_bad_responses:ratio_rate3d / 0.001",
            unit="percentunit",
            least=None,
        ),
        number(
            "Waiting in Kafka",
            "Records that no worker has finished, as the control process sees them.",
            "sum(priority:headrace_lag_records:max)",
            lines=[Line(1000, "orange")],
        ),
        graph(
            "Answers by status",
            "ok, error, expired (out of time), rejected (the caller's mistake), cancelled.",
            ("status:headrace_responses:rate5m", "{{status}}"),
            unit="reqps",
            stacked=True,
        ),
        graph(
            "Burn rate of the error budget",
            "1 spends the budget of 30 days in 30 days; pages come at 14.4 over an hour and 6 over six.",
            ("fleet:headrace_bad_responses:ratio_rate5m / 0.001", "5 min"),
            ("fleet:headrace_bad_responses:ratio_rate1h / 0.001", "1 h"),
            ("fleet:headrace_bad_responses:ratio_rate6h / 0.001", "6 h"),
            lines=[Line(6, "orange"), Line(14.4)],
        ),
        graph(
            "From the request's record to its answer",
            "The provider's time included; what Headrace adds is beside.",
            ('priority:headrace_response_seconds:p50_5m{priority=~"$class"}', "p50 {{priority}}"),
            ('priority:headrace_response_seconds:p95_5m{priority=~"$class"}', "p95 {{priority}}"),
            ('priority:headrace_response_seconds:p99_5m{priority=~"$class"}', "p99 {{priority}}"),
            unit="s",
        ),
        graph(
            "Wait for dispatch",
            "What Headrace adds before the call; alerts are at p95 200 ms and p99 500 ms.",
            ('priority:headrace_queue_seconds:p95_5m{priority=~"$class"}', "p95 {{priority}}"),
            ('priority:headrace_queue_seconds:p99_5m{priority=~"$class"}', "p99 {{priority}}"),
            unit="s",
            lines=[Line(0.2, "orange"), Line(0.5)],
        ),
        graph(
            "Answers by where the request ended",
            "Intake refuses, the cache answers, flow expires, providers are called.",
            ("sum by (component) (rate(headrace_responses_total[5m]))", "{{component}}"),
            unit="reqps",
            stacked=True,
        ),
        graph(
            "Answers by operation",
            "What callers ask for.",
            ("sum by (operation) (rate(headrace_responses_total[5m]))", "{{operation}}"),
            unit="reqps",
            stacked=True,
        ),
    ],
    variables=[CLASS],
)
