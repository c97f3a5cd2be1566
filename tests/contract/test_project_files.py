"""What is said to contributors and to CI is there: targets, files, functions, one version."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml

from streams.metrics.definitions import LOOPS

ROOT = Path(__file__).parents[2]
WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.yml"))
PINNED = re.compile(r"[\w.-]+/[\w./-]+@[0-9a-f]{40}")
TARGETS = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
COMMANDS = re.compile(r"(?:^|&& )(make) ([a-z-]+)|(?:^|&& )(\.ci/\w+)")


def jobs(workflow: Path) -> dict[str, Any]:
    read: dict[str, Any] = yaml.safe_load(workflow.read_text())
    return read["jobs"]  # type: ignore[no-any-return]


def steps(workflow: Path) -> list[dict[str, Any]]:
    return [step for job in jobs(workflow).values() for step in job["steps"]]


def missing(command: str) -> list[str]:
    """What a line of shell calls of this project, and is not there."""
    called = COMMANDS.findall(command)
    return [target or script for _, target, script in called if target not in TARGETS and not (ROOT / script).is_file()]


@pytest.mark.parametrize("workflow", WORKFLOWS, ids=lambda path: path.stem)
def test_a_workflow_calls_what_exists(workflow: Path) -> None:
    commands = [step["run"] for step in steps(workflow) if "run" in step]
    assert any(COMMANDS.search(command) for command in commands)
    assert [name for command in commands for name in missing(command)] == []


def test_a_target_that_does_not_exist_would_be_found() -> None:
    assert missing("make nothing ARGS=x") == ["nothing"]
    assert missing(".ci/nothing") == [".ci/nothing"]


@pytest.mark.parametrize("workflow", WORKFLOWS, ids=lambda path: path.stem)
def test_a_workflow_pins_its_actions_and_may_only_read(workflow: Path) -> None:
    used = [step["uses"] for step in steps(workflow) if "uses" in step]
    assert [name for name in used if not PINNED.fullmatch(name)] == []
    assert yaml.safe_load(workflow.read_text())["permissions"] == {"contents": "read"}
    assert all("timeout-minutes" in job for job in jobs(workflow).values())


def test_ci_does_what_the_script_does() -> None:
    said = "".join(step.get("run", "") + "\n" for step in steps(ROOT / ".github" / "workflows" / "ci.yml"))
    installed = re.search(r"apt-get install [^\n]*recommends ([\w ]+?) >", (ROOT / ".ci" / "run").read_text())
    assert installed is not None
    assert all(package in said for package in installed[1].split())
    assert "make lint" in said


def test_hooks_and_forms_are_valid_and_call_locked_tools() -> None:
    hooks = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text())["repos"]
    assert [repo["repo"] for repo in hooks] == ["local"]
    lint = (ROOT / "Makefile").read_text()
    for hook in hooks[0]["hooks"]:
        tool = hook["entry"].split()[0].removeprefix(".venv/bin/")
        assert f"$(BIN)/{tool}" in lint
    for form in (ROOT / ".github" / "ISSUE_TEMPLATE").glob("*.yml"):
        if form.stem != "config":
            assert {"name", "description", "body"} <= yaml.safe_load(form.read_text()).keys()
    for update in yaml.safe_load((ROOT / ".github" / "dependabot.yml").read_text())["updates"]:
        for folder in update.get("directories", [update.get("directory")]):
            assert (ROOT / folder.lstrip("/")).is_dir()


def test_there_is_one_version() -> None:
    version = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    chart = yaml.safe_load((ROOT / "ops" / "helm" / "headrace" / "Chart.yaml").read_text())
    assert (chart["version"], chart["appVersion"]) == (version, version)
    headings = re.findall(r"^## (.+)$", (ROOT / "CHANGELOG.md").read_text(), re.MULTILINE)
    assert headings[0] == "Unreleased"
    assert all(re.fullmatch(r"\[?\d+\.\d+\.\d+\]? - \d{4}-\d\d-\d\d", heading) for heading in headings[1:])
    sections = set(re.findall(r"^### (.+)$", (ROOT / "CHANGELOG.md").read_text(), re.MULTILINE))
    assert sections <= {"Added", "Changed", "Deprecated", "Removed", "Fixed", "Security"}


def test_the_way_of_a_request_names_functions_that_exist() -> None:
    rows = re.findall(r"^\| \d+ \| (.+?) \| (.+?) \|", (ROOT / "CONTRIBUTING.md").read_text(), re.MULTILINE)
    assert len(rows) == 14
    for files, functions in rows:
        folder, code = ROOT, ""
        for name in re.findall(r"`(.+?)`", files):
            path = next(each for each in (ROOT / name, ROOT / "streams" / name, folder / name) if each.exists())
            folder, code = path.parent, code + path.read_text()
        for function in re.findall(r"`(.+?)`", functions):
            assert f"def {function}(" in code, (files, function)


def test_every_path_of_the_pages_exists() -> None:
    for page in ("CONTRIBUTING.md", "SECURITY.md"):
        text = (ROOT / page).read_text()
        named = re.findall(r"\]\((?!https:)([^)#]+)", text) + re.findall(
            r"`((?:streams|tests|ops|docs)/[\w./-]+)`", text
        )
        assert [name for name in named if not (ROOT / name).exists()] == []


INTERNALS = (ROOT / "docs" / "internals.md").read_text()


def test_the_file_map_names_every_package_and_files_that_exist() -> None:
    rows = re.findall(r"^\| (`\w+/`.*?) \|", INTERNALS, re.MULTILINE)
    named = {package for row in rows for package in re.findall(r"`(\w+)/`", row)}
    assert named == {path.parent.name for path in (ROOT / "streams").glob("*/__init__.py")}
    homes = [ROOT, ROOT / "streams", *(ROOT / "streams").glob("*/")]  # in a package's row its own files stand bare
    files = re.findall(r"`([\w/]+(?:\.py|/))`", INTERNALS)
    assert [file for file in files if not any((home / file).exists() for home in homes)] == []


def test_the_table_of_tasks_names_every_loop() -> None:
    table = INTERNALS[INTERNALS.index("| task |") : INTERNALS.index("## State machines")]
    assert [loop for loop in LOOPS if f"`{loop}`" not in table] == []
    assert len(INTERNALS.splitlines()) <= 190


def test_what_stays_in_the_checkout_is_imported_by_nothing_that_travels() -> None:
    read = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["hatch"]["build"]["targets"]["wheel"]
    left_out = read["exclude"]
    assert all((ROOT / name).exists() for name in left_out)
    modules = tuple(name.removesuffix(".py").replace("/", ".") for name in left_out)
    importers = {
        path.relative_to(ROOT).as_posix()
        for package in read["packages"]
        for path in (ROOT / package).rglob("*.py")
        if re.search(rf"^\s*(from|import) ({'|'.join(map(re.escape, modules))})\b", path.read_text(), re.MULTILINE)
    }
    assert [name for name in importers if not name.startswith(tuple(left_out))] == []


def test_each_package_says_that_it_is_typed() -> None:
    for package in ("schemas", "topics", "streams", "ops"):
        assert (ROOT / package / "py.typed").is_file()
