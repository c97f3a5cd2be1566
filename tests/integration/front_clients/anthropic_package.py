"""Anthropic's own package, imported where it is used: each process that only collects tests would spend 2 s of CPU on it."""

from typing import Any

import pytest


def anthropic() -> Any:
    """The package; skips the test where it is not installed."""
    return pytest.importorskip("anthropic", reason="the anthropic package is not installed")
