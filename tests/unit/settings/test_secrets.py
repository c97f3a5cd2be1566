"""Secrets stay where they are: settings point to them, messages and listings never repeat them."""

import json
from pathlib import Path
from typing import Any

import pytest

from ops.cli.config_text import as_toml, with_origins
from streams.settings import SettingsError, load_effective, load_settings

SECRET = "sk-hunter22-hunter22"

SASL = {
    "HEADRACE_KAFKA__SECURITY_PROTOCOL": "SASL_PLAINTEXT",
    "HEADRACE_KAFKA__SASL_MECHANISM": "SCRAM-SHA-512",
    "HEADRACE_KAFKA__SASL_USERNAME": "worker",
}


def provider(**endpoint: Any) -> dict[str, str]:
    endpoint = {"url": "https://h/v1", **endpoint}
    return {"HEADRACE_PROVIDERS": json.dumps([{"name": "a", "endpoints": [endpoint]}])}


@pytest.mark.parametrize(
    "environ",
    [
        {"HEADRACE_KAFKA__SASL_PASSWORD": SECRET},
        {"HEADRACE_API_KEY": SECRET},
        {"HEADRACE_KAFKA__SASL_PASSWORD_ENV": SECRET},
        provider(api_key=SECRET),
        provider(api_key_env=SECRET),
        provider(api_key_env=[SECRET]),
        provider(url=f"https://user:{SECRET}@h/v1"),
        provider(url=f"https://h/v1?key={SECRET}"),
        provider(headers={"Authorization": f"Bearer {SECRET}"}),
        provider(headers={"x-api-key": SECRET}),
        provider(headers=SECRET),
        {"HEADRACE_PROVIDERS": f'[{{"api_key": "{SECRET}"'},
    ],
)
def test_a_secret_in_the_wrong_place_is_refused_and_not_repeated(environ: dict[str, str]) -> None:
    with pytest.raises(SettingsError) as raised:
        load_settings(environ=environ)
    assert "hunter22" not in " ".join(raised.value.problems)


def test_header_values_are_masked_in_listings() -> None:
    effective = load_effective(environ=provider(headers={"x-team": "hunter22"}))
    assert "hunter22" not in as_toml(effective)
    assert "hunter22" not in repr(with_origins(effective))


def test_an_api_key_is_read_when_it_is_asked_for() -> None:
    endpoint = load_settings(environ=provider(api_key_env="KEY")).providers[0].endpoints[0]
    assert endpoint.api_key({"KEY": SECRET}) == SECRET
    with pytest.raises(SettingsError, match="the environment variable KEY is not set"):
        endpoint.api_key({})


def test_an_endpoint_without_a_key_needs_none() -> None:
    assert load_settings(environ=provider()).providers[0].endpoints[0].api_key({}) is None


def test_a_password_is_read_from_its_variable_or_its_file(tmp_path: Path) -> None:
    file = tmp_path / "password"
    file.write_text(f"{SECRET}\n")
    by_variable = load_settings(environ=SASL | {"HEADRACE_KAFKA__SASL_PASSWORD_ENV": "PASSWORD"})
    by_file = load_settings(environ=SASL | {"HEADRACE_KAFKA__SASL_PASSWORD_FILE": str(file)})
    assert by_variable.kafka.sasl_password({"PASSWORD": SECRET}) == SECRET
    assert by_file.kafka.sasl_password({}) == SECRET
    assert list(by_file.secrets({})) == [SECRET]


@pytest.mark.parametrize("content", [None, b"", b"\n", b"\xff"])
def test_a_password_file_that_holds_none_is_named(tmp_path: Path, content: bytes | None) -> None:
    file = tmp_path / "password"
    if content is not None:
        file.write_bytes(content)
    settings = load_settings(environ=SASL | {"HEADRACE_KAFKA__SASL_PASSWORD_FILE": str(file)})
    with pytest.raises(SettingsError, match=r"kafka\.sasl_password_file: .*password"):
        settings.kafka.sasl_password()
