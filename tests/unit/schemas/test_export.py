"""The export writes every document, and says which files are not current."""

from pathlib import Path

from schemas.export import json_schemas, stale, write


def test_written_files_are_current(tmp_path: Path) -> None:
    write(json_schemas(), tmp_path / "new")
    assert stale(json_schemas(), tmp_path / "new") == []


def test_missing_changed_and_left_over_files_are_stale(tmp_path: Path) -> None:
    documents = json_schemas()
    write(documents, tmp_path)
    (tmp_path / "request.v1.json").unlink()
    (tmp_path / "response.v1.json").write_text("{}")
    (tmp_path / "gone.v1.json").write_text("{}")
    assert stale(documents, tmp_path) == ["gone.v1.json", "request.v1.json", "response.v1.json"]
