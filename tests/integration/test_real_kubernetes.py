"""The Helm chart and the realizer `kubernetes` against a real kube-apiserver: its validation, admission, rights and scale.

What a file that checks shapes cannot see: defaulting and immutable fields, Pod Security, what a role allows, who owns a field.
As others met it: helm/helm#12650 (an upgrade sets replicas back), temporalio/helm-charts#554 (a Job cannot be changed),
kubernetes/kubernetes#94585 (HPA and apply pull at `replicas` in turns).
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

import pytest

from schemas.scaling_decision import ScalingDecision
from streams.scaling.realizers import Applied, RealizeError, open_kubernetes
from streams.settings.scaling import KubernetesTarget
from tests.support.charts import EXAMPLES, Release, Rendered, example, render
from tests.support.real_kubernetes import WHY_NOT, RealKubernetes, is_there, running

pytest.importorskip("helm_python", reason="no Helm for this machine")
pytestmark = [pytest.mark.long, pytest.mark.skipif(not is_there(), reason=WHY_NOT)]

CUSTOM = (
    ("monitoring.coreos.com", "v1", "ServiceMonitor", "servicemonitors"),
    ("monitoring.coreos.com", "v1", "PrometheusRule", "prometheusrules"),
    ("keda.sh", "v1alpha1", "ScaledObject", "scaledobjects"),
)
HOOK = "helm.sh/hook"


@pytest.fixture
async def api(tmp_path: Path) -> AsyncIterator[RealKubernetes]:
    async with running(tmp_path) as serving:
        yield serving


def definition(group: str, version: str, kind: str, plural: str) -> dict[str, Any]:
    """A resource of others' operators; what its fields may be is theirs to say."""
    schema = {"openAPIV3Schema": {"type": "object", "x-kubernetes-preserve-unknown-fields": True}}
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"{plural}.{group}"},
        "spec": {
            "group": group,
            "scope": "Namespaced",
            "names": {"kind": kind, "plural": plural, "singular": kind.lower()},
            "versions": [{"name": version, "served": True, "storage": True, "schema": schema}],
        },
    }


async def make_namespace(api: RealKubernetes, name: str) -> None:
    """As a platform team does it: no pod with rights beyond `restricted` is let in."""
    labels = {f"pod-security.kubernetes.io/{mode}": "restricted" for mode in ("enforce", "warn")}
    made = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": labels}}
    assert (await api.apply(made))[0] in (200, 201)


async def install(api: RealKubernetes, chart: Rendered) -> None:
    """As Helm does it: the hooks before the release by their weights, the release, its test; a hook is deleted before it is made
    anew.
    """
    for each in sorted(chart.objects, key=_turn):
        if HOOK in each["metadata"].get("annotations", {}):
            await api.call("DELETE", f"{await api.path_of(each)}?propagationPolicy=Background")
        status, answer = await api.apply(each)
        assert status in (200, 201), (each["kind"], each["metadata"]["name"], answer.get("message"))


def _turn(each: dict[str, Any]) -> tuple[int, int]:
    said = each["metadata"].get("annotations", {})
    hook = said.get(HOOK, "")
    return (0 if "pre-" in hook else 2 if hook else 1), int(said.get("helm.sh/hook-weight", 0))


async def admit_pods(api: RealKubernetes, chart: Rendered, namespace: str) -> int:
    """Every pod that the chart's objects make is one that this namespace lets in."""
    for number, (component, metadata, spec) in enumerate(chart.pods()):
        named = {**metadata, "name": f"{component}-{number}", "namespace": namespace}
        pod = {"apiVersion": "v1", "kind": "Pod", "metadata": named, "spec": spec}
        status, answer = await api.call("POST", f"/api/v1/namespaces/{namespace}/pods?dryRun=All", pod)
        assert status == 201, (component, answer.get("message"))
    return number + 1


def wants(workers: int, action: Literal["scale_out", "scale_in", "hold"] = "scale_out") -> ScalingDecision:
    return ScalingDecision(
        epoch=1, at=datetime.now(UTC), action=action, workers_now=2, workers_wanted=workers, reasons=(), decider_id="a"
    )


