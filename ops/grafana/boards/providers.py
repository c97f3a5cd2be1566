"""Providers: do the providers answer, how quickly, and what do they allow?"""

from __future__ import annotations

from typing import Final

from ops.grafana.panels import PROVIDER, Board, Line, graph, number

_PICKED: Final = 'gen_ai_provider_name=~"$provider"'

PROVIDERS: Final = Board(
    "headrace-providers",
    "Headrace / Providers",
    "Do the providers answer, how quickly, and what do they allow?",
    [
        number(
            "Calls a second",
            "Retries count as calls of their own.",
            "sum(provider:gen_ai_client_operation:rate5m)",
            unit="reqps",
        ),
        number(
            "The worst share of failures",
            "Of any provider.",
            "max(provider:gen_ai_client_operation_errors:ratio_rate5m)",
            unit="percentunit",
            lines=[Line(0.05, "orange"), Line(0.2)],
        ),
        number(
            "Endpoints without calls",
            "Open, refused or unhealthy, as any worker sees it.",
            'sum(max by (provider, endpoint) (headrace_endpoint_state{state=~"open|refused|unhealthy"}))',
            lines=[Line(1)],
        ),
        number(
            "Waits for a limit",
            "A second: what the providers allow is used up.",
            "sum(rate(headrace_provider_limited_waits_total[5m]))",
            unit="ops",
        ),
        graph(
            "Calls by provider",
            "Retries count as calls of their own.",
            ('provider:gen_ai_client_operation:rate5m{gen_ai_provider_name=~"$provider"}', "{{gen_ai_provider_name}}"),
            unit="reqps",
        ),
        graph(
            "Share of calls that fail",
            "An alert comes at 20 %.",
            (
                'provider:gen_ai_client_operation_errors:ratio_rate5m{gen_ai_provider_name=~"$provider"}',
                "{{gen_ai_provider_name}}",
            ),
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
            (
                'provider:gen_ai_client_operation_duration_seconds:p95_5m{gen_ai_provider_name=~"$provider"}',
                "{{gen_ai_provider_name}}",
            ),
            unit="s",
        ),
        graph(
            "Tokens a minute",
            "As the providers reported them.",
            (
                f"60 * sum by (gen_ai_provider_name, gen_ai_token_type) (rate(gen_ai_client_token_usage_sum{{{_PICKED}}}[5m]))",
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
        graph(
            "Endpoints that get no calls",
            "1 while an endpoint is open (it failed too often) or unhealthy (its check does).",
            (
                'max by (provider, endpoint, state) (headrace_endpoint_state{state=~"open|unhealthy|half_open"})',
                "{{endpoint}} {{state}}",
            ),
        ),
        graph(
            "Set aside, by whose fault",
            "Endpoints and models of endpoints that get no calls: illness, key, credit, model.",
            ("max by (provider, endpoint, fault) (headrace_endpoint_set_aside)", "{{endpoint}} {{fault}}"),
        ),
        graph(
            "Retries and failed checks",
            "Calls made again, by the provider that got them, and health checks that failed.",
            ("sum by (provider) (rate(headrace_provider_retries_total[5m]))", "retries {{provider}}"),
            ('sum by (provider) (rate(headrace_provider_checks_total{result="failed"}[5m]))', "checks {{provider}}"),
            unit="ops",
        ),
        graph(
            "Calls under way",
            "By provider, against `connections.max` of each worker.",
            ("sum by (provider) (headrace_provider_connections)", "{{provider}}"),
        ),
        graph(
            "Bodies in memory",
            "Bytes of requests under way and of answers being read.",
            ('sum by (provider, kind) (headrace_provider_body_bytes{provider=~"$provider"})', "{{provider}} {{kind}}"),
            unit="bytes",
        ),
        graph(
            "On the wire",
            "Bytes a second to and from a provider.",
            ('sum by (provider) (rate(headrace_provider_bytes_total{provider=~"$provider"}[5m]))', "{{provider}}"),
            unit="Bps",
        ),
        graph(
            "Tokens of the limits, a minute",
            "granted to workers, reserved by requests, used, owed (used beyond what was reserved).",
            ("60 * sum by (provider, state) (rate(headrace_limit_tokens_total[5m]))", "{{provider}} {{state}}"),
        ),
        graph(
            "Who grants",
            "Workers that grant what providers allow: one, or requests of limited providers wait.",
            ("sum(headrace_limit_grantor)", "grantors"),
        ),
    ],
    variables=[PROVIDER],
)
