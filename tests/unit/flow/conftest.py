"""Fixtures of the tests of flow."""

from tests.chaos.fixtures import measured

__all__ = ["measured"]
