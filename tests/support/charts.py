"""The Helm chart, rendered by Helm itself.

The library brings Go's runtime, with its threads and signal handlers, so it runs in a process of its own: `python -m
tests.support.charts` reads a list of cases as JSON and writes what became of them.
"""

import json
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, Final

import yaml

from ops.cli import COMMANDS
from streams.settings import Settings, load_settings

ROOT: Final = Path(__file__).parents[2]
CHART: Final = ROOT / "ops" / "helm" / "headrace"
EXAMPLES: Final = ROOT / "ops" / "helm" / "examples"


@dataclass(frozen=True, slots=True)
class Release:
    """What `helm install NAME ops/helm/headrace --namespace NAMESPACE --values …` is told."""

    values: dict[str, Any] = field(default_factory=dict)
    name: str = "prod"
    namespace: str = "llm"


@dataclass(frozen=True)
class Rendered:
    """What Helm makes of it, or why it refuses."""

    files: dict[str, str]
    error: str | None

    @cached_property
    def objects(self) -> list[dict[str, Any]]:
        """All of them, hooks too."""
        assert self.error is None, self.error
        read = (yaml.safe_load_all(text) for name, text in self.files.items() if name.endswith(".yaml"))
        return [each for file in read for each in file if each]

    def of(self, kind: str) -> list[dict[str, Any]]:
        return [each for each in self.objects if each["kind"] == kind]

    def one(self, kind: str, ending: str) -> dict[str, Any]:
        """The only object of a kind whose name ends so."""
        (found,) = (each for each in self.of(kind) if each["metadata"]["name"].endswith(ending))
        return found

    def pods(self) -> Iterator[tuple[str, dict[str, Any], dict[str, Any]]]:
        """Component, metadata and spec of every pod that the objects make."""
        for each in self.objects:
            if each["kind"] == "Pod":
                yield "check", each["metadata"], each["spec"]
            elif "template" in each.get("spec", {}):
                component = each["metadata"]["labels"]["app.kubernetes.io/component"]
                yield component, each["spec"]["template"]["metadata"], each["spec"]["template"]["spec"]

    def pod(self, component: str) -> dict[str, Any]:
        (found,) = (spec for name, _, spec in self.pods() if name == component)
        return found

    def settings_of(self, component: str, folder: Path) -> Settings:
        """As the first container of the component loads them."""
        spec = self.pod(component)
        (container,) = spec["containers"]
        environ = variables(container)
        (volume,) = (each for each in spec["volumes"] if each["name"] == "settings")
        (config,) = (each for each in self.of("ConfigMap") if each["metadata"]["name"] == volume["configMap"]["name"])
        place = Path(environ["HEADRACE_SETTINGS"])
        assert {"name": "settings", "mountPath": str(place.parent), "readOnly": True} in container["volumeMounts"]
        assert container["args"][0] in COMMANDS
        file = folder / place.name
        file.write_text(config["data"][place.name])
        return load_settings(file, environ)


def variables(container: dict[str, Any]) -> dict[str, str]:
    """A container's variables with their values; those of the pod and of secrets are made up."""
    known = {"POD_IP": "fd00::7" if "[$(POD_IP)]" in str(container["env"]) else "10.1.2.3"}
    return {
        each["name"]: each["value"].replace("$(POD_IP)", known["POD_IP"]) if "value" in each else "made-up"
        for each in container["env"]
    }


def example(name: str) -> dict[str, Any]:
    read: dict[str, Any] = yaml.safe_load((EXAMPLES / f"{name}.yaml").read_text()) or {}
    return read


def render(releases: list[Release]) -> list[Rendered]:
    """What Helm makes of each, in one process."""
    done = subprocess.run(
        [sys.executable, "-m", "tests.support.charts"],
        input=json.dumps([asdict(each) for each in releases]),
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return [Rendered(**each) for each in json.loads(done.stdout)]


def main() -> None:
    import helm_python

    chart = helm_python.Chart.load(CHART)
    answers = []
    for case in json.load(sys.stdin):
        try:
            chart.validate_schema(case["values"])
            files = chart.render(case["values"], name=case["name"], namespace=case["namespace"])
            answers.append({"files": files, "error": None})
        except helm_python.HelmError as error:
            answers.append({"files": {}, "error": str(error)})
    sys.stdout.write(json.dumps(answers))


if __name__ == "__main__":
    main()
