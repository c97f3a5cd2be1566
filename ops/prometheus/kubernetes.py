"""The rules as the Prometheus operator wants them."""

from pathlib import Path
from typing import Any, Final

import yaml

_RULES: Final = Path(__file__).parent / "rules"
RULES: Final = Path(__file__).parents[1] / "kubernetes" / "monitoring" / "rules.yml"
"""Where they are kept."""


def prometheus_rule() -> dict[str, Any]:
    """The groups of all rule files in one PrometheusRule."""
    files = [yaml.safe_load((_RULES / name).read_text()) for name in ("recording.yml", "alerts.yml")]
    groups: list[dict[str, Any]] = []
    for kind, file in zip(("recording", "alerts"), files, strict=True):
        groups += [{**group, "name": f"{group['name']}-{kind}"} for group in file["groups"]]
    return {
        "apiVersion": "monitoring.coreos.com/v1",
        "kind": "PrometheusRule",
        "metadata": {
            "name": "headrace",
            "namespace": "headrace",
            "labels": {"app.kubernetes.io/part-of": "headrace"},
        },
        "spec": {"groups": groups},
    }
