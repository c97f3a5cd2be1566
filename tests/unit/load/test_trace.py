import gzip
from pathlib import Path

import pytest

from ops.load import SHIPPED_TRACE, TraceError, TraceRow, read_trace

HEADER = "TIMESTAMP,ContextTokens,GeneratedTokens\n"


def trace(tmp_path: Path, content: str) -> Path:
    path = tmp_path / "trace.csv"
    path.write_text(content)
    return path


def test_the_shipped_trace_is_read_whole() -> None:
    rows = read_trace(SHIPPED_TRACE)
    assert len(rows) == 19_366
    assert rows[0] == TraceRow(0.0, 374, 44)
    assert rows[1].at_s == pytest.approx(4.3145790, abs=1e-6)
    assert 3_500 < rows[-1].at_s < 3_503


def test_a_plain_file_reads_like_a_compressed_one(tmp_path: Path) -> None:
    content = HEADER + "2023-11-16 18:15:46.6805900,374,44\n2023-11-16 18:15:50.9951690,396,109"
    plain = trace(tmp_path, content)
    packed = tmp_path / "trace.csv.gz"
    packed.write_bytes(gzip.compress(content.encode()))
    assert read_trace(plain) == read_trace(packed)


@pytest.mark.parametrize(
    "stamp", ["2024-05-10 00:00:01.5", "2024-05-10 00:00:01.500000+00:00", "2024-05-10T00:00:01.5Z"]
)
def test_fractions_of_any_length_and_zones_are_read(tmp_path: Path, stamp: str) -> None:
    rows = read_trace(trace(tmp_path, f"{HEADER}2024-05-10 00:00:00,1,1\n{stamp},2,3\n"))
    assert rows[1] == TraceRow(1.5, 2, 3)


@pytest.mark.parametrize(
    ("line", "why"),
    [
        ("yesterday,1,1", "'yesterday' is no timestamp"),
        ("2023-13-16 18:15:46.68,1,1", "month must be"),
        ("2023-11-16 18:15:46.68,many,1", "ContextTokens is 'many'"),
        ("2023-11-16 18:15:46.68,1,-1", "GeneratedTokens is '-1'"),
        ("2023-11-16 18:15:46.68,1", "2 fields, not 3"),
        ("2023-11-16 18:15:45.00,1,1", "is earlier than the line before"),
    ],
)
def test_a_bad_line_is_told_with_its_number(tmp_path: Path, line: str, why: str) -> None:
    path = trace(tmp_path, f"{HEADER}2023-11-16 18:15:46.00,1,1\n{line}\n")
    with pytest.raises(TraceError, match=rf"trace\.csv, line 3: .*{why}"):
        read_trace(path)


def test_a_file_that_is_no_trace_is_refused_with_the_columns_it_needs(tmp_path: Path) -> None:
    with pytest.raises(
        TraceError, match=r"line 1: a,b begins no trace that is known.*TIMESTAMP,ContextTokens,GeneratedTokens"
    ):
        read_trace(trace(tmp_path, "a,b\n1,2\n"))


def test_a_missing_file_is_a_trace_error(tmp_path: Path) -> None:
    with pytest.raises(TraceError, match="cannot be read"):
        read_trace(tmp_path / "none.csv")


def test_an_empty_trace_has_no_rows(tmp_path: Path) -> None:
    assert read_trace(trace(tmp_path, HEADER)) == []
