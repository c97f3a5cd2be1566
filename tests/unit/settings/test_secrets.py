"""Secrets stay where they are: settings point to them, messages and listings never repeat them."""

import json
import os
import re
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ops.cli.config_text import as_toml, with_origins
from streams.settings import SettingsError, load_effective, load_settings
from streams.settings.secrets import BadSecretError, SecretFile, api_key, password, rotated

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
        provider(api_key_file=[SECRET]),
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
    assert by_file.secrets({}) == [SECRET]


BAD_KEYS = {
    "nothing": (b"", "is empty"),
    "a line break alone": (b"\n", "nothing but white space"),
    "white space of more kinds": (b"\t \r\n\xc2\xa0", "nothing but white space"),
    "a byte order mark alone": (b"\xef\xbb\xbf\r\n", "nothing but white space"),
    "two lines": (b"sk-hunter22\nsk-hunter22\n", "a line break"),
    "a carriage return inside": (b"sk-hunter22\rhunter22", "a line break"),
    "a NUL": (b"sk-hunter22\0hunter22", "the control character U\\+0000"),
    "an escape sequence: a terminal's paste": (b"\x1b[200~sk-hunter22", "the control character U\\+001B"),
    "DEL": (b"sk-hunter22\x7f", "the control character U\\+007F"),
    "groq/groq-python#16: a zero width space": ("sk-hunter22\u200b".encode(), "zero width space"),
    "a word joiner in front": ("\u2060sk-hunter22".encode(), "word joiner"),
    "a soft hyphen where the line was broken": ("sk-hunter22\u00adhunter22".encode(), "soft hyphen"),
    "openai/openai-python#2409: a dash for a hyphen": ("sk\u2014hunter22".encode(), "em dash"),
    "andrewyng/aisuite#159: typographic quotes": ("\u201csk-hunter22\u201d".encode(), "left double quotation mark"),
    "ccbogel/QualCoder#1264: a sign from nowhere": ("sk-hunter22\u00a9".encode(), "copyright sign"),
    "a no-break space inside": ("sk-hunter22\u00a0hunter22".encode(), "no-break space"),
    "a letter that is not ASCII": ("sk-hunter22\u00e9".encode(), "a character that is not ASCII"),
    "a Cyrillic a that looks like one": ("sk-\u0430hunter22".encode(), "a character that is not ASCII"),
    "openwall/john#2802: UTF-16, as a shell redirects": ("sk-hunter22\r\n".encode("utf-16"), "UTF-16"),
    "Latin-1": (b"sk-hunter22\xe9", "no UTF-8"),
    "joemccann/radon#184: docker --env-file, single quotes": (b"'sk-hunter22'", "quotes around it"),
    "topoteretes/cognee#1721: docker --env-file, double quotes": (b'"sk-hunter22"', "quotes around it"),
    "a quote at one end": (b'sk-hunter22"', "quotes around it"),
    "DataDog/datadog-agent#23326: with the header's word": (b"Bearer sk-hunter22", "Bearer"),
    "a comment behind it": (b"sk-hunter22 # ours", "a space"),
    "a line break as two characters": (rb"sk-hunter22\n", "a backslash"),
    "a file of the wrong kind": (b"hunter22" * 10_000, "more than 65536 bytes"),
}

GOOD_KEYS = {
    "kubernetes/kubernetes#52919: the editor's line break": b"sk-hunter22\n",
    "openai-php/client#82: CRLF": b"sk-hunter22\r\n",
    "blanks and tabs behind it": b"sk-hunter22 \t",
    "blank lines around it": b"\n\nsk-hunter22\n\n",
    "navali-creations/soothsayer#139: a byte order mark": b"\xef\xbb\xbfsk-hunter22\r\n",
    "a no-break space behind it": "sk-hunter22\u00a0".encode(),
    "as it should be": b"sk-hunter22",
}


