"""Cache: how much is answered without a call, and what does that take?"""

from __future__ import annotations

from typing import Final

from ops.grafana.panels import WORKER, Board, graph, number

CACHE: Final = Board(
    "headrace-cache",
    "Headrace / Cache",
    "How much is answered without a call, and what does that take?",
    [
        number(
            "Hits",
            "Share of requests answered without a call of their own.",
            "fleet:headrace_cache_hits:ratio_rate5m",
            unit="percentunit",
        ),
        number(
            "Calls saved a second",
            "Hits and joined requests.",
            'sum(result:headrace_cache_requests:rate5m{result!="miss"}) or 0 * sum(result:headrace_cache_requests:rate5m)',
            unit="reqps",
        ),
        number("In memory", "Bytes of all workers.", "sum(headrace_cache_bytes)", unit="bytes"),
        number("On disk", "Bytes of all workers.", "sum(headrace_cache_disk_bytes)", unit="bytes"),
        graph(
            "Where answers come from",
            "joined: waited for another request's identical call.",
            ("result:headrace_cache_requests:rate5m", "{{result}}"),
            unit="reqps",
            stacked=True,
        ),
        graph(
            "Memory tier by segment",
            "And what the tier may hold: less than set where memory is short.",
            ("sum by (segment) (headrace_cache_bytes)", "{{segment}}"),
            ("sum(headrace_cache_size_bytes)", "may hold"),
            unit="bytes",
        ),
        graph(
            "Entries that made room",
            "Evictions a second, by segment.",
            ("sum by (segment) (deriv(headrace_cache_evicted[5m]))", "{{segment}}"),
            unit="ops",
        ),
        graph(
            "Sharing",
            "Entries of others not read yet, and entries that could not be shared.",
            ('headrace_cache_lag{job="headrace-worker",instance=~"$worker"}', "behind {{instance}}"),
            ('headrace_cache_unshared{job="headrace-worker",instance=~"$worker"}', "unshared {{instance}}"),
        ),
        graph(
            "Store on disk",
            "Bytes by worker.",
            ('headrace_cache_disk_bytes{job="headrace-worker",instance=~"$worker"}', "{{instance}}"),
            unit="bytes",
        ),
        graph(
            "Faults of the store",
            "Torn values (none was served) and look-ups that found only expired entries, since the start.",
            ('headrace_cache_torn{job="headrace-worker",instance=~"$worker"}', "torn {{instance}}"),
            ('headrace_cache_disk_expired{job="headrace-worker",instance=~"$worker"}', "expired {{instance}}"),
        ),
    ],
    variables=[WORKER],
)
