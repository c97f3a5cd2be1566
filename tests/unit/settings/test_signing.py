"""[fleet]: where its secret comes from."""

from __future__ import annotations

from pathlib import Path

import pytest

import streams.settings.signing as module
from streams.settings import SettingsError, load_settings
from streams.signing import Refusal
from tests.unit.signing.records import Read
from topics.names import V1

ONE, TWO = "a" * 32, "b" * 40


def test_without_a_secret_no_client_bears_a_seal() -> None:
    assert "seal" not in load_settings(environ={}).kafka.client_options()
    settings = load_settings(environ={"HEADRACE_FLEET__SECRET_ENV": "S", "HEADRACE_FLEET__SIGNING": "off"})
    assert "seal" not in settings.kafka.client_options({})


def test_with_a_secret_every_client_bears_one_also_behind_a_prefix() -> None:
    settings = load_settings(environ={"HEADRACE_FLEET__SECRET_ENV": "S", "HEADRACE_TOPICS__PREFIX": "b."})
    seal = settings.kafka.client_options({"S": ONE})["seal"]
    assert seal.covers("b.limits.leases")
    assert not seal.covers("limits.leases")
    assert seal.refusal("b.limits.leases", 0, Read()) is Refusal.UNSIGNED
    assert settings.kafka.group_id == "b.headrace-workers"


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("short", "less than 32 characters"),
        (f"{ONE} {TWO} {ONE}", "more than two words"),
        ("", "is empty"),
        ("ü" * 32, "not ASCII"),
    ],
)
def test_a_secret_that_protects_nothing_is_refused_in_a_line_that_does_not_repeat_it(text: str, says: str) -> None:
    """A weak or forgotten key is found at the start, not by an attacker."""
    settings = load_settings(environ={"HEADRACE_FLEET__SECRET_ENV": "S"})
    with pytest.raises(SettingsError, match=says) as found:
        settings.kafka.client_options({"S": text})
    assert not text or text not in str(found.value)


def test_the_log_scrubs_both_secrets() -> None:
    settings = load_settings(environ={"HEADRACE_FLEET__SECRET_ENV": "S"})
    assert settings.secrets({"S": f"{ONE}\n{TWO}"}) == [ONE, TWO]
    assert settings.secrets({"S": ONE}) == [ONE]


def test_both_sources_at_once_are_refused() -> None:
    with pytest.raises(SettingsError, match="exclude each other"):
        load_settings(environ={"HEADRACE_FLEET__SECRET_ENV": "S", "HEADRACE_FLEET__SECRET_FILE": "/s"})


def test_a_new_secret_in_the_file_needs_no_restart_and_half_of_one_changes_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_LOOK_EVERY_S", 0.0)
    file = tmp_path / "secret"
    file.write_text(f"{ONE}\n")
    fleet = load_settings(environ={"HEADRACE_FLEET__SECRET_FILE": str(file)}).fleet
    seal = fleet.seal(V1)
    before = Read().signed(seal, V1.leases)
    file.write_text(f"{TWO} {ONE}")
    assert fleet.seal(V1).refusal(V1.leases, 0, Read().signed(seal, V1.leases)) is not Refusal.UNKNOWN_SIGNER
    assert seal.refusal(V1.leases, 0, before) is not Refusal.UNKNOWN_SIGNER, "signed by the old one"
    file.write_text("half")
    file.write_text(TWO)
    assert seal.refusal(V1.leases, 0, before) is Refusal.UNKNOWN_SIGNER
    file.write_text("half")
    assert seal.refusal(V1.leases, 0, Read().signed(seal, V1.leases)) is not Refusal.UNKNOWN_SIGNER
