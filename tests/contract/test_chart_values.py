"""Values of the chart that are refused, each with a line that says what to do; secrets are named and never held."""

import json
import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.support.charts import CHART, EXAMPLES, ROOT, Release, Rendered, example, render, variables

pytest.importorskip("helm_python", reason="no Helm for this machine")

SETTINGS = '[kafka]\nbootstrap_servers = "kafka:9092"\n'

REFUSED: dict[str, tuple[dict[str, Any], str]] = {
    "a misspelt value": ({"worker": {"replicas": 3}}, "'worker'"),
    "a misspelt value inside": ({"workers": {"replica": 3}}, "'replica'"),
    "a number in words": ({"workers": {"replicas": "three"}}, "/workers/replicas"),
    "no workers at all": ({"workers": {"replicas": 0}}, "/workers/replicas"),
    "the tag latest": ({"image": {"tag": "latest"}}, "/image/tag"),
    "settings as a table": ({"settings": {"kafka": {"bootstrap_servers": "kafka:9092"}}}, "/settings"),
    "settings that are no TOML": ({"settings": "kafka:\n  bootstrap_servers: kafka:9092\n"}, "settings is no TOML"),
    "a prefix in the settings": ({"settings": '[topics]\nprefix = "a."\n'}, "the value topics.prefix says it"),
    "limits in the settings": ({"settings": "[scaling.limits]\nmax = 20\n"}, "scaling.min and scaling.max says it"),
    "a realizer in the settings": ({"settings": '[scaling]\nrealizer = "process"\n'}, "the value scaling.by says it"),
    "more at least than at most": ({"scaling": {"min": 11}}, "scaling.min (11) must be at most scaling.max (10)"),
    "another realizer": ({"scaling": {"by": "hpa"}}, "/scaling/by"),
    "a secret for workers and all": (
        {"secretEnv": ["headrace"], "workers": {"secretEnv": ["headrace"]}},
        "what holds providers' keys is for workers alone",
    ),
    "a secret for workers and the front, as a file": (
        {
            "workers": {"secretFiles": [{"secret": "keys", "path": "/etc/keys"}]},
            "front": {"secretFiles": [{"secret": "keys", "path": "/etc/keys"}]},
        },
        "the Secret keys is given to workers and to others",
    ),
    "a secret itself": ({"secretEnv": [{"MAIN_API_KEY": "sk-hunter22"}]}, "/secretEnv/0"),
    "a secret over our own files": ({"secretFiles": [{"secret": "a", "path": "/etc/headrace"}]}, "/secretFiles/0/path"),
    "a variable of the chart's own": (
        {"workers": {"env": [{"name": "HEADRACE_HTTP__LISTEN", "value": "127.0.0.1:1"}]}},
        "/workers/env/0/name",
    ),
    "a label that selectors use": (
        {"workers": {"podLabels": {"app.kubernetes.io/component": "mine"}}},
        "invalid propertyName 'app.kubernetes.io/component'",
    ),
    "a control room without a token": ({"ui": {"enabled": True}}, "would be open to everybody"),
    "an ingress without a host": ({"front": {"ingress": {"enabled": True}}}, "front.ingress.hosts names no host"),
    "an ingress to nothing": (
        {"ui": {"ingress": {"enabled": True, "hosts": ["a.example.com"]}}},
        "ui.ingress.enabled needs ui.enabled",
    ),
}


@pytest.fixture(scope="module")
def refused() -> dict[str, Rendered]:
    return dict(zip(REFUSED, render([Release(values) for values, _ in REFUSED.values()]), strict=True))


@pytest.mark.parametrize("what", REFUSED)
def test_a_wrong_value_is_refused_with_its_name(what: str, refused: dict[str, Rendered]) -> None:
    error = refused[what].error
    assert error is not None
    assert REFUSED[what][1] in error
    assert "hunter22" not in error


def keys(tree: dict[str, Any], above: str = "") -> set[str]:
    """Every key of nested tables, dotted."""
    found = {f"{above}{key}" for key in tree}
    return found.union(*(keys(value, f"{above}{key}.") for key, value in tree.items() if isinstance(value, dict)))


def test_the_schema_knows_every_value_and_no_other() -> None:
    schema = json.loads((CHART / "values.schema.json").read_text())

    def properties(node: dict[str, Any], above: str = "") -> set[str]:
        node = schema["definitions"][node["$ref"].rpartition("/")[2]] if "$ref" in node else node
        inner = node.get("properties", {})
        return {f"{above}{key}" for key in inner}.union(
            *(properties(each, f"{above}{key}.") for key, each in inner.items())
        )

    free = re.compile(r"\.(resources|labels)\.")
    defaults = {key for key in keys(yaml.safe_load((CHART / "values.yaml").read_text())) if not free.search(key)}
    assert defaults == {key for key in properties(schema) if not free.search(key)} - {"global"}


