"""The manifests: right by the API's own schemas, consistent with each other, with the image and with the settings."""

import json
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
import yaml

from ops.cli import COMMANDS
from ops.processes.control import DESIRED
from ops.prometheus.kubernetes import prometheus_rule
from streams.settings import Settings, load_settings
from streams.settings.runtime import LEAST_BUDGET_BYTES

KUBERNETES = Path(__file__).parents[2] / "ops" / "kubernetes"
VERSIONS = ("1.28", "1.32", "1.37")
OVERLAYS = ("base", "monitoring", "scaled-by-control", "scaled-by-keda")
CUSTOM = {"ServiceMonitor", "PrometheusRule", "ScaledObject", "Kustomization"}
MI = 2**20


def read(file: Path) -> list[dict[str, Any]]:
    return list(yaml.safe_load_all(file.read_text()))


ALL = {
    f"{file.relative_to(KUBERNETES)} {each['kind']} {each.get('metadata', {}).get('name', '')}": each
    for file in sorted(KUBERNETES.rglob("*.yml"))
    if not file.name.endswith(".patch.yml")
    for each in read(file)
}
STANDARD = {where: each for where, each in ALL.items() if each["kind"] not in CUSTOM}
PODS = {where: each["spec"]["template"]["spec"] for where, each in ALL.items() if each["kind"] in {"Deployment", "Job"}}
SERVERS = {where: pod for where, pod in PODS.items() if "Deployment" in where}


def one(kind: str, name: str) -> dict[str, Any]:
    (found,) = (each for each in ALL.values() if each["kind"] == kind and each["metadata"]["name"] == name)
    return found


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("where", STANDARD)
def test_a_manifest_fits_the_schema_of_the_api_to_the_letter(where: str, version: str) -> None:
    kubernetes_validate.validate(STANDARD[where], version, strict=True)


def test_a_misspelt_field_would_be_found() -> None:
    wrong = json.loads(json.dumps(one("Deployment", "headrace-worker")))
    wrong["spec"]["template"]["spec"]["terminationGracePeriodSecond"] = 20
    with pytest.raises(kubernetes_validate.ValidationError):
        kubernetes_validate.validate(wrong, VERSIONS[-1], strict=True)


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_a_kustomization_names_files_that_there_are_and_leaves_none_out(overlay: str) -> None:
    folder = KUBERNETES / overlay
    (file,) = read(folder / "kustomization.yml")
    named = {*file["resources"], *(patch["path"] for patch in file.get("patches", ()))}
    assert all((folder / name).exists() for name in named)
    there = {each.name for each in folder.glob("*.yml")} - {"kustomization.yml"}
    assert there == named - {"../base"}


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_kubectl_makes_manifests_of_it_that_fit_the_schema(overlay: str) -> None:
    kubectl = shutil.which("kubectl")
    if kubectl is None:
        pytest.skip("kubectl is missing")
    done = subprocess.run([kubectl, "kustomize", str(KUBERNETES / overlay)], capture_output=True, text=True, check=True)
    made = list(yaml.safe_load_all(done.stdout))
    for each in made:
        assert each["kind"] == "Namespace" or each["metadata"]["namespace"] == "headrace"
        if each["kind"] not in CUSTOM:
            kubernetes_validate.validate(each, VERSIONS[-1], strict=True)
    if overlay.startswith("scaled"):
        (workers,) = (
            each for each in made if each["metadata"]["name"] == "headrace-worker" and each["kind"] == "Deployment"
        )
        assert "replicas" not in workers["spec"], "an apply would undo what was scaled"
        (control,) = (
            each for each in made if each["metadata"]["name"] == "headrace-control" and each["kind"] == "Deployment"
        )
        (container,) = control["spec"]["template"]["spec"]["containers"]
        realizer = {each["name"]: each["value"] for each in container["env"]}["HEADRACE_SCALING__REALIZER"]
        assert realizer == {"scaled-by-control": "kubernetes", "scaled-by-keda": "keda"}[overlay]
        assert container["image"].startswith("headrace:")


@pytest.mark.parametrize("where", PODS)
def test_a_pod_runs_as_nobody_in_particular_and_may_do_nothing(where: str) -> None:
    pod = PODS[where]
    assert pod["securityContext"]["runAsNonRoot"] is True
    dockerfile = (KUBERNETES.parents[1] / "Dockerfile").read_text()
    assert f"USER {pod['securityContext']['runAsUser']}:{pod['securityContext']['runAsGroup']}" in dockerfile
    assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    assert pod["automountServiceAccountToken"] is False
    assert pod["enableServiceLinks"] is False, "HEADRACE_CONTROL_PORT and the like would be unknown settings"
    for container in pod["containers"]:
        context = container["securityContext"]
        assert context["allowPrivilegeEscalation"] is False
        assert context["readOnlyRootFilesystem"] is True
        assert context["capabilities"] == {"drop": ["ALL"]}
        assert {"cpu", "memory"} <= set(container["resources"]["requests"])
        assert "memory" in container["resources"]["limits"]
        assert ":" in container["image"]
        assert not container["image"].endswith(":latest")


