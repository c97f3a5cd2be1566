"""docker-compose.yml and the Dockerfile: right by the Compose schema, pinned, checked, and closed to the network.

Nothing is built or started here: the files must hold on machines without docker too.
"""

import json
import re
import shlex
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from string import Template
from typing import Any

import pytest
import yaml
from jsonschema import Draft7Validator
from typer.testing import CliRunner

from ops.cli import COMMANDS, app
from streams.settings import load_settings

ROOT = Path(__file__).parents[2]
COMPOSE: dict[str, Any] = yaml.safe_load((ROOT / "docker-compose.yml").read_text())
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]
OURS = {name: service for name, service in SERVICES.items() if service["image"].startswith("headrace")}
SETTINGS = ROOT / "ops" / "docker" / "headrace.toml"
DOCKERFILE = (ROOT / "Dockerfile").read_text().replace("\\\n", " ").splitlines()


def instructions(name: str) -> Iterator[str]:
    """What stands behind it, with the defaults of build arguments in place."""
    given = dict(line.removeprefix("ARG ").split("=", 1) for line in DOCKERFILE if re.match("ARG [A-Z_]+=", line))
    return (Template(line).safe_substitute(given) for line in _instructions(name))


def _instructions(name: str) -> Iterator[str]:
    return (line.removeprefix(f"{name} ") for line in DOCKERFILE if line.startswith(f"{name} "))


def test_the_compose_file_fits_the_compose_schema() -> None:
    # The schema travels with check-jsonschema, as a file; finding the package does not import it.
    spec = find_spec("check_jsonschema")
    assert spec is not None
    assert spec.submodule_search_locations is not None
    folder = Path(spec.submodule_search_locations[0])
    schema = json.loads((folder / "builtin_schemas" / "vendor" / "compose-spec.json").read_text())
    assert [error.message for error in Draft7Validator(schema).iter_errors(COMPOSE)] == []


def test_there_are_kafka_topics_a_provider_two_workers_and_what_watches_them() -> None:
    watching = {"control", "kafka-exporter", "prometheus", "alertmanager", "grafana"}
    assert set(SERVICES) == {"kafka", "topics", "provider-sim", "worker", "front", "ui"} | watching
    assert SERVICES["worker"]["deploy"]["replicas"] == 2


@pytest.mark.parametrize("image", [*(service["image"] for service in SERVICES.values()), *instructions("FROM")])
def test_every_image_is_pinned_to_a_version(image: str) -> None:
    name, _, tag = image.split()[0].rpartition(":")
    assert name
    assert tag == "local" if name == "headrace" else re.match(r"v?[0-9]+\.[0-9]+", tag)


@pytest.mark.parametrize("name", [name for name in SERVICES if name != "topics"])
def test_every_service_that_stays_has_a_health_check(name: str) -> None:
    assert SERVICES[name]["healthcheck"]["test"][0] in ("CMD", "CMD-SHELL")


def test_what_is_waited_for_is_there_and_can_be_waited_for() -> None:
    for service in SERVICES.values():
        for name, dependency in service.get("depends_on", {}).items():
            one_shot = name == "topics"
            wanted = "service_completed_successfully" if one_shot else "service_healthy"
            assert dependency["condition"] == wanted
    assert set(SERVICES["worker"]["depends_on"]) == {"kafka", "topics", "provider-sim"}


def test_ports_are_published_on_loopback_only() -> None:
    ports = [port for service in SERVICES.values() for port in service.get("ports", [])]
    assert ports
    assert all(port.startswith("127.0.0.1:") for port in ports)


@pytest.mark.parametrize("name", OURS)
def test_our_services_run_commands_that_there_are(name: str) -> None:
    command, *options = OURS[name]["command"]
    assert command in COMMANDS
    shown = CliRunner().invoke(app, [command, *options, "--help"])
    assert shown.exit_code == 0
    for option in (each for each in options if each.startswith("--")):
        assert option in re.sub(r"\x1b\[[0-9;]*m", "", shown.output)


def test_workers_find_the_broker_and_the_provider_of_the_compose_file() -> None:
    environ = {"HEADRACE_HTTP__LISTEN": "0.0.0.0:9100"} | SERVICES["worker"]["environment"]
    settings = load_settings(SETTINGS, environ)
    settings.ensure_provider()
    assert settings.kafka.bootstrap_servers in SERVICES["kafka"]["environment"]["KAFKA_ADVERTISED_LISTENERS"]
    assert settings.providers[0].endpoints[0].url == "http://provider-sim:8080/v1"
    assert SERVICES["worker"]["volumes"] == [f"./ops/docker/headrace.toml:{environ['HEADRACE_SETTINGS']}:ro"]
    assert SETTINGS.is_file()


