"""Tables name things that the next command wants: a name is folded where it is too long, and never cut."""

from __future__ import annotations

import pytest
from rich.table import Table

from ops.cli.console import print_table

NAME = "https://provider.example/v1/deployments/a-name-that-is-rather-long"


def table() -> Table:
    made = Table("endpoint", "state", title="endpoints")
    made.add_row(NAME, "healthy")
    return made


def test_rich_501_in_a_pipe_a_row_is_one_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Textualize/rich#501: tables are wrapped at 80 columns in a pipe, and what reads them finds no name."""
    monkeypatch.delenv("COLUMNS", raising=False)
    print_table(table())
    assert any(NAME in line and "healthy" in line for line in capsys.readouterr().out.splitlines())


def test_in_40_columns_a_name_is_folded(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setenv("COLUMNS", "40")
    print_table(table())
    lines = capsys.readouterr().out.splitlines()
    assert max(map(len, lines)) <= 40
    assert "…" not in "".join(lines)
    assert NAME in "".join(line.split("│")[1].strip() for line in lines if line.startswith("│"))
