"""Scaling: how many workers are there, how many should there be, and why?"""

from __future__ import annotations

from typing import Final

from ops.grafana.panels import Board, graph, number

SCALING: Final = Board(
    "headrace-scaling",
    "Headrace / Scaling",
    "How many workers are there, how many should there be, and why?",
    [
        number("Wanted", "By the newest decision.", "max(headrace_scaling_wanted_workers)"),
        number("Reporting", "Workers in the newest window.", "max(headrace_scaling_reported_workers)"),
        number(
            "Decide now", "Control processes that decide: one, or something is wrong.", "sum(headrace_scaling_leader)"
        ),
        number("Epoch", "Of the newest decision.", "max(headrace_scaling_epoch)", unit="none"),
        graph(
            "Workers wanted and there",
            "The two should meet within a minute.",
            ("max(headrace_scaling_wanted_workers)", "wanted"),
            ("max(headrace_scaling_reported_workers)", "reporting"),
        ),
        graph(
            "Decisions",
            "By what they ask for, in ten minutes.",
            ("sum by (action) (increase(headrace_scaling_decisions_total[10m]))", "{{action}}"),
            stacked=True,
        ),
        graph(
            "Why a step was asked for",
            "In ten minutes. `headrace scaling explain` tells the last ones in sentences.",
            ("sum by (reason) (increase(headrace_scaling_reasons_total[10m]))", "{{reason}}"),
            stacked=True,
        ),
        graph(
            "What held a step back",
            "In ten minutes.",
            ("sum by (reason) (increase(headrace_scaling_blocked_total[10m]))", "{{reason}}"),
            stacked=True,
        ),
        graph(
            "What came of decisions",
            "In ten minutes.",
            ("sum by (result) (increase(headrace_scaling_outcomes_total[10m]))", "{{result}}"),
            stacked=True,
        ),
        graph(
            "Processes of the supervisors",
            "By kind and state, and restarts in ten minutes.",
            ("sum by (kind, state) (headrace_supervised_processes)", "{{kind}} {{state}}"),
            ("sum by (kind) (increase(headrace_supervised_restarts_total[10m]))", "restarts {{kind}}"),
        ),
    ],
)