@pytest.mark.parametrize("where", SERVERS)
def test_a_server_is_probed_where_it_answers_and_may_drain(where: str) -> None:
    pod = SERVERS[where]
    (container,) = pod["containers"]
    ports = {port["name"]: port["containerPort"] for port in container["ports"]}
    assert ports == {"http": 9100}  # HEADRACE_HTTP__LISTEN of the image
    for probe, path in (("startupProbe", "/healthz"), ("readinessProbe", "/readyz"), ("livenessProbe", "/healthz")):
        assert container[probe]["httpGet"] == {"path": path, "port": "http"}
    assert pod["terminationGracePeriodSeconds"] >= settings().kafka.drain_deadline + 5


def settings() -> Settings:
    text = one("ConfigMap", "headrace-settings")["data"]["headrace.toml"]
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "headrace.toml"
        file.write_text(text)
        return load_settings(file, {})


def test_the_settings_are_settings_and_the_cache_is_on_the_volume_that_holds_it() -> None:
    loaded = settings()
    loaded.ensure_provider()
    pod = one("Deployment", "headrace-worker")["spec"]["template"]["spec"]
    (container,) = pod["containers"]
    mounts = {mount["name"]: mount["mountPath"] for mount in container["volumeMounts"]}
    assert str(loaded.cache.disk.path).startswith(mounts["cache"])
    assert loaded.cache.disk.size < 12 * 1024 * MI
    assert {each["name"]: each["value"] for each in container["env"]}["HEADRACE_SETTINGS"].startswith(
        mounts["settings"]
    )


def test_a_worker_has_memory_for_its_cache_its_providers_and_itself() -> None:
    loaded = settings()
    (container,) = one("Deployment", "headrace-worker")["spec"]["template"]["spec"]["containers"]
    assert container["resources"]["limits"]["memory"] == "2Gi"
    budget = 0.9 * 2048 * MI
    assert (
        loaded.cache.memory.size + loaded.providers[0].memory.peak + LEAST_BUDGET_BYTES < budget * loaded.gc.aggressive
    )


@pytest.mark.parametrize("where", PODS)
def test_a_container_runs_a_command_that_there_is(where: str) -> None:
    for container in PODS[where]["containers"]:
        assert container["args"][0] in COMMANDS


def test_selectors_find_the_pods_that_they_are_for() -> None:
    for name in ("headrace-worker", "headrace-control"):
        labels = one("Deployment", name)["spec"]["template"]["metadata"]["labels"]
        for kind in ("Service", "PodDisruptionBudget"):
            selector = one(kind, name)["spec"]["selector"]
            assert (selector.get("matchLabels") or selector).items() <= labels.items()
    monitor = one("ServiceMonitor", "headrace")
    wanted = monitor["spec"]["selector"]["matchExpressions"][0]["values"]
    for name in wanted:
        service = one("Service", name)
        assert service["metadata"]["labels"][monitor["spec"]["jobLabel"]] == name
        assert {port["name"] for port in service["spec"]["ports"]} == {monitor["spec"]["endpoints"][0]["port"]}


def test_the_rules_of_kubernetes_are_those_of_prometheus() -> None:
    assert one("PrometheusRule", "headrace") == prometheus_rule(), "run `python -m ops.prometheus`"


def test_keda_follows_the_decision_within_the_limits_of_the_settings() -> None:
    spec = one("ScaledObject", "headrace-worker")["spec"]
    limits = settings().scaling.limits
    assert (spec["minReplicaCount"], spec["maxReplicaCount"]) == (limits.min, limits.max)
    assert spec["scaleTargetRef"]["name"] == one("Deployment", "headrace-worker")["metadata"]["name"]
    (trigger,) = spec["triggers"]
    assert (trigger["type"], trigger["metricType"]) == ("metrics-api", "AverageValue")
    assert trigger["metadata"]["targetValue"] == "1"
    service = one("Service", "headrace-control")
    host = f"{service['metadata']['name']}.{service['metadata']['namespace']}.svc:{service['spec']['ports'][0]['port']}"
    assert trigger["metadata"]["url"] == f"http://{host}{DESIRED}"


def test_the_control_process_may_do_what_its_realizer_does_and_no_more() -> None:
    role = one("Role", "headrace-control")
    target = settings().scaling.kubernetes
    (scale, *lists) = role["rules"]
    assert f"{target.kind}/scale" in scale["resources"]
    assert scale["resourceNames"] == [target.name]
    assert scale["verbs"] == ["get", "update"]
    assert all(rule["verbs"] == ["list"] for rule in lists)


def documents() -> Iterator[str]:
    for file in KUBERNETES.rglob("*.yml"):
        yield file.read_text()


def test_no_secret_is_kept_in_a_manifest() -> None:
    assert not any(each["kind"] == "Secret" for each in ALL.values())
    assert not any("password" in text.lower() for text in documents())
