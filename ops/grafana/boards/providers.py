"""Providers: do the providers answer, how quickly, and what do they allow?"""

from __future__ import annotations

from typing import Final

from ops.grafana.panels import Board, Line, graph

PROVIDERS: Final = Board(
    "headrace-providers",
    "Headrace / Providers",
    "Do the providers answer, how quickly, and what do they allow?",
    [
        graph(
            "Calls by provider",
            "Retries count as calls of their own.",
            ("provider:gen_ai_client_operation:rate5m", "{{gen_ai_provider_name}}"),
            unit="reqps",
        ),
        graph(
            "Share of calls that fail",
            "An alert comes at 20 %.",
            ("provider:gen_ai_client_operation_errors:ratio_rate5m", "{{gen_ai_provider_name}}"),
            unit="percentunit",
            lines=[Line(0.2)],
        ),
        graph(
            "Failed calls by what went wrong",
            "HTTP status or kind of fault.",
            (
                'sum by (error_type) (rate(gen_ai_client_operation_duration_seconds_count{error_type!=""}[5m]))',
                "{{error_type}}",
            ),
            unit="reqps",
            stacked=True,
        ),
        graph(
            "Duration of a call, p95",
            "By provider.",
            ("provider:gen_ai_client_operation_duration_seconds:p95_5m", "{{gen_ai_provider_name}}"),
            unit="s",
        ),
        graph(
            "Tokens a minute",
            "As the providers reported them.",
            (
                "60 * sum by (gen_ai_provider_name, gen_ai_token_type) (rate(gen_ai_client_token_usage_sum[5m]))",
                "{{gen_ai_provider_name}} {{gen_ai_token_type}}",
            ),
            stacked=True,
        ),
        graph(
            "Waits for a provider's limit",
            "Calls that had to wait because the rate limit is used up: more workers would not help.",
            ("sum by (provider) (rate(headrace_provider_limited_waits_total[5m]))", "{{provider}}"),
            unit="ops",
        ),
    ],
)
