"""Unit tests run in an empty folder: a headrace.toml where they were started must not change what they see."""

from pathlib import Path

import pytest


@pytest.fixture(autouse=True)
def empty_folder(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path_factory.mktemp("empty")
    monkeypatch.chdir(folder)
    return folder
