"""The client stands alone, and its README is true."""

import ast
import doctest
import importlib
import re
import tomllib
from pathlib import Path
from sys import stdlib_module_names

import pytest

import headrace_client

CLIENT = Path(__file__).parents[3] / "clients/python"
ALLOWED = {"aiokafka", "orjson", "xxhash", "headrace_client"}


def imported(path: Path) -> set[str]:
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {name.name.partition(".")[0] for name in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, path
            found.add((node.module or "").partition(".")[0])
    return found


def test_the_client_imports_nothing_of_the_product() -> None:
    for path in (CLIENT / "headrace_client").glob("*.py"):
        assert imported(path) - set(stdlib_module_names) <= ALLOWED, path.name


def test_its_dependencies_are_what_it_imports() -> None:
    project = tomllib.loads((CLIENT / "pyproject.toml").read_text())["project"]
    named = {re.split(r"[^a-z-]", each)[0] for each in project["dependencies"]}
    assert named == ALLOWED - {"headrace_client"}
    assert all("<" in each for each in project["dependencies"])


def test_what_is_exported_is_there() -> None:
    assert headrace_client.__all__ == sorted(headrace_client.__all__, key=lambda name: (not name.isupper(), name))
    assert all(hasattr(headrace_client, name) for name in headrace_client.__all__)
    assert (CLIENT / "headrace_client/py.typed").exists()


@pytest.mark.parametrize("path", sorted((CLIENT / "headrace_client").glob("[a-z]*.py")), ids=lambda path: path.stem)
def test_docstring_examples(path: Path) -> None:
    assert doctest.testmod(importlib.import_module(f"headrace_client.{path.stem}")).failed == 0


def test_every_snippet_of_the_readme_compiles_against_the_package() -> None:
    snippets = re.findall(r"```python\n(.*?)```", (CLIENT / "README.md").read_text(), re.DOTALL)
    assert len(snippets) >= 3
    for snippet in snippets:
        tree = ast.parse(snippet)
        main = [node for node in tree.body if not (isinstance(node, ast.Expr) and "asyncio.run" in ast.unparse(node))]
        exec(compile(ast.Module(main, []), "README.md", "exec"), {})