async def test_the_chart_is_installed_upgraded_and_scaled(api: RealKubernetes, tmp_path: Path) -> None:
    names = ("default", *sorted(path.stem for path in EXAMPLES.glob("*.yaml")))
    values = [{} if name == "default" else example(name) for name in names]
    charts = render([Release(each, namespace=name) for name, each in zip(names, values, strict=True)])
    for each in CUSTOM:
        status, answer = await api.apply(definition(*each))
        assert status in (200, 201), answer
    high = {"apiVersion": "scheduling.k8s.io/v1", "kind": "PriorityClass", "metadata": {"name": "high"}, "value": 1000}
    assert (await api.apply(high))[0] == 201, "one that the example `everything` names"
    for name, chart in zip(names, charts, strict=True):
        await make_namespace(api, name)
        await make_account_default(api, name)
        await install(api, chart)
        assert await admit_pods(api, chart, name) >= 4
        await install(api, chart)  # a second time: nothing in it is immutable, and nobody else has its fields
    assert not api.warnings, "deprecated, unsafe or ignored, says the server"

    chart = charts[names.index("by-control")]
    deployment = chart.one("Deployment", "-worker")["metadata"]["name"]
    control = chart.pod("control")["serviceAccountName"]
    target = KubernetesTarget.model_validate(
        {
            "api": api.url,
            "name": deployment,
            "account": await api.account("by-control", control, tmp_path / "control"),
        }
    )
    workers = f"/apis/apps/v1/namespaces/by-control/deployments/{deployment}"
    async with open_kubernetes(target) as realizer:
        await realizer.insist_on_being_alone()
        first = await realizer.current()
        assert await realizer.apply(wants(5)) == Applied(first, 5)
        assert await realizer.apply(wants(3, action="hold")) == Applied(5, 5)
        await install(api, chart)
        assert await realizer.current() == 5, "an upgrade leaves what somebody scales"
        (_, before) = await api.call("GET", workers)
        await api.call("PATCH", f"{workers}/scale", {"spec": {"replicas": 7}}, kind="application/merge-patch+json")
        assert before["metadata"]["generation"] < (await api.call("GET", workers))[1]["metadata"]["generation"]
        assert await realizer.apply(wants(4, action="scale_in")) == Applied(7, 4)
        owner = autoscaler("by-control", deployment)
        assert (await api.apply(owner, "somebody"))[0] == 201
        with pytest.raises(RealizeError, match="HorizontalPodAutoscaler mine scales"):
            await realizer.apply(wants(6))
        await api.call("DELETE", await api.path_of(owner))
        await api.call("DELETE", workers)
        with pytest.raises(RealizeError, match="there is no deployments/"):
            await realizer.current()

    for path, method in ((workers, "DELETE"), ("/api/v1/namespaces/by-control/secrets", "GET"), (workers, "PATCH")):
        token = (target.account / "token").read_text()
        kind = "application/merge-patch+json"
        assert (await api.call(method, path, {}, token=token, kind=kind))[0] == 403, "the control scales, and no more"
    nobody = await api.account("by-control", "default", tmp_path / "nobody")
    async with open_kubernetes(target.model_copy(update={"account": nobody})) as realizer:
        with pytest.raises(RealizeError, match=r"\(403\)"):
            await realizer.current()


async def make_account_default(api: RealKubernetes, namespace: str) -> None:
    """A controller makes it elsewhere; without it no pod is admitted."""
    account = {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "default", "namespace": namespace}}
    assert (await api.apply(account))[0] in (200, 201)


def autoscaler(namespace: str, deployment: str) -> dict[str, Any]:
    return {
        "apiVersion": "autoscaling/v2",
        "kind": "HorizontalPodAutoscaler",
        "metadata": {"name": "mine", "namespace": namespace},
        "spec": {
            "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": deployment},
            "maxReplicas": 9,
        },
    }


async def test_what_the_server_refuses_is_found(api: RealKubernetes) -> None:
    """The test of the tests: a field that is misspelt, and a pod that wants to be root."""
    await make_namespace(api, "llm")
    await make_account_default(api, "llm")
    (chart,) = render([Release()])
    worker = chart.one("Deployment", "-worker")
    worker["spec"]["template"]["spec"]["terminationGracePeriodSecond"] = 20
    status, answer = await api.apply(worker)
    assert status >= 400
    assert "terminationGracePeriodSecond" in answer["message"]
    metadata, spec = next((metadata, spec) for _, metadata, spec in chart.pods())
    spec["containers"][0]["securityContext"]["privileged"] = True
    pod = {"apiVersion": "v1", "kind": "Pod", "metadata": {**metadata, "name": "a", "namespace": "llm"}, "spec": spec}
    status, answer = await api.call("POST", "/api/v1/namespaces/llm/pods?dryRun=All", pod)
    assert status in (403, 422), answer
