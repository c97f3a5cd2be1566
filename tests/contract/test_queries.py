"""Every query of the rules and the dashboards asks for metrics and labels that there are."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from ops.grafana import BOARDS
from ops.grafana.panels import DATASOURCE
from streams.metrics.names import exposed
from tests.contract.promql import asked

OPS = Path(__file__).parents[2] / "ops"
SCRAPED = frozenset({"job", "instance"})
"""What Prometheus puts on every series."""

RECORDING: dict[str, Any] = yaml.safe_load((OPS / "prometheus" / "rules" / "recording.yml").read_text())
ALERTS: dict[str, Any] = yaml.safe_load((OPS / "prometheus" / "rules" / "alerts.yml").read_text())


def rules(file: dict[str, Any]) -> list[dict[str, Any]]:
    return [rule for group in file["groups"] for rule in group["rules"]]


def known() -> dict[str, frozenset[str]]:
    """Every series that a query may ask for, with its labels."""
    found: dict[str, frozenset[str]] = {}
    for metric in exposed():
        for series in metric.series:
            le = {"le"} if series.endswith("_bucket") else set()
            found[series] = frozenset(metric.labels) | SCRAPED | le
    foreign = yaml.safe_load((OPS / "prometheus" / "exporters.yml").read_text())
    found |= {name: frozenset(labels) | SCRAPED for name, labels in foreign.items()}
    for rule in rules(RECORDING):
        want = asked(rule["expr"])
        aggregated = bool(want.grouped) or "sum" in rule["expr"]
        inner = frozenset().union(*(found.get(name, frozenset()) for name, _ in want.selectors))
        found[rule["record"]] = want.grouped - {"le"} if aggregated else inner
    return found


KNOWN = known()


def queries() -> Iterator[tuple[str, str, str]]:
    """Where, the expression, and the text that uses its labels."""
    for rule in rules(RECORDING):
        yield rule["record"], rule["expr"], ""
    for rule in rules(ALERTS):
        used = " ".join(re.findall(r"\$labels\.(\w+)", json.dumps(rule["annotations"])))
        yield rule["alert"], rule["expr"], used
    for board in BOARDS:
        for panel in board.panels:
            for query in panel.queries:
                yield f"{board.uid}: {panel.title}", query.expr, " ".join(re.findall(r"\{\{(\w+)\}\}", query.legend))


@pytest.mark.parametrize(("where", "expr", "shown"), list(queries()))
def test_a_query_asks_for_what_there_is(where: str, expr: str, shown: str) -> None:
    want = asked(expr)
    assert want.selectors, where
    labels: set[str] = set()
    for name, wanted in want.selectors:
        assert name in KNOWN, f"{where}: no metric {name}"
        assert wanted <= KNOWN[name], f"{where}: {name} has no label {sorted(wanted - KNOWN[name])}"
        labels |= KNOWN[name]
    assert want.grouped <= labels, f"{where}: nothing has a label {sorted(want.grouped - labels)}"
    left = want.grouped if want.grouped and "sum" in expr else labels
    assert set(shown.split()) <= left, f"{where}: {shown} is not among {sorted(left)}"


def test_a_query_for_what_there_is_not_would_be_found() -> None:
    assert asked('rate(headrace_nonsense_total{x="{a}"}[5m]) / 2').selectors == [
        ("headrace_nonsense_total", frozenset({"x"}))
    ]
    assert "headrace_nonsense_total" not in KNOWN
    assert asked("sum by (a, b) (m) and on (c) n offset 5m").grouped == {"a", "b", "c"}


def test_what_is_recorded_is_named_by_its_labels_metric_and_operation() -> None:
    for rule in rules(RECORDING):
        level, metric, operation = rule["record"].split(":")
        assert level in {"fleet", "status", "priority", "result", "provider", "topic", "instance"}
        assert metric
        assert re.fullmatch(r"(ratio_)?rate\d+[mhd]|p\d\d_5m|sum|max|share", operation), rule["record"]


def test_every_alert_says_how_urgent_it_is_and_its_runbook_is_there() -> None:
    page = (OPS.parent / "docs" / "operating.md").read_text()
    sections = {heading.lower() for heading in re.findall(r"^#+ (\S+)$", page, flags=re.MULTILINE)}
    for rule in rules(ALERTS):
        assert rule["labels"]["severity"] in {"page", "ticket"}
        base = '{{ or $externalLabels.headrace_runbooks "docs/operating.md" }}'
        assert rule["annotations"]["runbook_url"] == f"{base}#{rule['alert'].lower()}"
        assert rule["alert"].lower() in sections, f"docs/operating.md has no section {rule['alert']}"
        assert rule["annotations"]["summary"]


@pytest.mark.parametrize("board", BOARDS, ids=lambda board: board.uid)
def test_a_dashboard_on_disk_is_the_one_in_code(board: Any) -> None:
    file = OPS / "grafana" / "dashboards" / f"{board.uid}.json"
    assert json.loads(file.read_text()) == board.as_json(), "run `make chart`"


def test_there_are_no_other_dashboards_and_their_uids_are_fixed() -> None:
    on_disk = sorted(file.stem for file in (OPS / "grafana" / "dashboards").iterdir())
    assert on_disk == sorted(board.uid for board in BOARDS)
    wanted = ("golden", "queues", "providers", "cache", "kafka", "workers", "scaling")
    assert on_disk == sorted(f"headrace-{name}" for name in wanted)


def test_panels_fill_a_grid_without_lying_over_each_other() -> None:
    for board in BOARDS:
        taken: set[tuple[int, int]] = set()
        for panel in board.as_json()["panels"]:
            at = panel["gridPos"]
            cells = {(at["x"] + dx, at["y"] + dy) for dx in range(at["w"]) for dy in range(at["h"])}
            assert not cells & taken
            assert max(x for x, _ in cells) < 24
            taken |= cells
            assert panel["description"].endswith((".", "?"))


def test_grafana_is_told_of_the_datasource_and_the_folder_that_dashboards_name() -> None:
    provisioning = OPS / "grafana" / "provisioning"
    (source,) = yaml.safe_load((provisioning / "datasources" / "prometheus.yml").read_text())["datasources"]
    assert (source["uid"], source["type"]) == (DATASOURCE["uid"], DATASOURCE["type"])
    (provider,) = yaml.safe_load((provisioning / "dashboards" / "headrace.yml").read_text())["providers"]
    compose = yaml.safe_load((OPS.parent / "docker-compose.yml").read_text())
    mounted = [volume.split(":")[1] for volume in compose["services"]["grafana"]["volumes"]]
    assert provider["options"]["path"] in mounted
