"""Queues: what waits, for how long, and what holds it up?"""

from __future__ import annotations

from typing import Final

from ops.grafana.panels import CLASS, WORKER, Board, Line, graph, number

QUEUES: Final = Board(
    "headrace-queues",
    "Headrace / Queues",
    "What waits, for how long, and what holds it up?",
    [
        number("Waiting in workers", "Requests that wait for a slot.", "sum(headrace_waiting_requests)"),
        number(
            "Waiting in Kafka",
            "Records that nobody has finished, as the control process sees them.",
            "sum(priority:headrace_lag_records:max)",
            lines=[Line(1000, "orange")],
        ),
        number(
            "The oldest",
            "Age of the oldest record that nobody has finished.",
            "max(headrace_lag_oldest_seconds)",
            unit="s",
            lines=[Line(30, "orange"), Line(60)],
        ),
        number("Paused partitions", "Given nothing now: over a quota, or held.", "sum(headrace_paused_partitions)"),
        graph(
            "Waiting in workers, by class",
            "Requests that wait for a slot.",
            ('sum by (priority) (headrace_waiting_requests{priority=~"$class"})', "{{priority}}"),
            stacked=True,
        ),
        graph(
            "Waiting in Kafka, by class",
            "Records that nobody has finished, as the control process sees them.",
            ('priority:headrace_lag_records:max{priority=~"$class"}', "{{priority}}"),
            stacked=True,
        ),
        graph(
            "Calls under way",
            "Requests dispatched and not answered yet, by worker.",
            ('headrace_in_flight_requests{job="headrace-worker",instance=~"$worker"}', "{{instance}}"),
            stacked=True,
        ),
        graph(
            "In the pipeline, and paused",
            "Records that workers hold, and partitions that are given nothing now.",
            ("sum(headrace_unfinished_records)", "records"),
            ("sum(headrace_paused_partitions)", "paused partitions"),
        ),
        graph(
            "Received and answered",
            "What comes in and what goes out, by class.",
            ("sum by (priority) (rate(headrace_received_records_total[5m]))", "in {{priority}}"),
            ("sum by (priority) (rate(headrace_responses_total[5m]))", "out {{priority}}"),
            unit="reqps",
        ),
        graph(
            "Expired, rejected, dead",
            "What was not served.",
            ('sum by (priority) (rate(headrace_responses_total{status="expired"}[5m]))', "expired {{priority}}"),
            ('sum(rate(headrace_responses_total{status="rejected"}[5m]))', "rejected"),
            ("sum by (reason) (rate(headrace_dead_letters_total[5m]))", "dead: {{reason}}"),
            unit="reqps",
        ),
        graph(
            "Dispatched, and refused",
            "Requests that got a call, and those that were refused before they waited.",
            ("sum by (priority) (rate(headrace_admitted_requests_total[5m]))", "dispatched {{priority}}"),
            (
                "sum by (priority, reason) (rate(headrace_refused_requests_total[5m]))",
                "refused {{priority}}: {{reason}}",
            ),
            unit="reqps",
        ),
        graph(
            "Dispatchers, and merged requests",
            "Dispatchers follow the load between `pool.workers.min` and `.max`; merged requests shared a call.",
            ("sum(headrace_dispatchers)", "dispatchers"),
            ("sum(rate(headrace_merged_requests_total[5m]))", "merged a second"),
        ),
        graph(
            "Time that partitions stood still",
            "Partitions paused, on average: over a quota, or held.",
            (
                'rate(headrace_paused_partition_seconds_total{job="headrace-worker",instance=~"$worker"}[5m])',
                "{{instance}}",
            ),
        ),
        graph(
            "Age of the oldest",
            "Of the records that nobody has finished, as the control process sees them.",
            ("max(headrace_lag_oldest_seconds)", "oldest"),
            unit="s",
        ),
    ],
    variables=[CLASS, WORKER],
)
