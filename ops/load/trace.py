"""Traces of requests: Azure's here, others in formats.py; which one a file is, its first line says.

A CSV with the columns TIMESTAMP, ContextTokens, GeneratedTokens. The timestamps of 2023 have seven digits after the
point and no zone, those of 2024 six and a zone; both are read. Source: https://github.com/Azure/AzurePublicDataset.
"""

import csv
import gzip
import io
import re
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from pathlib import Path

from ops.load.formats import KNOWN, looks_like_servegen, parse_mooncake, parse_servegen
from ops.load.trace_row import TraceError, TraceRow

SHIPPED_TRACE = Path(__file__).parents[1] / "data" / "AzureLLMInferenceTrace_conv.csv.gz"
"""Conversations of one hour of 2023-11-16, 19,366 requests; CC-BY 4.0, see the folder."""

COLUMNS = ["TIMESTAMP", "ContextTokens", "GeneratedTokens"]
_TIMESTAMP = re.compile(r"(\d{4}-\d\d-\d\d[ T]\d\d:\d\d:\d\d)(?:\.(\d+))?(Z|[+-]\d\d:?\d\d)?")


def read_trace(path: Path) -> list[TraceRow]:
    """All rows of a trace file of a known format, plain or gzip (`.gz`).

    Raises:
        TraceError: the file is missing, is no trace, or a line is wrong.
    """
    try:
        content = path.read_bytes()
        text = (gzip.decompress(content) if path.suffix == ".gz" else content).decode("utf-8-sig")
    except (OSError, EOFError, UnicodeDecodeError) as error:
        raise TraceError(f"{path} cannot be read: {error}") from error
    lines = text.splitlines()
    first = next((line for line in lines if line.strip()), "")
    if first.lstrip().startswith("{"):
        return list(parse_mooncake(lines, str(path)))
    if looks_like_servegen(next(csv.reader([first]), [])):
        return list(parse_servegen(lines, path, read_trace(SHIPPED_TRACE)))
    return list(parse_trace(io.StringIO(text, newline=""), str(path)))


def parse_trace(lines: Iterable[str], name: str) -> Iterator[TraceRow]:
    """Rows of the lines of a trace; `name` stands in error messages."""
    reader = csv.reader(lines)
    header = next(reader, [])
    if [column.strip() for column in header] != COLUMNS:
        raise TraceError(
            f"{name}, line 1: {','.join(header) or 'nothing'} begins no trace that is known. Known are: {KNOWN}"
        )
    first_s: float | None = None
    last_s = 0.0
    for row in reader:
        if not row:
            continue
        try:
            stamp_s, prompt_tokens, completion_tokens = _parse_row(row)
        except ValueError as error:
            raise TraceError(f"{name}, line {reader.line_num}: {error}") from error
        if first_s is None:
            first_s = stamp_s
        at_s = round(stamp_s - first_s, 7)
        if at_s < last_s:
            raise TraceError(f"{name}, line {reader.line_num}: {row[0]} is earlier than the line before")
        last_s = at_s
        yield TraceRow(at_s, prompt_tokens, completion_tokens)


def _parse_row(row: list[str]) -> tuple[float, int, int]:
    if len(row) != len(COLUMNS):
        raise ValueError(f"{len(row)} fields, not {len(COLUMNS)}")
    return _seconds(row[0].strip()), _tokens(row[1], COLUMNS[1]), _tokens(row[2], COLUMNS[2])


def _seconds(stamp: str) -> float:
    """Seconds since 1970, exact to a microsecond or so; Python's own parser takes at most six digits of a fraction."""
    match = _TIMESTAMP.fullmatch(stamp)
    if match is None:
        raise ValueError(f"{stamp!r} is no timestamp like 2023-11-16 18:15:46.6805900")
    whole, fraction, zone = match.groups()
    moment = datetime.fromisoformat(whole + (zone or ""))
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    return moment.timestamp() + float(f"0.{fraction or 0}")


def _tokens(field: str, column: str) -> int:
    if not re.fullmatch(r"\s*\d{1,9}\s*", field):
        raise ValueError(f"{column} is {field!r}, not a number of tokens")
    return int(field)
