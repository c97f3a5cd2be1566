"""Who may reach whom in the chart, and what Prometheus and Grafana are told.

Reports of other charts that are cases here: a ServiceMonitor that nobody selects, for want of a label
(prometheus-community/helm-charts#1631). And the API's own words: an empty `from` is everybody (NetworkPolicyIngressRule).
"""

import json
import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.support.charts import ROOT, Release, Rendered, example, render

pytest.importorskip("helm_python", reason="no Helm for this machine")

COMPONENTS = {"worker", "control", "front", "ui", "topics"}


@pytest.fixture(scope="module")
def everything() -> Rendered:
    return render([Release(example("everything"))])[0]


def policies(chart: Rendered) -> dict[str, dict[str, Any]]:
    return {
        each["metadata"]["labels"]["app.kubernetes.io/component"]: each["spec"] for each in chart.of("NetworkPolicy")
    }


def ports(rules: list[dict[str, Any]]) -> set[int]:
    return {port["port"] for rule in rules for port in rule["ports"]}


def test_every_pod_has_a_policy_for_both_ways_and_no_rule_is_for_everybody(everything: Rendered) -> None:
    found = policies(everything)
    assert set(found) == COMPONENTS
    for spec in found.values():
        assert spec["policyTypes"] == ["Ingress", "Egress"]
        assert all(rule["from"] for rule in spec["ingress"]), "an empty from is everybody"


def test_nobody_may_come_in_but_where_a_port_serves_them(everything: Rendered) -> None:
    found = {component: ports(spec["ingress"]) for component, spec in policies(everything).items()}
    assert found == {"worker": {9100}, "control": {9100}, "front": {9100, 4000}, "ui": {9100, 4001}, "topics": set()}


def test_workers_are_asked_by_fronts_and_the_control_room_of_their_own_fleet(everything: Rendered) -> None:
    pods = {component: metadata["labels"] for component, metadata, _ in everything.pods()}
    (rule,) = policies(everything)["worker"]["ingress"]
    selectors = [peer["podSelector"]["matchLabels"] for peer in rule["from"] if "podSelector" in peer]
    asking = {name for selector in selectors for name, labels in pods.items() if selector.items() <= labels.items()}
    assert asking == {"front", "ui"}
    assert all(selector["app.kubernetes.io/instance"] == "prod" for selector in selectors)
    for component in ("front", "ui"):
        assert 9100 in ports(policies(everything)[component]["egress"])


def test_pods_may_go_only_where_their_work_is(everything: Rendered) -> None:
    found = {component: ports(spec["egress"]) for component, spec in policies(everything).items()}
    assert found == {
        "worker": {53, 9093, 443},
        "control": {53, 9093, 443, 6443},
        "front": {53, 9093, 9100},
        "ui": {53, 9093, 9100},
        "topics": {53, 9093},
    }
    for spec in policies(everything).values():
        dns = {
            (port["protocol"], port["port"]) for rule in spec["egress"] for port in rule["ports"] if port["port"] == 53
        }
        assert dns == {("UDP", 53), ("TCP", 53)}, "an answer that does not fit a datagram is asked for again by TCP"


def test_control_reaches_the_api_server_only_where_it_scales_and_keda_reaches_it_where_keda_does() -> None:
    default, keda = render([Release(), Release(example("keda"))])
    assert policies(default)["control"]["egress"] == policies(keda)["control"]["egress"]
    assert 443 not in ports(policies(default)["control"]["egress"])
    asking = [json.dumps(policies(chart)["control"]["ingress"]) for chart in (default, keda)]
    assert ["keda" in each for each in asking] == [False, True]


def test_nobody_is_let_in_where_a_list_is_empty() -> None:
    nobody: dict[str, Any] = {"networkPolicy": {"frontFrom": [], "metricsFrom": []}}
    closed, without = render([Release(nobody), Release({"networkPolicy": {"enabled": False}})])
    found = policies(closed)
    assert found["front"]["ingress"] is None
    assert found["control"]["ingress"] is None
    assert without.of("NetworkPolicy") == []


