"""Queues: what waits, for how long, and what holds it up?"""

from __future__ import annotations

from typing import Final

from ops.grafana.panels import Board, graph

QUEUES: Final = Board(
    "headrace-queues",
    "Headrace / Queues",
    "What waits, for how long, and what holds it up?",
    [
        graph(
            "Waiting in workers, by class",
            "Requests that wait for a slot.",
            ("sum by (priority) (headrace_waiting_requests)", "{{priority}}"),
            stacked=True,
        ),
        graph(
            "Waiting in Kafka, by class",
            "Lag of the workers' group.",
            ("sum by (topic) (topic:kafka_consumergroup_lag:sum)", "{{topic}}"),
            stacked=True,
        ),
        graph(
            "Calls under way",
            "Requests dispatched and not answered yet, by worker.",
            ("headrace_in_flight_requests", "{{instance}}"),
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
    ],
)
