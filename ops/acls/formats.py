"""ACLs as others take them. Pure."""

from __future__ import annotations

import json
import shlex
from collections.abc import Iterator, Sequence
from itertools import groupby
from typing import Any, Final

from ops.acls.roles import Acl

_STRIMZI: Final = {"transactional-id": "transactionalId"}
"""Strimzi's names of resources, where they differ."""


def as_commands(principal: str, acls: Sequence[Acl], bootstrap_servers: str, command_config: str | None) -> list[str]:
    """`kafka-acls` for each resource, to be run by who may alter the cluster's ACLs. Running one again changes nothing."""
    lines = []
    for (resource, name, pattern), operations in _by_resource(acls):
        words = ["kafka-acls.sh", "--bootstrap-server", bootstrap_servers]
        words += ["--command-config", command_config] if command_config is not None else []
        words += ["--add", "--allow-principal", principal]
        words += [word for operation in operations for word in ("--operation", operation)]
        words += [f"--{resource}", *([] if resource == "cluster" else [name])]  # there is one cluster: it takes no name
        words += ["--resource-pattern-type", pattern] if pattern != "literal" else []
        lines.append(shlex.join(words))
    return lines


def as_strimzi(name: str, acls: Sequence[Acl], cluster: str, authentication: str) -> str:
    """A KafkaUser in YAML (https://strimzi.io/docs/operators/latest/configuring.html#type-KafkaUser-reference)."""
    lines = [
        "apiVersion: kafka.strimzi.io/v1",  # v1beta2 is gone since Strimzi 1.0 (strimzi-kafka-operator#11930)
        "kind: KafkaUser",
        "metadata:",
        f"  name: {_quoted(name)}",
        f"  labels: {{ strimzi.io/cluster: {_quoted(cluster)} }}",
        "spec:",
        f"  authentication: {{ type: {_quoted(authentication)} }}",
        "  authorization:",
        "    type: simple",
        "    acls:",
    ]
    for (resource, resource_name, pattern), operations in _by_resource(acls):
        named = _STRIMZI.get(resource, resource)
        kind = "prefix" if pattern == "prefixed" else "literal"
        where = "" if resource == "cluster" else f", name: {_quoted(resource_name)}, patternType: {kind}"
        lines.append(f"      - resource: {{ type: {named}{where} }}\n        operations: [{', '.join(operations)}]")
    return "\n".join(lines)


def _quoted(text: str) -> str:
    """A string in YAML, which JSON's are (https://yaml.org/spec/1.2.2/, 1.2)."""
    return json.dumps(text)


def as_json(role: str, principal: str, acls: Sequence[Acl]) -> dict[str, Any]:
    return {
        "role": role,
        "principal": principal,
        "acls": [
            {"resource": each.resource, "name": each.name, "pattern": each.pattern, "operation": each.operation}
            for each in acls
        ],
    }


def _by_resource(acls: Sequence[Acl]) -> Iterator[tuple[tuple[str, str, str], list[str]]]:
    def resource_of(acl: Acl) -> tuple[str, str, str]:
        return acl.resource, acl.name, acl.pattern

    for resource, those in groupby(sorted(acls, key=resource_of), key=resource_of):
        yield resource, sorted(each.operation for each in those)
