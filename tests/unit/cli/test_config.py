"""`headrace config`: what it shows can be read again, what it checks it says in one line each."""

import json
import os
import tomllib
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from ops.cli.config import app
from ops.cli.config_text import as_toml, reference_page
from streams.settings import load_effective, load_settings
from streams.settings.keys import all_keys

FILE = """\
[kafka]
session_timeout = "8s"
sasl_username = "quote \\" and \\\\ and \\u007f"

[[providers]]
name = "main"
format = "anthropic"
models = ["small", "large"]
endpoints = [
    { url = "http://127.0.0.1:8080/v1", weight = 2, api_key_env = "MAIN_API_KEY" },
    { url = "http://127.0.0.1:8081/v1" },
]
rate_limit = { requests = "unlimited" }
bandwidth = "unlimited"

[[providers]]
name = "second"
endpoints = [{ url = "http://127.0.0.1:8082/v1" }]
"""


@pytest.fixture
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in [name for name in os.environ if name.startswith("HEADRACE_")]:
        monkeypatch.delenv(name)
    path = tmp_path / "some.toml"
    path.write_text(FILE)
    return path


def config(*arguments: str) -> Result:
    return CliRunner().invoke(app, list(arguments))


def test_what_show_prints_is_a_settings_file_with_the_same_settings(file: Path, tmp_path: Path) -> None:
    again = tmp_path / "again.toml"
    again.write_text(config("show", "--settings", str(file)).stdout)
    assert load_settings(again, {}) == load_settings(file, {})


def test_every_line_says_where_its_value_comes_from(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HEADRACE_TOPICS__PARTITIONS", "24")
    lines = config("show", "--settings", str(file)).stdout.splitlines()
    assert f'session_timeout = "8s"  # {file}' in lines
    assert "partitions = 24  # HEADRACE_TOPICS__PARTITIONS" in lines
    assert 'heartbeat_interval = "1s"  # default' in lines
    assert "# tls_ca_file is not set" in lines


def test_show_as_json_names_every_key(file: Path) -> None:
    shown = json.loads(config("show", "--json", "--settings", str(file)).stdout)
    assert shown["kafka.session_timeout"] == {"value": "8s", "from": str(file)}
    assert shown["providers[1].rate_limit.tokens"] == {"value": "90000/minute", "from": "default"}
    assert {key.name for key in all_keys() if "[]" not in key.name and "<name>" not in key.name} <= set(shown)


def test_defaults_are_shown_as_toml_without_providers() -> None:
    assert "providers" not in tomllib.loads(as_toml(load_effective(environ={})))


def test_check_is_content_with_right_settings(file: Path) -> None:
    done = config("check", "--settings", str(file))
    assert (done.exit_code, done.stdout) == (0, "the settings are right: 2 provider(s), broker 127.0.0.1:9092\n")


def test_check_says_every_fault_in_a_line_of_its_own(file: Path) -> None:
    file.write_text('[kafka]\nlinger = 2\n[gc]\nthreshold = "7"\n')
    done = config("check", "--settings", str(file))
    assert done.exit_code == 2
    assert len(done.stderr.splitlines()) == 2


def test_check_says_that_a_worker_needs_a_provider(file: Path) -> None:
    file.write_text("")
    done = config("check", "--settings", str(file))
    assert done.exit_code == 2
    assert "a worker needs a [[providers]]" in done.stderr


def test_check_looks_for_secrets_only_where_asked(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MAIN_API_KEY", raising=False)
    assert config("check", "--settings", str(file)).exit_code == 0
    done = config("check", "--secrets", "--settings", str(file))
    assert done.exit_code == 2
    assert "MAIN_API_KEY is not set" in done.stderr
    monkeypatch.setenv("MAIN_API_KEY", "key")
    assert config("check", "--secrets", "--settings", str(file)).exit_code == 0


def test_check_says_that_a_secret_is_bad_without_being_asked(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MAIN_API_KEY", '"hunter22"')
    done = config("check", "--settings", str(file))
    assert done.exit_code == 2
    assert "providers[0].endpoints[0].api_key_env: the environment variable MAIN_API_KEY has quotes" in done.stderr
    assert "hunter22" not in done.stderr


def test_the_reference_in_docs_is_current() -> None:
    page = Path(__file__).parents[3] / "docs" / "settings.md"
    assert page.read_text(encoding="utf-8") == reference_page(), "headrace config reference > docs/settings.md"
    assert config("reference", "--check", str(page)).exit_code == 0


def test_a_reference_that_is_not_current_is_reported(tmp_path: Path) -> None:
    assert config("reference", "--check", str(tmp_path / "none.md")).exit_code == 1


def test_every_key_has_a_line_on_what_it_does() -> None:
    for key in all_keys():
        assert key.field.description, key.name
        assert "\n" not in key.field.description
        assert key.field.description.endswith("."), key.name
