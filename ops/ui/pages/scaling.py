"""Scaling: decisions as sentences, and the load that they were made of."""

from __future__ import annotations

from typing import Any, Final

from aiohttp import web

from ops.admin.scaling_explain import tell
from ops.ui.pages.overview import waiting_of
from ops.ui.render import html
from ops.ui.room import ROOM

_SHOWN: Final = 50


async def scaling(request: web.Request) -> web.Response:
    """GET /scaling"""
    room = request.app[ROOM]
    told = room.fleet.decisions()
    lines = [(each.decision, tell(each.decision, each.events), each.alike) for each in reversed(told[-_SHOWN:])]
    windows = list(room.fleet.windows)[-120:]
    times = [round(each.end.timestamp()) for each in windows]
    most = room.settings.scaling.limits

    def chart(title: str, unit: str, **series: list[float | None]) -> dict[str, Any]:
        found = [{"label": label.replace("_", " "), "values": values} for label, values in series.items()]
        return {"title": title, "unit": unit, "times": times, "series": found}

    charts = [
        chart("Workers", "", workers=[float(each.workers) for each in windows]),
        chart("Load and what waits", "", answers_a_second=[each.application.throughput_per_s for each in windows],
              waiting=[waiting_of(each) for each in windows]),
    ]  # fmt: skip
    return html(
        request, "scaling.html", lines=lines, charts=charts, least=most.min, most=most.max,
        realizer=room.settings.scaling.realizer,
    )  # fmt: skip
