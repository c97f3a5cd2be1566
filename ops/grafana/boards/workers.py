"""Workers: has every worker the CPU and the memory that it needs?"""

from __future__ import annotations

from typing import Final

from ops.grafana.panels import WORKER, Board, Line, graph, number

WORKERS: Final = Board(
    "headrace-workers",
    "Headrace / Workers",
    "Has every worker the CPU and the memory that it needs?",
    [
        number("Workers that answer", "By their /metrics.", 'sum(up{job="headrace-worker"})'),
        number(
            "CPU, busiest",
            "Of one core: a worker has one event loop.",
            "max(instance:process_cpu_seconds:rate1m)",
            unit="percentunit",
            lines=[Line(0.75, "orange")],
        ),
        number(
            "Memory, fullest",
            "Share of the budget.",
            "max(instance:headrace_memory:share)",
            unit="percentunit",
            lines=[Line(0.75, "orange"), Line(0.9)],
        ),
        number(
            "Loop stalls, last hour",
            "Times that an event loop stood still.",
            "sum(increase(headrace_event_loop_stalls_total[1h]))",
        ),
        graph(
            "CPU by worker",
            "Cores in use.",
            ('instance:process_cpu_seconds:rate1m{instance=~"$worker"}', "{{instance}}"),
            unit="percentunit",
            lines=[Line(0.75, "orange")],
        ),
        graph(
            "Memory by worker",
            "Share of the budget. At 75 % the young generations are collected, at 85 % everything, at 90 % records are held.",
            ('instance:headrace_memory:share{instance=~"$worker"}', "{{instance}}"),
            unit="percentunit",
            lines=[Line(0.75, "green"), Line(0.85, "orange"), Line(0.9)],
        ),
        graph(
            "Event loop, p99 of lateness",
            "A timer that fires late: the loop was busy.",
            ('instance:headrace_event_loop_lag_seconds:p99_5m{instance=~"$worker"}', "{{instance}}"),
            unit="s",
            lines=[Line(0.1)],
        ),
        graph(
            "Getting memory back",
            "Collections a minute by kind, and holds a minute.",
            ("60 * sum by (kind) (rate(headrace_collections_total[5m]))", "{{kind}}"),
            ("60 * sum(rate(headrace_memory_holds_total[5m]))", "holds"),
        ),
        graph(
            "Time spent on it",
            "Share of the time, by worker; 5 % at most below 90 % of the budget.",
            ('rate(headrace_reclaim_seconds_sum{job="headrace-worker",instance=~"$worker"}[5m])', "{{instance}}"),
            unit="percentunit",
        ),
        graph(
            "Open files",
            "File descriptors by worker; the line is what a process may usually have.",
            ('process_open_fds{job="headrace-worker",instance=~"$worker"}', "{{instance}}"),
            lines=[Line(1024, "orange")],
        ),
        graph(
            "Starts",
            "Starts of worker processes in 15 minutes.",
            ('sum(changes(process_start_time_seconds{job="headrace-worker"}[15m]))', "starts"),
        ),
    ],
    variables=[WORKER],
)
