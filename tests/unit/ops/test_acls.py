"""The least ACLs of each role, and how they are printed."""

from __future__ import annotations

import json
import shlex

import pytest
import yaml
from typer.testing import CliRunner

from ops.acls import ROLES, acls_of, as_commands, as_strimzi
from ops.cli.acls import app
from streams.settings import load_settings
from topics.names import V1

SETTINGS = load_settings(environ={})
PREFIXED = load_settings(
    environ={"HEADRACE_TOPICS__PREFIX": "team-a.", "HEADRACE_TENANTS__ACME__PRINCIPALS": '["User:acme"]'}
)


@pytest.mark.parametrize("role", list(ROLES))
def test_nothing_but_topics_and_groups_of_the_fleet_is_allowed(role: str) -> None:
    found = acls_of(role, PREFIXED)  # type: ignore[arg-type]
    assert found
    assert all(each.name.startswith("team-a.") for each in found if each.resource != "cluster")
    assert role == "tenants" or not any(each.resource == "cluster" for each in found)
    usual = {"Read", "Write", "Describe", "Create", "DescribeConfigs"}
    assert {each.operation for each in found} <= usual | ({"Alter", "AlterConfigs"} if role == "tenants" else set())


def test_who_applies_tenants_gets_no_more_of_the_cluster_than_its_tenants_need() -> None:
    """Rights and quotas are of principals; Kafka has quotas of users alone."""

    def of_the_cluster(principals: str) -> set[str]:
        environ = {"HEADRACE_TENANTS__ACME__PRINCIPALS": principals}
        found = acls_of("tenants", load_settings(environ=environ))
        assert any(each.resource == "topic" for each in found)
        return {each.operation for each in found if each.resource == "cluster"}

    assert acls_of("tenants", SETTINGS) == ()
    assert of_the_cluster("[]") == set()
    assert of_the_cluster('["Group:acme"]') == {"Alter"}
    assert of_the_cluster('["User:acme"]') == {"Alter", "AlterConfigs"}


def test_the_cluster_takes_no_name_in_either_form() -> None:
    found = acls_of("tenants", PREFIXED)
    (line,) = (each for each in as_commands("User:t", found, "h:1", None) if "--cluster" in each)
    assert line.endswith("--cluster")
    manifest = yaml.safe_load(as_strimzi("t", found, "prod", "tls"))
    assert {"type": "cluster"} in [each["resource"] for each in manifest["spec"]["authorization"]["acls"]]


def test_an_implied_describe_is_not_asked_for_and_a_prefix_is_not_said_twice() -> None:
    for role in ROLES:
        found = acls_of(role, SETTINGS)
        strong = {(each.resource, each.name) for each in found if each.operation in ("Read", "Write")}
        assert role == "topics" or not any(
            (each.resource, each.name) in strong for each in found if each.operation == "Describe"
        )
        prefixes = [each.name for each in found if each.pattern == "prefixed"]
        assert not any(
            each.pattern == "literal" and each.name.startswith(tuple(prefixes)) for each in found if prefixes
        )


def test_only_who_makes_keys_may_write_them_and_only_workers_may_answer() -> None:
    writers = {
        topic: {
            role
            for role in ROLES
            for each in acls_of(role, SETTINGS)
            if each.name == topic and each.operation == "Write"
        }
        for topic in (V1.front_keys, V1.responses, V1.scaling_decisions, V1.leases, V1.cache_entries)
    }
    assert writers == {
        V1.front_keys: {"keys"},
        V1.responses: {"worker", "up"},
        V1.scaling_decisions: {"control", "up"},
        V1.leases: {"worker", "up"},
        V1.cache_entries: {"worker", "up", "forget"},
    }


def test_commands_are_quoted_for_a_shell() -> None:
    """kafka principals of certificates have spaces and commas in their names."""
    lines = as_commands("User:CN=a b,O=x;rm -rf /", acls_of("ui", SETTINGS), "h:1", "/a file")
    for line in lines:
        words = shlex.split(line)
        assert words[words.index("--allow-principal") + 1] == "User:CN=a b,O=x;rm -rf /"
        assert words[words.index("--command-config") + 1] == "/a file"


def test_a_kafka_user_says_the_same_as_the_commands() -> None:
    found = acls_of("up", SETTINGS)
    manifest = yaml.safe_load(as_strimzi("u", found, "prod", "tls"))
    assert manifest["metadata"] == {"name": "u", "labels": {"strimzi.io/cluster": "prod"}}
    said = {
        (each["resource"]["type"], each["resource"]["name"], each["resource"]["patternType"], operation)
        for each in manifest["spec"]["authorization"]["acls"]
        for operation in each["operations"]
    }
    pattern = {"prefixed": "prefix", "literal": "literal"}
    kind = {"topic": "topic", "group": "group", "transactional-id": "transactionalId"}
    assert said == {(kind[each.resource], each.name, pattern[each.pattern], each.operation) for each in found}


def test_the_command_prints_roles_in_each_form() -> None:
    runner = CliRunner()
    assert runner.invoke(app, ["--role", "ui"]).stdout.count("kafka-acls.sh") == len(acls_of("ui", SETTINGS))
    documents = json.loads(runner.invoke(app, ["--format", "json"]).stdout)["roles"]
    assert [each["role"] for each in documents] == list(ROLES)
    manifests = list(yaml.safe_load_all(runner.invoke(app, ["--format", "strimzi"]).stdout))
    assert [each["kind"] for each in manifests] == ["KafkaUser"] * len(ROLES)
    for wrong in (["--role", "nobody"], ["--principal", "User:a"], ["--role", "ui", "--principal", "a"]):
        assert runner.invoke(app, wrong).exit_code == 2
