"""Fixtures of the tests of flow."""

from tests.support.fixtures import measured

__all__ = ["measured"]