def test_the_control_room_waits_for_a_token_of_its_own() -> None:
    environ = {name: str(value) for name, value in SERVICES["ui"]["environment"].items()}
    assert environ["UI_TOKEN"] == "${UI_TOKEN:-}"
    settings = load_settings(SETTINGS, environ | {"UI_TOKEN": "a token of our own"})
    assert settings.ui.viewer_token_env == "UI_TOKEN"
    assert SERVICES["ui"]["profiles"] == ["ui"]


def test_a_worker_may_drain_before_it_is_killed() -> None:
    settings = load_settings(SETTINGS, {})
    assert int(SERVICES["worker"]["stop_grace_period"].removesuffix("s")) > settings.kafka.drain_deadline


def test_prometheus_asks_services_that_there_are_at_ports_where_they_answer() -> None:
    config = yaml.safe_load((ROOT / "ops" / "prometheus" / "prometheus.yml").read_text())
    jobs = {job["job_name"]: job for job in config["scrape_configs"]}
    found = {name: job["dns_sd_configs"][0] for name, job in jobs.items() if "dns_sd_configs" in job}
    assert found["headrace-worker"]["names"] == ["worker"]
    assert {place["port"] for place in found.values()} == {9100}  # HEADRACE_HTTP__LISTEN of the image
    assert "HEADRACE_HTTP__LISTEN=0.0.0.0:9100" in (ROOT / "Dockerfile").read_text()
    (exporter,) = jobs["kafka-exporter"]["static_configs"][0]["targets"]
    assert exporter.split(":")[0] in SERVICES
    assert "./ops/prometheus:/etc/prometheus:ro" in SERVICES["prometheus"]["volumes"]
    (manager,) = config["alerting"]["alertmanagers"][0]["static_configs"][0]["targets"]
    assert manager.split(":")[0] in SERVICES


def test_every_alert_finds_a_receiver_that_there_is() -> None:
    config = yaml.safe_load((ROOT / "ops" / "prometheus" / "alertmanager.yml").read_text())
    named = {config["route"]["receiver"], *(route["receiver"] for route in config["route"]["routes"])}
    assert named <= {receiver["name"] for receiver in config["receivers"]}
    rules = yaml.safe_load((ROOT / "ops" / "prometheus" / "rules" / "alerts.yml").read_text())
    alerts = {rule["alert"] for group in rules["groups"] for rule in group["rules"]}
    for rule in config["inhibit_rules"]:
        for matcher in (*rule["source_matchers"], *rule["target_matchers"]):
            pattern = re.fullmatch(r'alertname =~? "(.+)"', matcher)
            assert pattern
            assert any(re.fullmatch(pattern[1], alert) for alert in alerts)


def test_grafana_shows_everything_to_whoever_comes_and_lets_nobody_change_anything() -> None:
    environment = SERVICES["grafana"]["environment"]
    assert environment["GF_AUTH_ANONYMOUS_ORG_ROLE"] == "Viewer"
    assert environment["GF_AUTH_DISABLE_LOGIN_FORM"] == "true"
    home = environment["GF_DASHBOARDS_DEFAULT_HOME_DASHBOARD_PATH"].rpartition("/")[2]
    assert (ROOT / "ops" / "grafana" / "dashboards" / home).is_file()


def test_every_file_that_is_mounted_is_there() -> None:
    for service in SERVICES.values():
        for volume in service.get("volumes", []):
            source = volume.split(":")[0]
            assert source in COMPOSE["volumes"] or (ROOT / source).exists(), volume


def test_kafka_creates_no_topics_by_itself() -> None:
    assert SERVICES["kafka"]["environment"]["KAFKA_AUTO_CREATE_TOPICS_ENABLE"] == "false"


def test_the_image_runs_as_nobody_in_particular_and_is_checked() -> None:
    assert list(instructions("USER")) == ["10001:10001"]
    assert len(list(instructions("HEALTHCHECK"))) == 1


def test_everything_installed_into_the_image_is_held_to_its_hash() -> None:
    installs = [part for run in instructions("RUN") for part in run.split("&&") if "pip install" in part]
    assert installs
    for install in installs:
        assert {"--require-hashes", "--no-index"} & set(shlex.split(install)), install


def test_everything_that_is_copied_into_the_image_is_sent_to_the_builder() -> None:
    sent = {line.removeprefix("!") for line in (ROOT / ".dockerignore").read_text().splitlines() if line[:1] == "!"}
    copied = {source for copy in instructions("COPY") if not copy.startswith("--from") for source in copy.split()[:-1]}
    assert copied <= sent
    assert all((ROOT / source).exists() for source in copied)
