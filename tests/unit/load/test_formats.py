"""Traces of other formats than Azure's, by samples as their repositories have them."""

from __future__ import annotations

from pathlib import Path

import pytest

from ops.load import TraceError, TraceRow, read_trace, schedule
from ops.load.demand import too_much
from ops.load.request import request_value
from streams.settings import Settings

MOONCAKE = (
    '{"timestamp": 27482, "input_length": 1955, "output_length": 52, "hash_ids": [46, 47, 48, 2353]}\n'
    '{"timestamp": 30535, "input_length": 2672, "output_length": 26, "hash_ids": [46, 47, 2354]}\n'
)


def file(tmp_path: Path, content: str, name: str = "trace") -> Path:
    path = tmp_path / name
    path.write_text(content)
    return path


def test_mooncakes_lines_are_requests_with_shared_prefixes(tmp_path: Path) -> None:
    rows = read_trace(file(tmp_path, MOONCAKE))
    assert rows == [TraceRow(0.0, 1955, 52, (46, 47, 48, 2353)), TraceRow(3.053, 2672, 26, (46, 47, 2354))]
    one, two = (
        request_value(each, f"r{number}")["payload"]["messages"][0]["content"]
        for number, each in enumerate(schedule(rows))
    )
    shared = 2 * 512 * 4
    assert one[:shared] == two[:shared]
    assert one[: shared + 100] != two[: shared + 100]
    assert "Request r0." in one


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ('{"timestamp": 1, "input_length": 5}', "output_length"),
        ('{"timestamp": 1, "input_length": -5, "output_length": 1}', "number of tokens"),
        ('{"timestamp": "x", "input_length": 5, "output_length": 1}', "Mooncake"),
        ("{", "Mooncake"),
    ],
)
def test_a_line_that_is_no_request_is_named_with_its_number(tmp_path: Path, line: str, words: str) -> None:
    with pytest.raises(TraceError, match=words) as caught:
        read_trace(file(tmp_path, MOONCAKE + line))
    assert "line 3" in str(caught.value)


def test_servegens_windows_become_arrivals_at_their_rate(tmp_path: Path) -> None:
    rows = read_trace(file(tmp_path, "t_seconds,requests_per_second,active_clients\n0,2,20\n600,4,21\n"))
    early = [row for row in rows if row.at_s < 600]
    assert 1_100 < len(early) < 1_300
    assert 2_200 < len(rows) - len(early) < 2_600
    assert all(row.prompt_tokens > 0 for row in rows)


def test_a_client_of_servegen_has_the_sizes_of_its_dataset(tmp_path: Path) -> None:
    file(
        tmp_path, '{"0": {"input_tokens": "{102: 0.5, 103: 0.5}", "output_tokens": "{7: 1.0}"}}', "chunk-1-dataset.json"
    )
    trace = file(tmp_path, "0,1.5,1.01,Gamma,0.97,0.07\n600,1.0,2.0,Weibull,0.9,0.07\n", "chunk-1-trace.csv")
    rows = read_trace(trace)
    assert {row.prompt_tokens for row in rows} == {102, 103}
    assert {row.completion_tokens for row in rows} == {7}
    assert read_trace(trace) == rows


def test_a_format_that_is_not_known_is_told_which_are(tmp_path: Path) -> None:
    with pytest.raises(TraceError) as caught:
        read_trace(file(tmp_path, "arrival,prompt\n1,2\n"))
    assert all(name in str(caught.value) for name in ("Azure", "Mooncake", "ServeGen"))


def test_a_load_that_a_limit_cannot_carry_is_said_before_it_is_sent() -> None:
    provider = Settings.model_validate(
        {"providers": [{"name": "main", "endpoints": [{"url": "http://a/v1"}]}]}
    ).providers[0]
    rows = [TraceRow(second / 20, 900, 100) for second in range(400)]
    (line,) = too_much(rows, 1.0, 20.0, provider, "small")
    assert "1,200,000 tokens a minute" in line
    assert "90000/minute" in line
    assert "rate_limit.tokens" in line
    assert not too_much(rows, 0.05, 20.0, provider, "small")
