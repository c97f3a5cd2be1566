"""Kafka: does the broker keep up, and does every partition move?"""

from __future__ import annotations

from typing import Final

from ops.grafana.panels import WORKER, Board, graph, number

_REQUESTS: Final = r'topic=~".*agent\\.requests\\.(high|normal|low)"'
_WORKERS: Final = 'job="headrace-worker",instance=~"$worker"'
_OURS: Final = 'topic=~".*(agent|cache|limits|metrics|scaling)[.].*"'

KAFKA: Final = Board(
    "headrace-kafka",
    "Headrace / Kafka",
    "Does the broker keep up, and does every partition move?",
    [
        number("Brokers", "As the exporter sees them.", "sum(kafka_brokers)"),
        number(
            "Members of the group",
            "Workers that the broker knows, by the exporter.",
            'sum(kafka_consumergroup_members{consumergroup=~".*headrace-workers"})',
        ),
        number(
            "Partitions owned", "Three for each partition number.", 'sum(headrace_partitions{job="headrace-worker"})'
        ),
        number(
            "Dead letters, last hour", "Records that were given up.", "sum(increase(headrace_dead_letters_total[1h]))"
        ),
        graph(
            "Lag by partition",
            "The twenty longest.",
            (f"topk(20, kafka_consumergroup_lag{{{_REQUESTS}}})", "{{topic}}:{{partition}}"),
        ),
        graph(
            "Commits move on",
            "Records committed a second, by topic. A line at zero with lag above it is stuck.",
            ("sum by (topic) (topic:kafka_consumergroup_current_offset:rate5m)", "{{topic}}"),
            unit="ops",
        ),
        graph(
            "Records written",
            "By topic of ours.",
            (
                f"sum by (topic) (rate(kafka_topic_partition_current_offset{{{_OURS}}}[5m]))",
                "{{topic}}",
            ),
            unit="ops",
        ),
        graph(
            "Offset commits",
            "refused: partitions were moving.",
            ("sum by (result) (rate(headrace_commits_total[5m]))", "{{result}}"),
            unit="ops",
        ),
        graph(
            "Duration of a commit, p99",
            "By worker.",
            (
                f"histogram_quantile(0.99, sum by (instance, le) (rate(headrace_commit_seconds_bucket{{{_WORKERS}}}[5m])))",
                "{{instance}}",
            ),
            unit="s",
        ),
        graph(
            "Rebalances, and answers sent again",
            "Both are events, not states.",
            ("sum(increase(headrace_rebalances_total[5m]))", "assignments in 5 min"),
            ("sum(increase(headrace_send_failures_total[5m]))", "batches not taken in 5 min"),
            ("sum(kafka_topic_partition_under_replicated_partition)", "under-replicated partitions"),
        ),
    ],
    variables=[WORKER],
)
