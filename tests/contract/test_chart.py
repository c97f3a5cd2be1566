"""The Helm chart, rendered by Helm: right by the API's own schemas, consistent with itself, the image and the settings.

Reports of other charts that are cases here:
- a Job that cannot be changed fails every upgrade (temporalio/helm-charts#554, Kong/charts#43);
- a hook waits for an account which the chart makes after it (flipt-io/helm-charts#204);
- a chart's version in the labels of pods starts them all anew (helm/helm#9660, akuity/kargo#7191);
- names are cut off until two releases share them (helm/helm#10973);
- an upgrade sets replicas back that somebody else scales (helm/helm#12650);
- a budget keeps a node from being drained, because a pod never gets ready (kubernetes/kubernetes#72320).
"""

import json
import re
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest

from ops.processes.control import DESIRED
from ops.processes.front import LAST_ANSWERS_S
from streams.settings.runtime import LEAST_BUDGET_BYTES
from streams.settings.scaling import KubernetesTarget
from tests.support.charts import EXAMPLES, ROOT, Release, Rendered, example, render

pytest.importorskip("helm_python", reason="no Helm for this machine")

VERSIONS = ("1.28", "1.37")
CUSTOM = {"ServiceMonitor", "PrometheusRule", "ScaledObject"}
NAMES = ("default", *sorted(path.stem for path in EXAMPLES.glob("*.yaml")))
GI = 2**30


@pytest.fixture(scope="module")
def charts() -> dict[str, Rendered]:
    values = {name: {} if name == "default" else example(name) for name in NAMES}
    return dict(zip(NAMES, render([Release(each) for each in values.values()]), strict=True))


@pytest.fixture(params=NAMES)
def chart(request: pytest.FixtureRequest, charts: dict[str, Rendered]) -> Rendered:
    return charts[request.param]


@pytest.mark.parametrize(
    "version",
    [pytest.param(each, marks=() if each in (VERSIONS[0], VERSIONS[-1]) else pytest.mark.long) for each in VERSIONS],
)
def test_every_object_fits_the_schema_of_the_api_to_the_letter(chart: Rendered, version: str) -> None:
    assert len(chart.objects) > 15
    for each in chart.objects:
        if each["kind"] not in CUSTOM:
            kubernetes_validate.validate(each, version, strict=True)


def test_a_misspelt_field_would_be_found(charts: dict[str, Rendered]) -> None:
    wrong = json.loads(json.dumps(charts["default"].one("Deployment", "-worker")))
    wrong["spec"]["template"]["spec"]["terminationGracePeriodSecond"] = 20
    with pytest.raises(kubernetes_validate.ValidationError):
        kubernetes_validate.validate(wrong, VERSIONS[-1], strict=True)


def test_every_object_is_named_and_placed_by_its_release(chart: Rendered) -> None:
    names = [(each["kind"], each["metadata"]["name"]) for each in chart.objects]
    assert len(names) == len(set(names))
    for each in chart.objects:
        assert each["metadata"]["name"].startswith("prod-headrace")
        assert each["metadata"]["namespace"] == "llm"
        assert each["metadata"]["labels"]["app.kubernetes.io/instance"] == "prod"


def test_two_releases_share_no_object_and_select_no_pod_of_the_other() -> None:
    long = "a-name-of-a-release-that-is-as-long-as-helm-lets-it"
    releases = ["headrace", "headrace-blue", "prod", f"{long}-1", f"{long}-2"]
    rendered = render([Release(example("everything"), name=name) for name in releases])
    names = [(each["kind"], each["metadata"]["name"]) for one in rendered for each in one.objects]
    assert len(names) == len(set(names))
    assert all(len(name) <= 63 for kind, name in names if kind != "ConfigMap"), "DNS labels, and labels of pods"
    selectors = {
        name: one.one("Deployment", "-worker")["spec"]["selector"]["matchLabels"]
        for name, one in zip(releases, rendered, strict=True)
    }
    for name, one in zip(releases, rendered, strict=True):
        for component, metadata, _ in one.pods():
            found = [other for other, wanted in selectors.items() if wanted.items() <= metadata["labels"].items()]
            assert found == ([name] if component == "worker" else [])


def test_a_pod_runs_as_nobody_in_particular_and_may_do_nothing(chart: Rendered) -> None:
    dockerfile = (ROOT / "Dockerfile").read_text()
    for _, _, pod in chart.pods():
        assert pod["securityContext"]["runAsNonRoot"] is True
        assert f"USER {pod['securityContext']['runAsUser']}:{pod['securityContext']['runAsGroup']}" in dockerfile
        assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
        assert pod["enableServiceLinks"] is False, "HEADRACE_CONTROL_PORT and the like would be unknown settings"
        for container in (*pod["containers"], *pod.get("initContainers", ())):
            assert container["securityContext"] == {
                "allowPrivilegeEscalation": False,
                "readOnlyRootFilesystem": True,
                "capabilities": {"drop": ["ALL"]},
            }
            assert {"cpu", "memory"} <= set(container["resources"]["requests"])
            assert "memory" in container["resources"]["limits"]
            assert re.fullmatch(r"(registry.example.com/)?headrace:\d+\.\d+\.\d+", container["image"])