@pytest.mark.parametrize(("content", "why"), BAD_KEYS.values(), ids=BAD_KEYS)
def test_a_key_file_that_holds_no_key_says_why_and_not_what_it_holds(tmp_path: Path, content: bytes, why: str) -> None:
    file = tmp_path / "key"
    file.write_bytes(content)
    settings = load_settings(environ=provider(api_key_file=str(file)))
    with pytest.raises(
        SettingsError, match=rf"providers\[0\]\.endpoints\[0\]\.api_key_file: \S+/key .*{why}"
    ) as raised:
        settings.secrets({})
    assert "hunter22" not in str(raised.value)
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize(
    ("content", "why"),
    [(content, why) for content, why in BAD_KEYS.values() if b"\0" not in content and "UTF" not in why],
)
def test_a_variable_that_holds_no_key_says_why_and_not_what_it_holds(content: bytes, why: str) -> None:
    value = content.decode()
    if len(value) > 65_536:
        return  # no variable is so large
    settings = load_settings(environ=provider(api_key_env="KEY"))
    with pytest.raises(SettingsError, match=rf"api_key_env: the environment variable KEY .*{why}") as raised:
        settings.secrets({"KEY": value})
    assert "hunter22" not in str(raised.value)


def test_bytes_of_a_variable_that_are_no_text_are_refused() -> None:
    settings = load_settings(environ=provider(api_key_env="KEY"))
    with pytest.raises(SettingsError, match="a character that is not ASCII"):
        settings.secrets({"KEY": os.fsdecode(b"sk-hunter22\xff")})


@pytest.mark.parametrize("content", GOOD_KEYS.values(), ids=GOOD_KEYS)
def test_what_stands_around_a_key_is_dropped(tmp_path: Path, content: bytes) -> None:
    file = tmp_path / "key"
    file.write_bytes(content)
    for found in (provider(api_key_file=str(file)), provider(api_key_env="KEY")):
        assert load_settings(environ=found).secrets({"KEY": content.decode()}) == ["sk-hunter22"]


@given(st.text())
def test_whatever_is_read_is_a_word_for_a_header_or_refused(text: str) -> None:
    with suppress(BadSecretError):
        found = api_key(text)
        assert re.fullmatch(r"[!-~]+", found)
        assert found in text


def test_a_password_may_hold_spaces_and_quotes() -> None:
    assert password('  "one two"\n') == '"one two"'


def test_a_key_comes_from_a_variable_or_a_file_and_not_from_both(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="api_key_env and api_key_file exclude each other") as raised:
        load_settings(environ=provider(api_key_env="KEY", api_key_file=str(tmp_path)))
    assert len(raised.value.problems) == 1


def test_every_bad_secret_has_a_line_of_its_own(tmp_path: Path) -> None:
    endpoints = [{"url": "https://h/v1", "api_key_env": name} for name in ("GOOD", "BAD")]
    endpoints.append({"url": "https://h/v1", "api_key_file": str(tmp_path / "none")})
    settings = load_settings(environ={"HEADRACE_PROVIDERS": json.dumps([{"name": "a", "endpoints": endpoints}])})
    with pytest.raises(SettingsError) as raised:
        settings.secrets({"GOOD": "sk-1", "BAD": "sk 2"})
    assert [problem.partition(":")[0] for problem in raised.value.problems] == [
        "providers[0].endpoints[1].api_key_env",
        "providers[0].endpoints[2].api_key_file",
    ]


@pytest.mark.parametrize("content", [None, b"", b"\n", b"\xff"])
def test_a_password_file_that_holds_none_is_named(tmp_path: Path, content: bytes | None) -> None:
    file = tmp_path / "password"
    if content is not None:
        file.write_bytes(content)
    settings = load_settings(environ=SASL | {"HEADRACE_KAFKA__SASL_PASSWORD_FILE": str(file)})
    with pytest.raises(SettingsError, match=r"kafka\.sasl_password_file: .*password"):
        settings.kafka.sasl_password()


def test_a_secret_file_is_read_again_and_what_is_half_written_is_not_taken(tmp_path: Path) -> None:
    file = tmp_path / "password"
    file.write_text("the-first-one\n")
    secret = SecretFile.read("kafka.sasl_password_file", file, password)
    assert (secret, secret.now()) == ("the-first-one", "the-first-one")
    file.write_text("the-next-one\n")
    assert (secret, secret.now()) == ("the-first-one", "the-next-one")
    assert "the-next-one" in rotated.secrets, "the log scrubs it"
    for bad in ("", " \n", "no\nline breaks"):
        file.write_text(bad)
        assert secret.now() == "the-next-one"
    file.unlink()
    assert secret.now() == "the-next-one"
