"""Children are started wherever somebody is, beside whatever lies there."""

from __future__ import annotations

import subprocess
from pathlib import Path

from ops.processes.fleet import headrace_command


def test_packages_of_our_names_in_the_current_folder_do_no_harm(tmp_path: Path) -> None:
    for name in ("ops", "schemas", "streams", "topics"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "__init__.py").write_text("raise ImportError('not ours')\n")
    ended = subprocess.run(headrace_command("--version"), cwd=tmp_path, capture_output=True, text=True, timeout=60)
    assert (ended.returncode, ended.stderr) == (0, "")
    assert ended.stdout.startswith("headrace ")