def test_an_account_has_a_token_only_where_the_api_is_spoken_to(charts: dict[str, Rendered]) -> None:
    for name, chart in charts.items():
        scales = name in ("by-control", "everything")
        assert all(each["automountServiceAccountToken"] is False for each in chart.of("ServiceAccount"))
        with_token = {component for component, _, pod in chart.pods() if pod["automountServiceAccountToken"]}
        assert with_token == ({"control"} if scales else set())
        assert len(chart.of("Role")) == len(chart.of("RoleBinding")) == scales
        accounts = {each["metadata"]["name"] for each in chart.of("ServiceAccount")}
        assert {pod["serviceAccountName"] for _, _, pod in chart.pods()} == accounts


def test_the_control_process_may_do_what_its_realizer_does_and_no_more(
    charts: dict[str, Rendered], tmp_path: Path
) -> None:
    chart = charts["by-control"]
    target = chart.settings_of("control", tmp_path).scaling.kubernetes
    assert target.name == chart.one("Deployment", "-worker")["metadata"]["name"]
    (role,) = chart.of("Role")
    (scale, *lists) = role["rules"]
    assert scale == {
        "apiGroups": ["apps"],
        "resources": [f"{KubernetesTarget().kind}/scale"],
        "resourceNames": [target.name],
        "verbs": ["get", "update"],
    }
    assert [(rule["resources"], rule["verbs"]) for rule in lists] == [
        (["horizontalpodautoscalers"], ["list"]),
        (["scaledobjects"], ["list"]),
    ]
    (binding,) = chart.of("RoleBinding")
    assert binding["roleRef"]["name"] == role["metadata"]["name"]
    assert [each["name"] for each in binding["subjects"]] == [chart.pod("control")["serviceAccountName"]]


def test_what_scales_the_workers_is_alone(charts: dict[str, Rendered], tmp_path: Path) -> None:
    realizers = {"default": "observe", "by-control": "kubernetes", "keda": "keda"}
    for name, realizer in realizers.items():
        chart = charts[name]
        assert chart.settings_of("control", tmp_path).scaling.realizer == realizer
        spec = chart.one("Deployment", "-worker")["spec"]
        assert ("replicas" in spec) == (name == "default"), "an upgrade would undo what was scaled"
        assert len(chart.of("ScaledObject")) == (name == "keda")


def test_keda_follows_the_decision_within_the_limits_that_control_has(
    charts: dict[str, Rendered], tmp_path: Path
) -> None:
    chart = charts["keda"]
    spec = chart.one("ScaledObject", "-worker")["spec"]
    limits = chart.settings_of("control", tmp_path).scaling.limits
    assert (spec["minReplicaCount"], spec["maxReplicaCount"]) == (limits.min, limits.max) == (2, 12)
    assert spec["scaleTargetRef"]["name"] == chart.one("Deployment", "-worker")["metadata"]["name"]
    (trigger,) = spec["triggers"]
    assert (trigger["type"], trigger["metricType"]) == ("metrics-api", "AverageValue")
    assert trigger["metadata"]["targetValue"] == "1"
    service = chart.one("Service", "-control")
    host = f"{service['metadata']['name']}.{service['metadata']['namespace']}.svc:{service['spec']['ports'][0]['port']}"
    assert trigger["metadata"]["url"] == f"http://{host}{DESIRED}"


def test_a_server_is_probed_where_it_answers_and_may_drain(chart: Rendered, tmp_path: Path) -> None:
    for component, _, pod in chart.pods():
        if component in ("topics", "check"):
            continue
        (container,) = pod["containers"]
        loaded = chart.settings_of(component, tmp_path)
        ports = {port["name"]: port["containerPort"] for port in container["ports"]}
        listens = {"http": loaded.http.port}
        if component == "front":
            listens["api"] = int(loaded.front.listen.rpartition(":")[2])
        if component == "ui":
            listens["pages"] = int(loaded.ui.listen.rpartition(":")[2])
        assert ports == listens
        for probe, path in (("startupProbe", "/healthz"), ("readinessProbe", "/readyz"), ("livenessProbe", "/healthz")):
            assert container[probe]["httpGet"] == {"path": path, "port": "http"}
        drains = loaded.kafka.drain_deadline if component == "worker" else 10
        if component == "front":
            drains = LAST_ANSWERS_S + int(container["lifecycle"]["preStop"]["exec"]["command"][1])
        assert pod["terminationGracePeriodSeconds"] >= drains + 5


