"""`headrace metrics names`: the list, and that the page in docs/ is it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from ops.cli.metrics import app
from streams.metrics.names import exposed, reference_page

PAGE = Path(__file__).parents[3] / "docs" / "metric-names.md"


def test_the_page_in_docs_is_current() -> None:
    assert PAGE.read_text(encoding="utf-8") == reference_page(), "headrace metrics names > docs/metric-names.md"
    assert CliRunner().invoke(app, ["names", "--check", str(PAGE)]).exit_code == 0


def test_a_page_that_is_not_current_is_reported(tmp_path: Path) -> None:
    done = CliRunner().invoke(app, ["names", "--check", str(tmp_path / "none.md")])
    assert done.exit_code == 1
    assert "headrace metrics names >" in done.stderr


def test_programs_get_an_object_a_line(capfd: pytest.CaptureFixture[str]) -> None:
    done = CliRunner().invoke(app, ["names", "--json"])
    lines = (done.stdout or capfd.readouterr().out).splitlines()
    assert [json.loads(line)["name"] for line in lines] == [each.name for each in exposed()]
