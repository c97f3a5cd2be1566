"""The wall around Kafka's client: its inside is used in streams/kafka alone, and types are stated where it is crossed.

Names of aiokafka's modules and private names are left to ruff (TID251, SLF001 in pyproject.toml).
"""

from __future__ import annotations

import ast
import tomllib
from collections.abc import Iterator
from pathlib import Path
from pkgutil import iter_modules

import aiokafka
import pytest

ROOT = Path(__file__).parents[2]
WALL = ROOT / "streams" / "kafka"
PUBLIC = {"abc", "admin", "errors", "structs"}
"""Modules of aiokafka that its documentation has users import."""

OUTSIDE = [
    path
    for package in ("schemas", "topics", "streams", "ops")
    for path in sorted((ROOT / package).rglob("*.py"))
    if not path.is_relative_to(WALL) and not path.is_relative_to(ROOT / "ops" / "bench")
]


def test_every_module_of_aiokafka_that_is_not_public_is_banned() -> None:
    with (ROOT / "pyproject.toml").open("rb") as file:
        banned = tomllib.load(file)["tool"]["ruff"]["lint"]["flake8-tidy-imports"]["banned-api"]
    inside = {module.name for module in iter_modules(aiokafka.__path__) if not module.name.startswith("_")}
    assert {f"aiokafka.{name}" for name in inside - PUBLIC} - set(banned) == set()


def crossing() -> Iterator[tuple[str, str]]:
    """Each name of the wall that is imported outside, as (module, name)."""
    for text in (path.read_text() for path in OUTSIDE):
        for node in ast.walk(ast.parse(text)) if "streams.kafka" in text else ():
            if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("streams.kafka"):
                for alias in node.names:
                    if node.module != "streams.kafka":
                        yield node.module or "", alias.name
                    else:  # the whole module: its public functions
                        yield f"streams.kafka.{alias.name}", "*"


def signatures(module: str, name: str) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    """The public functions of this name: itself, or the methods of the class."""
    tree = ast.parse((ROOT / Path(*module.split("."))).with_suffix(".py").read_text())
    for node in tree.body:
        if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef) or node.name.startswith("_"):
            continue
        if name not in ("*", node.name):
            continue
        for each in node.body if isinstance(node, ast.ClassDef) else [node]:
            if isinstance(each, ast.FunctionDef | ast.AsyncFunctionDef) and (
                each.name == "__init__" or not each.name.startswith("_")
            ):
                yield each


def says_any(function: ast.FunctionDef | ast.AsyncFunctionDef) -> bool:
    each = function.args
    arguments = [*each.posonlyargs, *each.args, *each.kwonlyargs, each.vararg, each.kwarg]
    annotations = [argument.annotation for argument in arguments if argument is not None] + [function.returns]
    return any(
        isinstance(node, ast.Name) and node.id == "Any"
        for annotation in annotations
        if annotation is not None
        for node in ast.walk(annotation)
    )


@pytest.mark.parametrize(("module", "name"), sorted(set(crossing())))
def test_what_crosses_the_wall_states_its_types(module: str, name: str) -> None:
    assert [function.name for function in signatures(module, name) if says_any(function)] == []


def test_a_signature_that_says_any_would_be_seen() -> None:
    (function,) = ast.parse("async def f(a: int, **options: Mapping[str, Any]) -> None: ...").body
    assert isinstance(function, ast.AsyncFunctionDef)
    assert says_any(function)