def test_the_caches_disk_and_the_index_fit_their_volumes(chart: Rendered, tmp_path: Path) -> None:
    def volume_of(component: str, path: Path) -> dict[str, Any]:
        pod = chart.pod(component)
        (mount,) = (each for each in pod["containers"][0]["volumeMounts"] if path.is_relative_to(each["mountPath"]))
        (volume,) = (each for each in pod["volumes"] if each["name"] == mount["name"])
        return dict(volume)

    disk = chart.settings_of("worker", tmp_path).cache.disk
    size = int(volume_of("worker", disk.path)["emptyDir"]["sizeLimit"].removesuffix("Gi")) * GI
    assert disk.size < size
    (container,) = chart.pod("worker")["containers"]
    assert size <= int(container["resources"]["requests"]["ephemeral-storage"].removesuffix("Gi")) * GI
    if chart.of("PersistentVolumeClaim"):
        ui = chart.settings_of("ui", tmp_path).ui
        claim = chart.one("PersistentVolumeClaim", "-ui")
        assert volume_of("ui", ui.path)["persistentVolumeClaim"]["claimName"] == claim["metadata"]["name"]
        assert ui.disk < int(claim["spec"]["resources"]["requests"]["storage"].removesuffix("Gi")) * GI


def test_a_worker_has_memory_for_its_cache_its_providers_and_itself(
    charts: dict[str, Rendered], tmp_path: Path
) -> None:
    loaded = charts["default"].settings_of("worker", tmp_path)
    (container,) = charts["default"].pod("worker")["containers"]
    assert container["resources"]["limits"]["memory"] == "2Gi"
    peak = loaded.cache.memory.size + loaded.providers[0].memory.peak + LEAST_BUDGET_BYTES
    assert peak < 0.9 * 2 * GI * loaded.gc.aggressive


def test_selectors_find_the_pods_that_they_are_for(chart: Rendered) -> None:
    pods = {component: metadata["labels"] for component, metadata, _ in chart.pods() if component != "check"}
    for each in chart.objects:
        if each["kind"] not in ("Deployment", "Service", "PodDisruptionBudget", "NetworkPolicy"):
            continue
        spec = each["spec"]
        selector = spec.get("selector") or spec["podSelector"]
        wanted = selector.get("matchLabels") or selector
        component = each["metadata"]["labels"]["app.kubernetes.io/component"]
        assert [name for name, labels in pods.items() if wanted.items() <= labels.items()] == [component]
        if each["kind"] == "Deployment":
            assert set(wanted) == {f"app.kubernetes.io/{part}" for part in ("name", "instance", "component")}
        if each["kind"] == "Service":
            ports = {port["name"] for port in chart.pod(component)["containers"][0]["ports"]}
            assert {port["targetPort"] for port in spec["ports"]} <= ports


def test_a_node_can_always_be_drained(chart: Rendered) -> None:
    budgets = chart.of("PodDisruptionBudget")
    assert {each["metadata"]["labels"]["app.kubernetes.io/component"] for each in budgets} == {
        "worker",
        "control",
        "front",
    }
    for each in budgets:
        assert (each["spec"]["maxUnavailable"], each["spec"]["unhealthyPodEvictionPolicy"]) == (1, "AlwaysAllow")


def test_changed_settings_start_pods_anew_and_another_chart_does_not(tmp_path: Path) -> None:
    def templates(rendered: Rendered) -> dict[str, Any]:
        return {each["metadata"]["name"]: each["spec"]["template"] for each in rendered.of("Deployment")}

    settings = example("everything")["settings"]
    before, changed, scaled = render(
        [
            Release({"settings": settings}),
            Release({"settings": settings.replace("partitions = 24", "partitions = 48")}),
            Release({"settings": settings, "scaling": {"max": 30}}),
        ]
    )
    assert not set(map(json.dumps, templates(before).values())) & set(map(json.dumps, templates(changed).values()))
    workers = "prod-headrace-worker"
    assert templates(before)[workers] == templates(scaled)[workers], "a larger fleet is no reason to stop workers"
    assert not any("helm.sh/chart" in each["metadata"]["labels"] for each in templates(before).values())


def test_topics_are_made_before_anything_else_by_a_job_that_a_second_upgrade_can_replace(chart: Rendered) -> None:
    hooks = [each for each in chart.objects if "helm.sh/hook" in each["metadata"].get("annotations", {})]
    before = [each for each in hooks if each["metadata"]["annotations"]["helm.sh/hook"] == "pre-install,pre-upgrade"]
    weights = {each["kind"]: int(each["metadata"]["annotations"]["helm.sh/hook-weight"]) for each in before}
    assert max(weights["ConfigMap"], weights["ServiceAccount"]) < weights["Job"]
    for each in hooks:
        assert "before-hook-creation" in each["metadata"]["annotations"]["helm.sh/hook-delete-policy"]
    pod = chart.pod("topics")
    needed = {pod["serviceAccountName"], *(each["configMap"]["name"] for each in pod["volumes"] if "configMap" in each)}
    assert needed == {each["metadata"]["name"] for each in before}, "on a first install nothing else is there yet"
    assert pod["initContainers"][0]["args"] == ["config", "check"]
    assert pod["containers"][0]["args"][:2] == ["topics", "apply"]
