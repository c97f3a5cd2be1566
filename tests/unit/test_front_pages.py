"""The front pages say what there is: a package that they leave out is one that nobody finds."""

import ast
import re
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize("folder", ["streams", "ops"])
def test_a_front_page_names_every_package_and_every_file_beside_them(folder: str) -> None:
    page = (ROOT / folder / "__init__.py").read_text()
    packages = {f"{each.name}/" for each in (ROOT / folder).iterdir() if each.is_dir() and each.name != "__pycache__"}
    files = {each.name for each in (ROOT / folder).glob("*.py") if each.name not in ("__init__.py", "__main__.py")}
    assert sorted(each for each in packages | files if each not in page) == []


_NAMED_BY_RULE = {"ops/bench/peers", "ops/ui/pages", "streams/settings"}
"""Packages whose page says by which rule their files are named."""


@pytest.mark.parametrize("page", sorted([*ROOT.glob("streams/**/__init__.py"), *ROOT.glob("ops/**/__init__.py")]))
def test_the_page_of_a_package_names_every_module_and_none_that_is_not_there(page: Path) -> None:
    text = page.read_text()
    modules = {each.stem for each in page.parent.glob("*.py") if not each.stem.startswith("__")}
    if str(page.parent.relative_to(ROOT)) not in _NAMED_BY_RULE:
        assert sorted(each for each in modules if not re.search(rf"\b{each}\b", text)) == []
    docstring = ast.get_docstring(ast.parse(text), clean=False) or ""
    listed = re.findall(r"^    ([a-z_][a-z_, ./]*?)(?:  |: )", docstring, re.MULTILINE)
    names = {name.strip("/").removesuffix(".py") for line in listed for name in re.split(r"[, ]+", line)}
    assert sorted(each for each in names if each and not _stands_in(page.parent, each)) == []


def _stands_in(folder: Path, name: str) -> bool:
    return (folder / name).is_dir() or (folder / f"{name}.py").exists()


def test_the_floors_on_the_front_page_are_the_ones_that_lint_holds() -> None:
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"]
    (held,) = [each["layers"] for each in contracts if each.get("containers") == ["streams"]]
    page = (ROOT / "streams" / "__init__.py").read_text()
    told = page.split("no stage imports another.\n\n")[1].split("\n\n")[0]
    assert [line.strip().split(", ") for line in told.splitlines()] == [layer.split(" | ") for layer in held]
