"""The demo's last sentence."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path

import pytest

from ops.demo.command_name import command_name
from ops.demo.verdict import Shown, try_next, verdict
from ops.load.ledger import Ledger

WELL = replace(Ledger().summary(), sent=1500, answered=1500)


def test_it_says_what_was_sent_answered_lost_killed_and_paid() -> None:
    shown = Shown(killed_at_s=31.2, grew_at_s=38.9, workers=3)
    assert verdict(WELL, shown, interrupted=False) == (
        "1,500 sent, 1,500 answered, 0 lost, a worker killed at 0:31, the fleet grown to 3 at 0:38, 0 paid twice."
    )


def test_what_was_paid_twice_has_its_reason() -> None:
    said = verdict(WELL, Shown(killed_at_s=31.0, paid_twice=4), interrupted=False)
    assert "4 paid twice (they were under way in the worker that was killed" in said


def test_an_interrupted_demo_claims_nothing_of_what_it_did_not_wait_for() -> None:
    said = verdict(replace(WELL, answered=900), Shown(killed_at_s=31.0), interrupted=True)
    assert said == "Interrupted: 1,500 sent, 900 answered so far."


def test_what_is_said_to_try_next_can_be_typed_as_it_stands(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """`make demo` runs it from an environment that the reader's shell does not know."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(sys, "argv", [str(tmp_path / ".venv" / "bin" / "headrace"), "demo"])
    said = try_next(command_name()).splitlines()
    assert [line[6:].split("   ")[0] for line in said] == [
        ".venv/bin/headrace demo --ui", ".venv/bin/headrace dev", "docs/guarantee.md",
    ]  # fmt: skip
    (tmp_path / "headrace").write_text("#!/bin/sh")
    (tmp_path / "headrace").chmod(0o755)
    assert command_name() == "headrace"
