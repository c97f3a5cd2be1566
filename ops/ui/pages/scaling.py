"""Scaling: decisions as sentences, the load that they were made of, and what other settings would have decided."""

from __future__ import annotations

from typing import Any, Final

from aiohttp import web

from ops.admin.scaling_explain import tell
from ops.ui.pages.overview import waiting_of
from ops.ui.render import html
from ops.ui.room import ROOM
from ops.ui.what_if import KEYS, WhatIfError, decided, in_force, with_changes

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


async def what_if(request: web.Request) -> web.Response:
    """GET /scaling/what-if: values of some settings in the URL, and what the recorded windows would have led to."""
    room = request.app[ROOM]
    asked = {key: value for key in KEYS if (value := request.query.get(key, "").strip())}
    windows = list(room.fleet.windows)
    problem, found = "", None
    try:
        found = decided(windows, with_changes(room.settings, asked))
    except WhatIfError as error:
        problem = str(error)
    chart = None
    if found is not None:
        series = [
            {"label": "workers", "values": [float(each.workers) for each in windows]},
            {"label": "wanted", "values": list(found.wanted)},
        ]
        times = [round(each.end.timestamp()) for each in windows]
        chart = {
            "title": "Workers, and those that would have been wanted",
            "unit": "",
            "times": times,
            "series": series,
        }
    return html(
        request, "what_if.html", status=400 if problem else 200, asked=asked, now=in_force(room.settings.scaling),
        problem=problem, found=found, chart=chart, sentences=[tell(each) for each in found.steps] if found else [],
    )  # fmt: skip
