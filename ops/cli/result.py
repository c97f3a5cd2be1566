"""Printing what came of a load: a table for people, a JSON file for programs."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import orjson

from ops.cli.console import fail

if TYPE_CHECKING:
    from ops.load.report import LoadResult


class Reporter:
    """Takes the result of a load, prints it, keeps it. With `-` for the file, JSON has stdout and people have stderr."""

    def __init__(self, json_file: Path | None) -> None:
        from rich.console import Console

        self.result: LoadResult | None = None
        self._file = json_file
        self._to_stdout = json_file == Path("-")
        self.console = Console(stderr=self._to_stdout)
        if json_file is not None and not self._to_stdout and not json_file.absolute().parent.is_dir():
            fail(f"--json {json_file}: there is no folder {json_file.absolute().parent}")

    def __call__(self, result: "LoadResult") -> None:
        from ops.load.report import summary_table

        self.result = result
        self.console.print(summary_table(result))
        if result.summary.lost and not result.interrupted:
            self.console.print(f"{result.summary.lost} requests were neither answered nor dead letters", style="red")
        if self._file is None:
            return
        text = orjson.dumps(result.flat(), option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE)
        if self._to_stdout:
            sys.stdout.write(text.decode())
        else:
            self._file.write_bytes(text)
