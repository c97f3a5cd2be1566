"""The examples in the docstrings of schemas/ and topics/ are true."""

import doctest
import importlib
import pkgutil

import pytest

import schemas
import topics

MODULES = [
    f"{package.__name__}.{module.name}"
    for package in (schemas, topics)
    for module in pkgutil.iter_modules(package.__path__)
]


@pytest.mark.parametrize("name", MODULES)
def test_docstring_examples(name: str) -> None:
    assert doctest.testmod(importlib.import_module(name)).failed == 0