def test_the_addresses_of_the_front_and_the_control_room_lead_to_their_ports(everything: Rendered) -> None:
    for component, host, port in (("front", "llm.example.com", "api"), ("ui", "headrace.example.com", "pages")):
        spec = everything.one("Ingress", f"-{component}")["spec"]
        assert spec["ingressClassName"] == "nginx"
        assert [each["hosts"] for each in spec["tls"]] == [[host]]
        (rule,) = spec["rules"]
        assert rule["host"] == host
        (path,) = rule["http"]["paths"]
        service = everything.one("Service", path["backend"]["service"]["name"])
        assert path["backend"]["service"]["port"]["name"] == port
        assert port in {each["name"] for each in service["spec"]["ports"]}


def test_prometheus_asks_every_process_once_under_the_job_that_the_rules_know(everything: Rendered) -> None:
    monitor = everything.one("ServiceMonitor", "prod-headrace")
    assert monitor["metadata"]["labels"]["release"] == "kube-prometheus-stack"
    (endpoint,) = monitor["spec"]["endpoints"]
    asked = [
        service["metadata"]["labels"]["app.kubernetes.io/component"]
        for service in everything.of("Service")
        if monitor["spec"]["selector"]["matchLabels"].items() <= service["metadata"]["labels"].items()
        and endpoint["port"] in {port["name"] for port in service["spec"]["ports"]}
    ]
    assert sorted(asked) == ["control", "front", "ui", "worker"]
    job, fleet = endpoint["relabelings"]
    assert (job["targetLabel"], job["replacement"]) == ("job", "headrace-$1")
    assert (fleet["targetLabel"], fleet["replacement"]) == ("fleet", "prod-headrace")
    jobs = {
        each
        for rule in (ROOT / "ops/prometheus/rules").glob("*.yml")
        for each in re.findall(r'job="([\w-]+)"', rule.read_text())
    }
    assert jobs <= {f"headrace-{each}" for each in asked}


@pytest.mark.parametrize("folder", ["ops/grafana/dashboards", "ops/prometheus/rules"])
def test_the_chart_ships_copies_that_are_up_to_date(folder: str) -> None:
    """Copies in place of links: a link is lost where a checkout or an archive cannot hold one."""

    def texts(where: Path) -> dict[str, str]:
        return {path.name: path.read_text() for path in where.iterdir()}

    shipped = ROOT / "ops/helm/headrace/files" / Path(folder).name
    assert texts(shipped) == texts(ROOT / folder), "`make chart` writes them"


def test_the_rules_are_those_of_prometheus_and_need_no_exporter_that_is_not_there(everything: Rendered) -> None:
    (without,) = render([Release({"monitoring": {"rules": {"enabled": True}}})])
    rules = ROOT / "ops" / "prometheus" / "rules"
    runbooks = '{{ or $externalLabels.headrace_runbooks "docs/operating.md" }}'

    def groups(kept_at: str) -> list[dict[str, Any]]:
        texts = {
            kind: (rules / f"{kind}.yml").read_text().replace(runbooks, kept_at) for kind in ("recording", "alerts")
        }
        return [
            {**group, "name": f"{group['name']}-{kind}"}
            for kind, text in texts.items()
            for group in yaml.safe_load(text)["groups"]
        ]

    wanted = groups("https://wiki.example.com/headrace")
    assert any("https://wiki.example.com/headrace#" in str(group) for group in wanted)
    assert everything.one("PrometheusRule", "prod-headrace")["spec"]["groups"] == wanted
    left = without.one("PrometheusRule", "prod-headrace")["spec"]["groups"]
    wanted = groups("docs/operating.md")
    assert [group for group in wanted if group not in left] == [
        group for group in wanted if "headrace-kafka" in group["name"]
    ]
    assert "kafka_brokers" not in json.dumps(left)


def test_grafana_is_given_every_dashboard_as_it_is(everything: Rendered) -> None:
    boards = [each for each in everything.of("ConfigMap") if "grafana_dashboard" in each["metadata"]["labels"]]
    found = {name: json.loads(text) for each in boards for name, text in each["data"].items()}
    files = {
        f"prod-headrace-{path.name}": json.loads(path.read_text())
        for path in (ROOT / "ops/grafana/dashboards").glob("*.json")
    }
    assert found == files
    assert all(len(json.dumps(each)) < 2**20 for each in boards)