def test_providers_keys_reach_workers_and_nobody_else() -> None:
    (chart,) = render([Release(example("everything"))])
    for component, _, pod in chart.pods():
        text = json.dumps(pod)
        assert ("headrace-providers" in text) == ("openai-key" in text) == (component == "worker")
        assert ("headrace-ui" in text) == (component == "ui")
        assert ("headrace-front-tls" in text) == (component == "front")
        assert "headrace-kafka" in text, "all of them speak to the broker"


def test_no_object_and_no_default_holds_a_secret() -> None:
    for chart in render([Release(), Release(example("everything"))]):
        assert chart.of("Secret") == []
        for _, _, pod in chart.pods():
            for container in pod["containers"]:
                named = [each for each in container["env"] if re.search("TOKEN$|KEY$|PASSWORD$", each["name"])]
                assert all("secretKeyRef" in each["valueFrom"] for each in named)


def test_settings_of_every_process_load_with_what_the_chart_adds(tmp_path: Path) -> None:
    names = ["default", *sorted(path.stem for path in EXAMPLES.glob("*.yaml"))]
    for name, chart in zip(
        names, render([Release({} if name == "default" else example(name)) for name in names]), strict=True
    ):
        components = {component for component, _, _ in chart.pods()}
        loaded = {component: chart.settings_of(component, tmp_path) for component in components}
        assert {"worker", "control", "front", "topics", "check"} <= components
        assert len({each.topics.names.responses for each in loaded.values()}) == 1, "one fleet, one prefix"
        assert len({each.kafka.group_id for each in loaded.values()}) == 1
        loaded["worker"].ensure_provider()
        assert loaded["front"].front.require_keys == "always"
        advertised = loaded["worker"].http.advertised(loaded["worker"].http.listen)
        assert advertised == ("[fd00::7]:9100" if name == "ipv6" else "10.1.2.3:9100")
        if "ui" in components:
            assert {"headrace.example.com", "prod-headrace-ui.llm.svc"} <= set(loaded["ui"].ui.hosts)
            assert (loaded["ui"].ui.viewer_token_env, loaded["ui"].ui.operator_token_env) == (
                "UI_VIEWER_TOKEN",
                "UI_OPERATOR_TOKEN",
            )


def test_a_prefix_makes_a_fleet_of_its_own(tmp_path: Path) -> None:
    one, other = render([Release(), Release(example("second-fleet"), name="blue")])
    topics = [set(each.settings_of("topics", tmp_path).topics.names.requests) for each in (one, other)]
    assert not topics[0] & topics[1]
    groups = {each.settings_of("worker", tmp_path).kafka.group_id for each in (one, other)}
    assert len(groups) == 2


def test_files_that_the_settings_name_are_mounted_where_they_are_read(tmp_path: Path) -> None:
    (chart,) = render([Release(example("everything"))])
    for component in ("worker", "control", "front", "ui", "topics"):
        loaded = chart.settings_of(component, tmp_path)
        files = [loaded.kafka.sasl_password_file, loaded.kafka.tls_ca_file]
        if component == "worker":
            files += [
                each.api_key_file for provider in loaded.providers for each in provider.endpoints if each.api_key_file
            ]
        if component == "front":
            files += [loaded.front.tls.cert_file, loaded.front.tls.key_file]
        pod = chart.pod(component)
        volumes = {each["name"]: each["secret"] for each in pod["volumes"] if "secret" in each}
        mounts = {each["mountPath"]: each for each in pod["containers"][0]["volumeMounts"]}
        for file in files:
            assert file is not None
            mount = mounts[str(file.parent)]
            assert mount["readOnly"]
            assert volumes[mount["name"]]["defaultMode"] == 0o440
            assert "subPath" not in mount, "a file that is mounted alone does not change when its Secret does"


def test_the_image_is_named_by_version_or_by_digest() -> None:
    digest = "sha256:" + "ab" * 32
    default, pinned = render(
        [Release(), Release({"image": {"repository": "registry.example.com/headrace", "digest": digest}})]
    )
    version = re.search(r'^version = "(.+)"', (ROOT / "pyproject.toml").read_text(), re.MULTILINE)
    assert version is not None
    for chart, image in ((default, f"headrace:{version[1]}"), (pinned, f"registry.example.com/headrace@{digest}")):
        assert {container["image"] for _, _, pod in chart.pods() for container in pod["containers"]} == {image}


def test_variables_of_a_container_are_set_once() -> None:
    (chart,) = render([Release(example("everything"))])
    for _, _, pod in chart.pods():
        for container in pod["containers"]:
            assert len(variables(container)) == len(container["env"])
