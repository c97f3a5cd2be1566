"""The docs: every settings snippet loads, and the site builds with every link checked."""

import re
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

from ops.site.hooks import outward
from streams.settings import load_settings
from tests.support.charts import ROOT

PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
SNIPPETS = {
    f"{page.relative_to(ROOT)}:{number}": text
    for page in PAGES
    for number, text in enumerate(re.findall(r"^```toml\n(.*?)^```", page.read_text(), re.MULTILINE | re.DOTALL))
}


@pytest.mark.parametrize("where", SNIPPETS)
def test_a_settings_file_of_a_page_loads(where: str, tmp_path: Path) -> None:
    file = tmp_path / "headrace.toml"
    file.write_text(SNIPPETS[where])
    load_settings(file, {})


def test_each_cluster_has_settings_that_its_page_shows() -> None:
    shown = {where.split(":")[0] for where in SNIPPETS}
    assert {f"docs/clusters/{page.name}" for page in (ROOT / "docs" / "clusters").glob("*.md")} <= shown


def test_the_site_builds_with_every_page_in_it_and_no_link_that_leads_nowhere(tmp_path: Path) -> None:
    if find_spec("mkdocs") is None:
        pytest.skip("mkdocs is missing")
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(tmp_path)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=200, check=False)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "kubernetes" / "index.html").is_file()


def test_a_link_out_of_docs_leads_to_the_source_or_shows_the_path(caplog: pytest.LogCaptureFixture) -> None:
    page = ROOT / "docs" / "cache.md"
    text = "see [the key](../streams/cache/key.py), [README.md](../README.md) and [here](limits.md)"
    assert outward(text, page, "https://example.com/blob/main/") == (
        "see [the key](https://example.com/blob/main/streams/cache/key.py), "
        "[README.md](https://example.com/blob/main/README.md) and [here](limits.md)"
    )
    assert outward(text, page, "") == "see the key (`streams/cache/key.py`), `README.md` and [here](limits.md)"
    assert caplog.records == []
    outward("[gone](../streams/gone.py)", page, "")
    assert "leads to no file" in caplog.text


def test_every_decision_is_listed() -> None:
    listed = (ROOT / "docs" / "README.md").read_text()
    decisions = sorted(path.name for path in (ROOT / "docs" / "decisions").glob("0*.md"))
    assert [name for name in decisions if f"(decisions/{name})" not in listed] == []
