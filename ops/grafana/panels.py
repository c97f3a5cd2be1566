"""The few kinds of panels that our dashboards are made of, and how Grafana writes them (schema 39: Grafana 10.3 and later)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal

DATASOURCE: Final = {"type": "prometheus", "uid": "headrace-prometheus"}
_COLUMNS: Final = 24
_HEIGHT: Final = 8
_STAT_HEIGHT: Final = 4

Unit = Literal["s", "bytes", "Bps", "reqps", "ops", "percentunit", "short", "none", "dtdurations"]


@dataclass(frozen=True, slots=True)
class Query:
    """One PromQL expression and how its series are called; `{{label}}` is filled in."""

    expr: str
    legend: str


@dataclass(frozen=True, slots=True)
class Line:
    """A value that the reader should compare with: a target or a limit."""

    value: float
    colour: Literal["green", "orange", "red"] = "red"


@dataclass(frozen=True, slots=True)
class Panel:
    """A graph over time, or a single number where `kind` is stat. `width` is of 24 columns."""

    title: str
    about: str
    queries: Sequence[Query]
    unit: Unit = "short"
    kind: Literal["timeseries", "stat"] = "timeseries"
    width: int = 12
    stacked: bool = False
    lines: Sequence[Line] = ()
    least: float | None = 0

    @property
    def height(self) -> int:
        return _STAT_HEIGHT if self.kind == "stat" else _HEIGHT

    def as_json(self, number: int, x: int, y: int) -> dict[str, Any]:
        """The panel as Grafana reads it, at a place of the grid."""
        steps = [
            {"color": "green", "value": None},
            *({"color": line.colour, "value": line.value} for line in self.lines),
        ]
        defaults: dict[str, Any] = {"unit": self.unit, "thresholds": {"mode": "absolute", "steps": steps}}
        if self.least is not None:
            defaults["min"] = self.least
        if self.kind == "timeseries":
            defaults["custom"] = {
                "fillOpacity": 20 if self.stacked else 0,
                "stacking": {"mode": "normal" if self.stacked else "none"},
                "thresholdsStyle": {"mode": "dashed" if self.lines else "off"},
                "showPoints": "never",
            }
            options: dict[str, Any] = {
                "legend": {"displayMode": "list", "placement": "bottom"},
                "tooltip": {"mode": "multi", "sort": "desc"},
            }
        else:
            options = {"reduceOptions": {"calcs": ["lastNotNull"]}, "colorMode": "value", "graphMode": "area"}
        return {
            "id": number,
            "type": self.kind,
            "title": self.title,
            "description": self.about,
            "datasource": DATASOURCE,
            "gridPos": {"h": self.height, "w": self.width, "x": x, "y": y},
            "fieldConfig": {"defaults": defaults, "overrides": []},
            "options": options,
            "targets": [
                {
                    "refId": chr(ord("A") + index),
                    "datasource": DATASOURCE,
                    "expr": query.expr,
                    "legendFormat": query.legend,
                }
                for index, query in enumerate(self.queries)
            ],
        }


@dataclass(frozen=True, slots=True)
class Variable:
    """A choice at the top of a dashboard, of the values that a label of a series has; queries name it as `$name`."""

    name: str
    series: str
    label: str

    def as_json(self) -> dict[str, Any]:
        """The variable as Grafana reads it: any number of values, all at first."""
        return {
            "type": "query",
            "name": self.name,
            "datasource": DATASOURCE,
            "query": {"query": f"label_values({self.series}, {self.label})", "refId": self.name},
            "refresh": 2,
            "sort": 1,
            "multi": True,
            "includeAll": True,
            "allValue": ".*",
            "current": {"text": "All", "value": "$__all"},
        }


CLASS: Final = Variable("class", "headrace_queue_seconds_count", "priority")
PROVIDER: Final = Variable("provider", "gen_ai_client_operation_duration_seconds_count", "gen_ai_provider_name")
WORKER: Final = Variable("worker", 'up{job="headrace-worker"}', "instance")

_ANNOTATIONS: Final = (
    (
        "Starts of processes",
        "blue",
        'changes(process_start_time_seconds{job=~"headrace-.*"}[1m]) > 0',
        "{{job}} {{instance}}",
    ),
    (
        "Scaling decisions",
        "purple",
        "max(changes(headrace_scaling_epoch[1m])) > 0",
        "another number of workers is wanted",
    ),
)
"""Name, colour, query and text of what is marked in every graph."""


@dataclass(frozen=True, slots=True)
class Board:
    """A dashboard: its panels flow from left to right, a new line where one does not fit or the height changes."""

    uid: str
    title: str
    about: str
    panels: Sequence[Panel]
    variables: Sequence[Variable] = ()

    def as_json(self) -> dict[str, Any]:
        """The dashboard as Grafana provisions it."""
        placed: list[dict[str, Any]] = []
        x = y = row = 0
        for number, panel in enumerate(self.panels, start=1):
            if x and (x + panel.width > _COLUMNS or panel.height != row):
                x, y = 0, y + row
            row = panel.height
            placed.append(panel.as_json(number, x, y))
            x += panel.width
        return {
            "uid": self.uid,
            "title": self.title,
            "description": self.about,
            "tags": ["headrace"],
            "schemaVersion": 39,
            "editable": False,
            "refresh": "10s",
            "time": {"from": "now-1h", "to": "now"},
            "timezone": "browser",
            "links": [
                {"type": "dashboards", "title": "Headrace", "tags": ["headrace"], "asDropdown": True, "keepTime": True}
            ],
            "templating": {"list": [each.as_json() for each in self.variables]},
            "annotations": {
                "list": [
                    {
                        "name": name,
                        "datasource": DATASOURCE,
                        "enable": True,
                        "iconColor": colour,
                        "expr": expr,
                        "step": "60s",
                        "titleFormat": name,
                        "textFormat": text,
                    }
                    for name, colour, expr, text in _ANNOTATIONS
                ]
            },
            "panels": placed,
        }


def graph(title: str, about: str, *queries: tuple[str, str], **options: Any) -> Panel:
    """A graph of (expression, legend) pairs."""
    return Panel(title, about, [Query(*query) for query in queries], **options)


def number(title: str, about: str, expr: str, **options: Any) -> Panel:
    """A single number, a quarter of the width."""
    return Panel(title, about, [Query(expr, "")], kind="stat", width=options.pop("width", 6), **options)
