"""Overview: how much passes, how fast, what fails, who waits longest, and what limits the fleet now."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from aiohttp import web

from ops.ui.bottleneck import what_limits
from ops.ui.index import queries
from ops.ui.render import html
from ops.ui.room import ROOM, Room
from ops.ui.workers import sick_endpoints
from schemas.histogram import Histogram
from schemas.metric_window import MetricWindow
from streams.metrics.histogram import quantile
from topics.names import PRIORITIES

_FRESH_S = 1.5


async def overview(request: web.Request) -> web.Response:
    """GET /"""
    room = request.app[ROOM]
    values = await room.kept("overview", _FRESH_S, lambda: _values(room))
    return html(request, "overview.html", **values)


async def _values(room: Room) -> dict[str, Any]:
    now = room.now()
    window = room.fleet.present(now)
    told = room.fleet.decisions()
    sick = await sick_endpoints(room)
    oldest = [(priority, await room.query(queries.oldest_waiting, priority)) for priority in PRIORITIES]
    return {
        "window": window,
        "latency": latencies(window),
        "verdict": what_limits(window, told[-1].decision if told else None, sick, room.reader.problem),
        "oldest": [(name, row, None if row is None else max(0.0, now - row.time_ms / 1000)) for name, row in oldest],
        "waiting": None if window is None else waiting_of(window),
        "kept": room.store.total,
        "behind": room.reader.lag,
        "caught_up": room.reader.caught_up.is_set(),
        "charts": charts(list(room.fleet.windows)[-60:]),
    }


def waiting_of(window: MetricWindow) -> float | None:
    """Requests that wait in workers, and records that wait in Kafka; None where neither was measured."""
    application = window.application
    if application.queue_length is None and application.lag is None:
        return None
    return (application.queue_length or 0.0) + sum((application.lag or {}).values())


def latencies(window: MetricWindow | None) -> dict[str, float | None]:
    """p50, p95 and p99 in seconds."""
    histogram = None if window is None else window.application.request_latency
    return {f"p{round(q * 100)}": _seconds(histogram, q) for q in (0.5, 0.95, 0.99)}


def charts(windows: Sequence[MetricWindow]) -> list[dict[str, Any]]:
    """Lines over the fleet's windows, as ops/ui/static/charts.js draws them."""
    times = [round(each.end.timestamp()) for each in windows]

    def lines(title: str, unit: str, **series: list[float | None]) -> dict[str, Any]:
        return {
            "title": title,
            "unit": unit,
            "times": times,
            "series": [{"label": k, "values": v} for k, v in series.items()],
        }

    return [
        lines("Answers a second", "/s", answers=[each.application.throughput_per_s for each in windows]),
        lines(
            "Latency",
            "s",
            p50=[_seconds(each.application.request_latency, 0.5) for each in windows],
            p95=[_seconds(each.application.request_latency, 0.95) for each in windows],
        ),
        lines("Waiting requests", "", waiting=[waiting_of(each) for each in windows]),
        lines("Failed answers", "%", failed=[_percent(each.application.error_rate) for each in windows]),
    ]


def _seconds(histogram: Histogram | None, q: float) -> float | None:
    found = None if histogram is None or not histogram.counts else quantile(histogram, q)
    return None if found is None else round(found / 1000, 4)


def _percent(share: float | None) -> float | None:
    return None if share is None else round(share * 100, 3)
